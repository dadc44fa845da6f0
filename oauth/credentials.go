package oauth

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// clientCredentials is the grant of RFC 6749 §4.4: a program's token for itself. It changes no state
// and so needs no log: any node issues it, with or without a leader.
func (s *Service) clientCredentials(_ context.Context, r request) (Answer, error) {
	if r.client == nil || r.client.Type != iam.Confidential {
		return Answer{}, iam.Errorf(iam.InvalidClient, "The client must present its client_id and client_secret.")
	}
	var held []string
	if err := s.Store.View(func(rd *store.Reader) error {
		held = login.ScopeNames(rd, r.client.Scopes)
		return nil
	}); err != nil {
		return Answer{}, err
	}
	scope, err := iam.Narrow(r.scope, held)
	if err != nil {
		return Answer{}, err
	}
	audience, err := s.audience(*r.client, r.Audience)
	if err != nil {
		return Answer{}, err
	}
	claims := &token.Claims{
		Type: token.TypeService, Subject: r.client.ClientID, ID: iam.NewID().String(), Scope: scope,
		ClientID: r.client.ClientID, Audience: audience, Epoch: s.View.Epoch().Number,
	}
	access, err := s.sign(claims, r.client, s.Now().Unix(), lifetime(r.client, s.View.Settings().ServiceSeconds))
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		AccessToken: access, Scope: iam.JoinScopes(scope), TokenID: claims.ID,
		ExpiresIn: claims.ExpiresAt - claims.IssuedAt,
	}, nil
}

// audience is what was asked for, if the client may address all of it (RFC 8707 §2); nothing asked
// means everything that it may.
func (s *Service) audience(c iam.Client, want []string) ([]string, error) {
	all := c.Audiences
	if len(all) == 0 {
		all = []string{s.View.Issuer()}
	}
	if len(want) == 0 {
		return all, nil
	}
	for _, a := range want {
		if !slices.Contains(all, a) {
			return nil, iam.Errorf(iam.InvalidTarget, "The client may not ask for a token for this audience.")
		}
	}
	slices.Sort(want)
	return slices.Compact(want), nil
}
