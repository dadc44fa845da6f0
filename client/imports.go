package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/keystone-auth/keystone/api"
)

func importPath(source string) string { return base + "/admin/imports/" + url.PathEscape(source) }

// Import sends a batch of rows of another system. One whose answer was lost is sent again as it is: the
// refusal of the cursor then says that it was kept, or under the same idempotency key the first answer comes.
func (c *Client) Import(ctx context.Context, r api.ImportRequest) (out api.ImportResponse, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/import", r, &out)
	return out, err
}

// ImportState tells how far the import of that name has come. There is none yet: an *Error of status 404.
func (c *Client) ImportState(ctx context.Context, source string) (out api.ImportState, err error) {
	err = c.call(ctx, http.MethodGet, importPath(source), nil, &out)
	return out, err
}

// ForgetImport lets the import of that name begin again.
func (c *Client) ForgetImport(ctx context.Context, source string) error {
	return c.call(ctx, http.MethodDelete, importPath(source), nil, nil)
}

// ImportedRows returns ids of rows of a kind that the import of that name has brought, behind the one that
// was next in the answer before.
func (c *Client) ImportedRows(ctx context.Context, source, kind, after string) (out api.ImportedRows, err error) {
	q := url.Values{"kind": {kind}}
	if after != "" {
		q.Set("after", after)
	}
	err = c.call(ctx, http.MethodGet, importPath(source)+"/rows?"+q.Encode(), nil, &out)
	return out, err
}
