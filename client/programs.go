package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/keystone-auth/keystone/api"
)

// ListQuery says which part of a list is asked for; the zero value means the first page.
type ListQuery struct {
	Search  string
	Sort    string // such as name,asc
	Cursor  string // the next_cursor of the page before
	PerPage int
	Filters map[string]string // what else the list can be narrowed by, such as is_active
}

func (q ListQuery) encode() string {
	v := url.Values{}
	for name, text := range map[string]string{"search": q.Search, "sort": q.Sort, "cursor": q.Cursor} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.PerPage != 0 {
		v.Set("per_page", strconv.Itoa(q.PerPage))
	}
	for name, text := range q.Filters {
		v.Set(name, text)
	}
	return "?" + v.Encode()
}

// inPath is a name as a part of a path: a slash in it must not be taken for one of the path's.
func inPath(collection, name string) string {
	return base + collection + "/" + url.PathEscape(name)
}

// Clients returns one page of the clients.
func (c *Client) Clients(ctx context.Context, q ListQuery) (out api.Clients, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/clients"+q.encode(), nil, &out)
	return out, err
}

// ClientByID returns the client that presents that client_id.
func (c *Client) ClientByID(ctx context.Context, clientID string) (out api.Client, err error) {
	err = c.call(ctx, http.MethodGet, inPath("/admin/clients", clientID), nil, &out)
	return out, err
}

// ReplaceClient says everything about a client anew.
func (c *Client) ReplaceClient(ctx context.Context, clientID string, r api.ReplaceClientRequest) (out api.Client, err error) {
	err = c.call(ctx, http.MethodPut, inPath("/admin/clients", clientID), r, &out)
	return out, err
}

// PatchClient changes what the request names of a client.
func (c *Client) PatchClient(ctx context.Context, clientID string, r api.PatchClientRequest) (out api.Client, err error) {
	err = c.call(ctx, http.MethodPatch, inPath("/admin/clients", clientID), r, &out)
	return out, err
}

// DeleteClient removes a client. Its tokens are dead.
func (c *Client) DeleteClient(ctx context.Context, clientID string) error {
	return c.call(ctx, http.MethodDelete, inPath("/admin/clients", clientID), nil, nil)
}

// LockDownClient takes everything from a client that is in the wrong hands.
func (c *Client) LockDownClient(ctx context.Context, clientID string) (out api.SessionsEnded, err error) {
	err = c.call(ctx, http.MethodPost, inPath("/admin/clients", clientID)+"/lock-down", nil, &out)
	return out, err
}

// InvalidateAll makes everything dead that the cluster has issued up to now.
func (c *Client) InvalidateAll(ctx context.Context, reason string) (out api.Epoch, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/cluster/epoch", api.RaiseEpochRequest{Reason: reason}, &out)
	return out, err
}

// RotateSecret gives a client a new secret, which the answer holds this once.
func (c *Client) RotateSecret(ctx context.Context, clientID string, r api.RotateSecretRequest) (out api.Client, err error) {
	err = c.call(ctx, http.MethodPost, inPath("/admin/clients", clientID)+"/rotate-secret", r, &out)
	return out, err
}

// Roles returns one page of the roles.
func (c *Client) Roles(ctx context.Context, q ListQuery) (out api.Roles, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/roles"+q.encode(), nil, &out)
	return out, err
}

// Role returns the role of that name or id.
func (c *Client) Role(ctx context.Context, name string) (out api.Role, err error) {
	err = c.call(ctx, http.MethodGet, inPath("/admin/roles", name), nil, &out)
	return out, err
}

// CreateRole makes a role, which users can then be given.
func (c *Client) CreateRole(ctx context.Context, r api.RoleRequest) (out api.Role, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/roles", r, &out)
	return out, err
}

// ReplaceRole says everything about a role anew.
func (c *Client) ReplaceRole(ctx context.Context, name string, r api.RoleRequest) (out api.Role, err error) {
	err = c.call(ctx, http.MethodPut, inPath("/admin/roles", name), r, &out)
	return out, err
}

// PatchRole changes what the request names of a role.
func (c *Client) PatchRole(ctx context.Context, name string, r api.PatchRoleRequest) (out api.Role, err error) {
	err = c.call(ctx, http.MethodPatch, inPath("/admin/roles", name), r, &out)
	return out, err
}

// DeleteRole removes a role that nobody holds.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, inPath("/admin/roles", name), nil, nil)
}

// Scopes returns one page of the scopes.
func (c *Client) Scopes(ctx context.Context, q ListQuery) (out api.Scopes, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/scopes"+q.encode(), nil, &out)
	return out, err
}

// Scope returns the scope of that name or id.
func (c *Client) Scope(ctx context.Context, name string) (out api.Scope, err error) {
	err = c.call(ctx, http.MethodGet, inPath("/admin/scopes", name), nil, &out)
	return out, err
}

// PatchScope changes what the request names of a scope.
func (c *Client) PatchScope(ctx context.Context, name string, r api.PatchScopeRequest) (out api.Scope, err error) {
	err = c.call(ctx, http.MethodPatch, inPath("/admin/scopes", name), r, &out)
	return out, err
}

// DeleteScope removes a scope that no role and no client holds.
func (c *Client) DeleteScope(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, inPath("/admin/scopes", name), nil, nil)
}

// Check asks whether somebody may do something.
func (c *Client) Check(ctx context.Context, r api.AuthzCheck) (out api.AuthzVerdict, err error) {
	err = c.call(ctx, http.MethodPost, base+"/authz/check", r, &out)
	return out, err
}

// CheckAll asks many such questions at once. The answers are in their order.
func (c *Client) CheckAll(ctx context.Context, checks []api.AuthzCheck) ([]api.AuthzVerdict, error) {
	var out api.AuthzBulkResponse
	err := c.call(ctx, http.MethodPost, base+"/authz/check-bulk", api.AuthzBulkRequest{Checks: checks}, &out)
	return out.Results, err
}

// Keys returns the signing keys.
func (c *Client) Keys(ctx context.Context) (out api.Keys, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/keys", nil, &out)
	return out, err
}

// RotateKey makes a new signing key.
func (c *Client) RotateKey(ctx context.Context, r api.RotateKeyRequest) (out api.Key, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/keys/rotate", r, &out)
	return out, err
}

// Stats returns how much there is.
func (c *Client) Stats(ctx context.Context) (out api.Stats, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/stats", nil, &out)
	return out, err
}
