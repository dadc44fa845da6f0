package httpapi

import (
	"context"
	"strconv"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/store"
)

// clients lists the clients, the newest first unless another order is asked for.
func (s *Server) clients(_ context.Context, x *exchange, _ nothing) (out api.Clients, err error) {
	query, fits, err := x.clientQuery()
	if err != nil {
		return out, err
	}
	place := func(c iam.Client) place {
		return placeOf(query, c.ID, map[string]string{"created_at": byTime(c.CreatedAt), "client_id": c.ClientID, "name": iam.Fold(c.Name)})
	}
	err = s.Store.View(func(r *store.Reader) error {
		var shown []iam.Client
		shown, out.Page = pageOf(query, r.Clients, r.Client, place, fits)
		out.Clients = each(shown, func(c iam.Client) api.Client { return clientOf(r, c) })
		return nil
	})
	return out, err
}

// clientQuery reads what is asked for, and says which clients fit it.
func (x *exchange) clientQuery() (listQuery, func(iam.Client) bool, error) {
	query, err := x.list("created_at", "client_id", "name")
	if err != nil {
		return query, nil, err
	}
	active, err := x.oneOf("is_active", "true", "false")
	if err != nil {
		return query, nil, err
	}
	kind, err := x.oneOf("client_type", string(iam.Confidential), string(iam.Public))
	return query, func(c iam.Client) bool {
		return (active == "" || active == strconv.FormatBool(c.Active)) && (kind == "" || kind == string(c.Type)) &&
			query.finds(c.ClientID, c.Name, c.Description)
	}, err
}

func (s *Server) client(_ context.Context, x *exchange, _ nothing) (out api.Client, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		c, known := r.ClientByClientID(x.key("id"))
		if !known {
			return errNothingThere()
		}
		x.version(c.Version())
		out = clientOf(r, c)
		return nil
	})
	return out, err
}

func (s *Server) replaceClient(ctx context.Context, x *exchange, r api.ReplaceClientRequest) (api.Client, error) {
	return s.changeClient(ctx, x, func(d *oauth.Draft) {
		if r.ClientID != "" {
			d.ClientID = r.ClientID
		}
		if r.ClientType != "" {
			d.Type = iam.ClientType(r.ClientType)
		}
		d.Name, d.Description, d.Active, d.Trusted = r.Name, r.Description, r.IsActive == nil || *r.IsActive, r.IsTrusted
		d.ScopeNames, d.Audiences, d.AllowedIPs = r.Scopes, r.Audiences, r.AllowedIPs
		d.AccessLifetime, d.RefreshLifetime = r.AccessTokenLifetime, r.RefreshTokenLifetime
		d.RatePerMinute, d.RatePerHour = r.RateLimitPerMinute, r.RateLimitPerHour
		d.ContactEmail, d.WebsiteURL, d.WebhookURL = r.ContactEmail, r.WebsiteURL, r.WebhookURL
	})
}

func (s *Server) patchClient(ctx context.Context, x *exchange, r api.PatchClientRequest) (api.Client, error) {
	return s.changeClient(ctx, x, func(d *oauth.Draft) {
		r.Name.Apply(&d.Name)
		r.Description.Apply(&d.Description)
		r.ClientType.Apply((*string)(&d.Type))
		if r.IsActive.Sent {
			d.Active = r.IsActive.Value == nil || *r.IsActive.Value
		}
		r.IsTrusted.Apply(&d.Trusted)
		r.Scopes.Apply(&d.ScopeNames)
		r.Audiences.Apply(&d.Audiences)
		r.AccessTokenLifetime.Apply(&d.AccessLifetime)
		r.RefreshTokenLifetime.Apply(&d.RefreshLifetime)
		r.RateLimitPerMinute.Apply(&d.RatePerMinute)
		r.RateLimitPerHour.Apply(&d.RatePerHour)
		r.AllowedIPs.Apply(&d.AllowedIPs)
		r.ContactEmail.Apply(&d.ContactEmail)
		r.WebsiteURL.Apply(&d.WebsiteURL)
		r.WebhookURL.Apply(&d.WebhookURL)
	})
}

func (s *Server) changeClient(ctx context.Context, x *exchange, change func(*oauth.Draft)) (api.Client, error) {
	client, index, err := s.OAuth.UpdateClient(ctx, x.edit(), x.key("id"), change)
	if err != nil {
		return api.Client{}, err
	}
	x.reflects(index)
	x.version(client.Version())
	return s.describeClient(client)
}

func (s *Server) deleteClient(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	index, err := s.OAuth.DeleteClient(ctx, x.edit(), x.key("id"))
	x.reflects(index)
	return api.Message{Message: "Client deleted successfully"}, err
}

func (s *Server) lockDownClient(ctx context.Context, x *exchange, _ nothing) (api.SessionsEnded, error) {
	ended, index, err := s.OAuth.LockDownClient(ctx, x.edit(), x.key("id"))
	x.reflects(index)
	return api.SessionsEnded{Message: "Client locked down successfully", SessionsTerminated: ended}, err
}

// rotateSecret shows the new secret, this once.
func (s *Server) rotateSecret(ctx context.Context, x *exchange, r api.RotateSecretRequest) (api.Client, error) {
	made, err := s.OAuth.RotateSecret(ctx, x.edit(), x.key("id"), r.GraceSeconds)
	if err != nil {
		return api.Client{}, err
	}
	x.reflects(made.Index)
	x.version(made.Version())
	out, err := s.describeClient(made.Client)
	out.ClientSecret = made.Secret
	return out, err
}
