package httpapi

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// Forward authentication: a proxy asks for each request that it gets whether to let it through, and sends the
// Authorization header along. 200 means yes, and says by headers who it is; every other status means no.

const verifyPath = base + "/auth/verify"

// verify answers such a proxy. All headers are there in every answer, empty if need be: a proxy that copies those it
// finds would else let pass what a client has sent under the name of a missing one.
func (s *Server) verify(_ context.Context, x *exchange, _ nothing) (api.Verified, error) {
	claims := x.caller.Claims
	if claims == nil {
		return api.Verified{}, x.noCredentials() // the operator, whose socket no proxy should speak to
	}
	if wanted := x.query("audience"); wanted != "" && !slices.Contains(claims.Audience, wanted) {
		return api.Verified{}, iam.Errorf(iam.InvalidToken, "The access token was made for another audience than the one that is asked for.")
	}
	for _, wanted := range strings.Fields(x.query("scope")) {
		if !slices.Contains(claims.Scope, wanted) {
			return api.Verified{}, iam.Errorf(iam.InsufficientScope, "The token does not hold every scope that is asked for.")
		}
	}
	v := api.Verified{
		Subject: claims.Subject, Type: claims.Type, ClientID: claims.ClientID, Username: claims.Username,
		Scope: iam.JoinScopes(claims.Scope), Roles: claims.Roles,
	}
	for name, value := range map[string]string{
		"X-Auth-Subject": v.Subject, "X-Auth-Type": v.Type, "X-Auth-Client-Id": v.ClientID, "X-Auth-Username": v.Username,
		"X-Auth-Scope": v.Scope, "X-Auth-Roles": strings.Join(v.Roles, " "),
	} {
		x.http.Response.Header.Set(name, value)
	}
	return v, nil
}

// asGet serves proxies such as Envoy, which ask by the method and path of the request that they wonder about, behind
// a prefix. Neither means anything here, but that whoever sends HEAD takes the bytes of a body for the next answer.
func asGet(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		uri := ctx.URI()
		if bytes.HasPrefix(uri.PathOriginal(), []byte(verifyPath+"/")) {
			uri.SetPath(verifyPath)
			if !ctx.IsHead() {
				ctx.Request.Header.SetMethod(fasthttp.MethodGet)
			}
		}
		h(ctx)
	}
}
