package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
)

// authKind says who may call a route.
type authKind uint8

const (
	anyone         authKind = iota
	bearer                  // a person or a program with a token
	person                  // a person with a token
	clientOrBearer          // a token or client credentials, which may lie in the body: the handler asks
)

// authorization is the Authorization header. Two of them are refused: a proxy in front may have
// looked at the other one.
func (x *exchange) authorization() (scheme, value []byte, err error) {
	all := x.http.Request.Header.PeekAll(fasthttp.HeaderAuthorization)
	if len(all) == 0 {
		return nil, nil, nil
	}
	if len(all) > 1 {
		return nil, nil, iam.Errorf(iam.InvalidRequest, "The request has more than one Authorization header.")
	}
	scheme, value, _ = bytes.Cut(all[0], []byte(" "))
	return scheme, bytes.TrimSpace(value), nil
}

// identify finds out who calls a route that takes bearer tokens.
func (s *Server) identify(x *exchange) error {
	x.caller.Operator = x.operator
	scheme, value, err := x.authorization()
	switch {
	case err != nil:
		return err
	case scheme == nil && x.operator:
		return nil
	case !bytes.EqualFold(scheme, []byte("Bearer")) || len(value) == 0:
		return x.noCredentials()
	}
	claims, err := s.View.Verify(value, x.now)
	if err != nil {
		return err
	}
	// A token of the old system that names no audience was made for whoever verifies it.
	foreign := len(claims.Audience) > 0 && !slices.Contains(claims.Audience, s.View.Issuer())
	if foreign && !x.route.anyAudience {
		// Others were sent it, and could come here with it in its owner's name (RFC 9068 §4). For the
		// same reason it must not count as a request of its owner's.
		return iam.Errorf(iam.InvalidToken, "The access token was made for another audience: use one whose audience names this server.")
	}
	x.caller.Claims, x.caller.Foreign = claims, foreign
	s.OAuth.Used(claims, x.now)
	return nil
}

// noCredentials says which credentials the route takes, to a caller who presents none of them.
func (x *exchange) noCredentials() error {
	if x.route.auth == clientOrBearer {
		return iam.Errorf(iam.Unauthorized, "Client credentials or a token are needed: send client_id and client_secret by HTTP Basic or in the body, or a bearer token in the Authorization header.")
	}
	return iam.Errorf(iam.Unauthorized, "An access token is needed: log in and send it as a bearer token in the Authorization header.")
}

// permit refuses a caller who may not use the route.
func (x *exchange) permit() error {
	if x.route.auth == person {
		if _, isPerson := x.caller.User(); !isPerson {
			return x.noPerson()
		}
	}
	if want := x.route.permission; want != "" && !x.caller.Grants(want) {
		return iam.Errorf(iam.InsufficientScope, "The token does not hold the scope %s.", want)
	}
	return nil
}

func (x *exchange) noPerson() error {
	if x.caller.Claims == nil {
		return x.noCredentials()
	}
	return iam.Errorf(iam.Forbidden, "This is for people: a service token names none.")
}

// identifyClient finds out who calls a route that takes client credentials as well, of which the ones
// in the body are given.
func (s *Server) identifyClient(ctx context.Context, x *exchange, id, secret string) error {
	scheme, value, err := x.authorization()
	if err != nil {
		return err
	}
	if bytes.EqualFold(scheme, []byte("Bearer")) && len(value) > 0 && secret != "" {
		return errTwoWays()
	}
	if bytes.EqualFold(scheme, []byte("Bearer")) || scheme == nil && id == "" {
		return s.identify(x)
	}
	presented, err := x.clientAuth(scheme, value, id, secret)
	if err != nil {
		return err
	}
	client, err := s.OAuth.AuthenticateClient(ctx, presented)
	if err != nil {
		return err
	}
	x.caller = oauth.Caller{Client: client, Operator: x.operator}
	return nil
}

func errTwoWays() error {
	return iam.Errorf(iam.InvalidRequest, "The request authenticates in more than one way.")
}

// clientAuth is what the client presents: HTTP Basic in the Authorization header, or the two parameters of
// the body, never both (RFC 6749 §2.3).
func (x *exchange) clientAuth(scheme, value []byte, id, secret string) (oauth.ClientAuth, error) {
	presented := oauth.ClientAuth{ID: id, Secret: secret, IP: x.ip(), At: x.now}
	x.presented = id
	if !bytes.EqualFold(scheme, []byte("Basic")) {
		return presented, nil
	}
	basicID, basicSecret, ok := parseBasic(value)
	switch {
	case !ok:
		return presented, iam.Errorf(iam.InvalidClient, "The Basic credentials cannot be read.")
	case secret != "" || id != "" && id != basicID:
		return presented, errTwoWays()
	}
	presented.ID, presented.Secret = basicID, basicSecret
	x.presented = basicID
	return presented, nil
}

// parseBasic reads client credentials (RFC 7617). Both parts should be form-encoded first
// (RFC 6749 §2.3.1), which many clients do not do; a part without a percent sign is taken as it is,
// so that a secret with a plus sign in it works either way.
func parseBasic(value []byte) (id, secret string, ok bool) {
	var onStack [192]byte
	text, err := base64.StdEncoding.AppendDecode(onStack[:0], value)
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(text), ":")
	if id == "" || !ok {
		return "", "", false
	}
	return formDecoded(id), formDecoded(secret), true
}

func formDecoded(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}
