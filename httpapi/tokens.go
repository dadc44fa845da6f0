package httpapi

import (
	"context"
	"regexp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
)

func (s *Server) login(ctx context.Context, x *exchange, r api.TokenRequest) (api.TokenResponse, error) {
	return s.token(ctx, x, oauth.GrantPassword, api.GrantRequest{
		GrantType: r.GrantType, Username: r.Username, Password: r.Password, Scope: r.Scope,
		ClientID: r.ClientID, ClientSecret: r.ClientSecret,
	})
}

func (s *Server) refresh(ctx context.Context, x *exchange, r api.RefreshRequest) (api.TokenResponse, error) {
	return s.token(ctx, x, oauth.GrantRefreshToken, api.GrantRequest{
		GrantType: r.GrantType, RefreshToken: r.RefreshToken, Scope: r.Scope,
		ClientID: r.ClientID, ClientSecret: r.ClientSecret,
	})
}

func (s *Server) serviceToken(ctx context.Context, x *exchange, r api.ServiceTokenRequest) (api.TokenResponse, error) {
	return s.token(ctx, x, oauth.GrantClientCredentials, api.GrantRequest{
		GrantType: r.GrantType, Scope: r.Scope, Audience: r.Audience,
		ClientID: r.ClientID, ClientSecret: r.ClientSecret,
	})
}

// grant is the standard token endpoint, where the request itself names its grant.
func (s *Server) grant(ctx context.Context, x *exchange, r api.GrantRequest) (api.TokenResponse, error) {
	if r.GrantType == "" {
		return api.TokenResponse{}, iam.Errorf(iam.InvalidRequest, "The parameter grant_type is missing.")
	}
	if r.GrantType == oauth.GrantRefreshToken && r.RefreshToken == "" { // RFC 6749 §5.2
		return api.TokenResponse{}, iam.Errorf(iam.InvalidRequest, "The parameter refresh_token is missing.")
	}
	return s.token(ctx, x, r.GrantType, r)
}

// token is what all of these share: the limit before the work, the grant, and the counts.
func (s *Server) token(ctx context.Context, x *exchange, grant string, r api.GrantRequest) (api.TokenResponse, error) {
	answer, err := s.issue(ctx, x, grant, r)
	s.metrics.attempted(err)
	if err != nil {
		return api.TokenResponse{}, err
	}
	s.metrics.issued(answer)
	x.reflects(answer.Index)
	return tokenResponse(answer), nil
}

func (s *Server) issue(ctx context.Context, x *exchange, grant string, r api.GrantRequest) (oauth.Answer, error) {
	scheme, value, err := x.authorization()
	if err != nil {
		return oauth.Answer{}, err
	}
	client, err := x.clientAuth(scheme, value, r.ClientID, r.ClientSecret)
	if err != nil {
		return oauth.Answer{}, err
	}
	request := oauth.Request{
		Grant: grant, Username: r.Username, Password: r.Password, RefreshToken: r.RefreshToken,
		Scope: r.Scope, Audience: r.Audience, Client: client, Origin: x.origin(),
	}
	if err := s.admitGrant(x, &request); err != nil {
		return oauth.Answer{}, err
	}
	if r.GrantType != "" && r.GrantType != grant {
		return oauth.Answer{}, iam.Errorf(iam.UnsupportedGrantType, "This path takes the grant type %s alone.", grant)
	}
	return s.OAuth.Token(ctx, request)
}

func tokenResponse(a oauth.Answer) api.TokenResponse {
	r := api.TokenResponse{
		AccessToken: a.AccessToken, RefreshToken: a.RefreshToken, TokenType: "Bearer",
		ExpiresIn: a.ExpiresIn, Scope: a.Scope, TokenID: a.TokenID,
	}
	if !a.SessionID.IsZero() {
		r.SessionID = a.SessionID.String()
	}
	return r
}

func (s *Server) revoke(ctx context.Context, x *exchange, r api.RevokeRequest) (api.Message, error) {
	if err := s.enterClient(ctx, x, r.ClientID, r.ClientSecret); err != nil {
		return api.Message{}, err
	}
	if r.Token == "" {
		return api.Message{}, errNoTokenParameter()
	}
	index, err := s.OAuth.Revoke(ctx, x.caller, r.Token, x.origin())
	x.reflects(index)
	return api.Message{Message: "Token revoked successfully"}, err
}

func errNoTokenParameter() error {
	return iam.Errorf(iam.InvalidRequest, "The parameter token is missing.")
}

func (s *Server) logout(ctx context.Context, x *exchange, r api.LogoutRequest) (api.LogoutResponse, error) {
	ended, index, err := s.OAuth.Logout(ctx, x.caller, r.AllSessions, x.origin())
	x.reflects(index)
	return api.LogoutResponse{Message: "Logged out successfully", SessionsTerminated: ended}, err
}

// hostForm is what may follow http:// in a document that is made from the Host header.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// metadata tells standard clients where everything is (RFC 8414 §3).
func (s *Server) metadata(_ context.Context, x *exchange, _ nothing) (api.ServerMetadata, error) {
	url := s.PublicURL
	if url == "" {
		host := string(x.http.Host())
		if !hostForm.MatchString(host) {
			return api.ServerMetadata{}, iam.Errorf(iam.InvalidRequest, "The Host header is not the name of a server.")
		}
		url = "http://" + host
		if x.http.IsTLS() {
			url = "https://" + host
		}
	}
	methods := []string{"client_secret_basic", "client_secret_post"}
	return api.ServerMetadata{
		Issuer: s.View.Issuer(), TokenEndpoint: url + "/oauth2/token",
		RevocationEndpoint: url + "/oauth2/revoke", IntrospectionEndpoint: url + "/oauth2/introspect",
		JWKSURI:                           url + "/.well-known/jwks.json",
		GrantTypesSupported:               []string{oauth.GrantPassword, oauth.GrantRefreshToken, oauth.GrantClientCredentials},
		ResponseTypesSupported:            []string{},
		TokenEndpointAuthMethodsSupported: append(methods, "none"),
		RevocationAuthMethodsSupported:    append(methods, "none"),
		IntrospectionAuthMethodsSupported: methods,
	}, nil
}
