package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

// createClient makes a client and shows its secret, this once.
func (s *Server) createClient(ctx context.Context, x *exchange, r api.CreateClientRequest) (api.Client, error) {
	made, err := s.OAuth.CreateClient(ctx, x.origin(), newClient(r), r.Scopes, x.caller.Permissions())
	if err != nil {
		return api.Client{}, err
	}
	x.reflects(made.Index)
	x.version(made.Version())
	out, err := s.describeClient(made.Client)
	out.ClientSecret = made.Secret
	return out, err
}

func newClient(r api.CreateClientRequest) iam.Client {
	c := iam.Client{
		ID: iam.NewID(), ClientID: r.ClientID, Name: r.Name, Description: r.Description, Type: iam.ClientType(r.ClientType),
		Active: r.IsActive == nil || *r.IsActive, Trusted: r.IsTrusted, Audiences: r.Audiences,
		AccessLifetime: r.AccessTokenLifetime, RefreshLifetime: r.RefreshTokenLifetime,
		RatePerMinute: r.RateLimitPerMinute, RatePerHour: r.RateLimitPerHour, AllowedIPs: r.AllowedIPs,
		ContactEmail: r.ContactEmail, WebsiteURL: r.WebsiteURL, WebhookURL: r.WebhookURL,
	}
	if c.ClientID == "" {
		c.ClientID = c.ID.String()
	}
	if c.Type == "" {
		c.Type = iam.Confidential
	}
	return c
}

// describeClient is a client as administrators see it, without its secret.
func (s *Server) describeClient(c iam.Client) (out api.Client, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		out = clientOf(r, c)
		return nil
	})
	return out, err
}

func clientOf(r *store.Reader, c iam.Client) api.Client {
	return api.Client{
		ClientID: c.ClientID, Name: c.Name, Description: c.Description, ClientType: string(c.Type),
		IsActive: c.Active, IsTrusted: c.Trusted, Scopes: login.ScopeNames(r, c.Scopes), Audiences: c.Audiences,
		AccessTokenLifetime: c.AccessLifetime, RefreshTokenLifetime: c.RefreshLifetime,
		RateLimitPerMinute: c.RatePerMinute, RateLimitPerHour: c.RatePerHour, AllowedIPs: c.AllowedIPs,
		ContactEmail: c.ContactEmail, WebsiteURL: c.WebsiteURL, WebhookURL: c.WebhookURL,
		LastUsed: timeOrNull(c.LastUsed), TotalRequests: c.TotalRequests,
		CreatedAt: c.CreatedAt.Std(), UpdatedAt: c.UpdatedAt.Std(),
	}
}
