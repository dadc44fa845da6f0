package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/keystone-auth/keystone/api"
)

const base = "/api/v1"

// Login logs a person in.
func (c *Client) Login(ctx context.Context, r api.TokenRequest) (out api.TokenResponse, err error) {
	err = c.call(ctx, http.MethodPost, base+"/auth/token", r, &out)
	return out, err
}

// Refresh exchanges a refresh token for new tokens. A retry with the same idempotency key gets the
// same answer.
func (c *Client) Refresh(ctx context.Context, r api.RefreshRequest) (out api.TokenResponse, err error) {
	err = c.call(ctx, http.MethodPost, base+"/auth/refresh", r, &out)
	return out, err
}

// ServiceToken obtains a token for a client itself.
func (c *Client) ServiceToken(ctx context.Context, r api.ServiceTokenRequest) (out api.TokenResponse, err error) {
	err = c.call(ctx, http.MethodPost, base+"/auth/service-token", r, &out)
	return out, err
}

// Introspect asks what a token says and whether it is good.
func (c *Client) Introspect(ctx context.Context, token string) (out api.Introspection, err error) {
	err = c.call(ctx, http.MethodPost, base+"/auth/introspect", api.IntrospectRequest{Token: token}, &out)
	return out, err
}

// Revoke makes a token dead. It succeeds for what is no token, too.
func (c *Client) Revoke(ctx context.Context, token string) error {
	return c.call(ctx, http.MethodPost, base+"/auth/revoke", api.RevokeRequest{Token: token}, nil)
}

// Logout ends the session of the token that the client presents, or all sessions of its user, and
// returns how many were ended.
func (c *Client) Logout(ctx context.Context, all bool) (int, error) {
	var out api.LogoutResponse
	err := c.call(ctx, http.MethodPost, base+"/auth/logout", api.LogoutRequest{AllSessions: all}, &out)
	return out.SessionsTerminated, err
}

// Register makes an account for whoever asks.
func (c *Client) Register(ctx context.Context, r api.RegisterRequest) (out api.User, err error) {
	err = c.call(ctx, http.MethodPost, base+"/users/register", r, &out)
	return out, err
}

// Profile returns the person whose token the client presents.
func (c *Client) Profile(ctx context.Context) (out api.User, err error) {
	err = c.call(ctx, http.MethodGet, base+"/users/profile", nil, &out)
	return out, err
}

// Sessions returns the first page of the sessions of the person whose token the client presents.
func (c *Client) Sessions(ctx context.Context) (out api.Sessions, err error) {
	err = c.call(ctx, http.MethodGet, base+"/sessions", nil, &out)
	return out, err
}

// CreateUser makes an account with roles.
func (c *Client) CreateUser(ctx context.Context, r api.CreateUserRequest) (out api.User, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/users", r, &out)
	return out, err
}

// CreateScope makes a scope, which clients and roles can then hold.
func (c *Client) CreateScope(ctx context.Context, r api.CreateScopeRequest) (out api.Scope, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/scopes", r, &out)
	return out, err
}

// CreateClient makes a client. The answer of a confidential one holds its secret, this once.
func (c *Client) CreateClient(ctx context.Context, r api.CreateClientRequest) (out api.Client, err error) {
	err = c.call(ctx, http.MethodPost, base+"/admin/clients", r, &out)
	return out, err
}

// Cluster returns what the node knows of all nodes.
func (c *Client) Cluster(ctx context.Context) (out api.Cluster, err error) {
	err = c.call(ctx, http.MethodGet, base+"/admin/cluster", nil, &out)
	return out, err
}

// Health returns what the node says of itself. One that cannot answer correctly says so with an
// *Error of status 503.
func (c *Client) Health(ctx context.Context) (out api.Health, err error) {
	err = c.call(ctx, http.MethodGet, "/health", nil, &out)
	return out, err
}

// Ready tells whether the node is ready for traffic. The error says why it could not be asked.
func (c *Client) Ready(ctx context.Context) (bool, error) {
	err := c.call(ctx, http.MethodGet, "/health/ready", nil, nil)
	var refused *Error
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}
