package client

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/keystone-auth/keystone/api"
)

// AuditQuery is what is looked for in the audit log. Zero fields ask for nothing in particular.
type AuditQuery struct {
	From, To string // RFC 3339
	Type     string // exact, or the beginning of types before a star, such as user.*
	Actor    string
	Target   string
	Result   string // success or refused
	Search   string
	Oldest   bool   // the oldest first
	After    uint64 // of an export: behind that sequence number
	PerPage  int
	Cursor   string // next_cursor of the page before
}

func (q AuditQuery) path(of string) string {
	v := url.Values{}
	for name, value := range map[string]string{
		"from": q.From, "to": q.To, "type": q.Type, "actor": q.Actor, "target": q.Target, "result": q.Result,
		"search": q.Search, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Oldest {
		v.Set("sort", "sequence,asc")
	}
	if q.After > 0 {
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	if q.PerPage > 0 {
		v.Set("per_page", strconv.Itoa(q.PerPage))
	}
	return base + of + "?" + v.Encode()
}

// AuditEvents returns one page of the audit log.
func (c *Client) AuditEvents(ctx context.Context, q AuditQuery) (out api.AuditEvents, err error) {
	err = c.call(ctx, http.MethodGet, q.path("/admin/audit"), nil, &out)
	return out, err
}

// AuditCheckpoints returns what the audit log can be proven by, behind that sequence number.
func (c *Client) AuditCheckpoints(ctx context.Context, after uint64) (out api.AuditCheckpoints, err error) {
	err = c.call(ctx, http.MethodGet, AuditQuery{After: after}.path("/admin/audit/checkpoints"), nil, &out)
	return out, err
}

// maxLine bounds one event of an export.
const maxLine = 64 << 10

// ExportAudit calls fn with each event, the oldest first, as one line of JSON without its end. The line is
// good until fn returns. It takes as long as the log is long, so ctx needs no deadline.
func (c *Client) ExportAudit(ctx context.Context, q AuditQuery, fn func(line []byte) error) error {
	answer, err := c.stream(ctx, q.path("/admin/audit/export"))
	if err != nil {
		return err
	}
	defer answer.Close()
	lines := bufio.NewScanner(answer)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := fn(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the export broke off, what came of it is not the whole: %w", err)
	}
	return nil
}
