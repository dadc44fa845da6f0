package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// createClient makes a client and shows its secret, this once: only the digest is kept.
func (s *Server) createClient(ctx context.Context, x *exchange, r api.CreateClientRequest) (api.Client, error) {
	client := newClient(r)
	shown := ""
	if client.Type == iam.Confidential {
		shown = secret.NewClientSecret()
		digest := secret.DigestOf(shown)
		client.SecretDigest = digest[:]
	}
	var err error
	if client.Scopes, err = s.scopeIDs(r.Scopes); err != nil {
		return api.Client{}, err
	}
	res, err := s.Proposer.Propose(ctx, x.origin(), &fsm.CreateClient{Client: client})
	if err != nil {
		return api.Client{}, err
	}
	if err := res.Decode(&client); err != nil {
		return api.Client{}, err
	}
	x.reflects(res.Index)
	out, err := s.describeClient(client)
	out.ClientSecret = shown
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

// scopeIDs turns names into ids.
func (s *Server) scopeIDs(names []string) (ids []iam.ID, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		for _, name := range names {
			scope, ok := r.ScopeByName(name)
			if !ok {
				return iam.Invalid("scopes", "names a scope that does not exist")
			}
			ids = append(ids, scope.ID)
		}
		return nil
	})
	return ids, err
}

// describeClient is a client as administrators see it, without its secret.
func (s *Server) describeClient(c iam.Client) (api.Client, error) {
	out := api.Client{
		ClientID: c.ClientID, Name: c.Name, Description: c.Description, ClientType: string(c.Type),
		IsActive: c.Active, IsTrusted: c.Trusted, Audiences: c.Audiences,
		AccessTokenLifetime: c.AccessLifetime, RefreshTokenLifetime: c.RefreshLifetime,
		RateLimitPerMinute: c.RatePerMinute, RateLimitPerHour: c.RatePerHour, AllowedIPs: c.AllowedIPs,
		ContactEmail: c.ContactEmail, WebsiteURL: c.WebsiteURL, WebhookURL: c.WebhookURL,
		LastUsed: timeOrNull(c.LastUsed), TotalRequests: c.TotalRequests,
		CreatedAt: c.CreatedAt.Std(), UpdatedAt: c.UpdatedAt.Std(),
	}
	err := s.Store.View(func(r *store.Reader) error {
		out.Scopes = scopeNames(r, c.Scopes)
		return nil
	})
	return out, err
}
