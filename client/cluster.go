package client

import (
	"context"
	"net/http"

	"github.com/keystone-auth/keystone/api"
)

// RemoveNode takes the node of that name out of the cluster.
func (c *Client) RemoveNode(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, inPath("/admin/cluster/nodes", name), nil, nil)
}

// PromoteNode gives the node of that name a vote.
func (c *Client) PromoteNode(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, inPath("/admin/cluster/nodes", name)+"/promote", nil, nil)
}

// DemoteNode takes its vote from the node of that name.
func (c *Client) DemoteNode(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, inPath("/admin/cluster/nodes", name)+"/demote", nil, nil)
}

// TransferLeadership has the node of that name lead, or any other one for "".
func (c *Client) TransferLeadership(ctx context.Context, name string) (out api.Leadership, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/cluster/transfer", api.TransferRequest{To: name}, &out)
	return out, err
}
