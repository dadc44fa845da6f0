package httpapi

import (
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
)

// What pages of the allowed origins may send and read beyond what every page may (Fetch §3.3.6), and
// for how many seconds a browser may remember that.
const (
	corsRequestHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, Keystone-Consistency, X-Request-ID"
	corsAnswerHeaders  = "ETag, Keystone-Index, Keystone-Staleness-Ms, Retry-After, WWW-Authenticate, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
	corsMaxAge         = "600"
)

// preflighted is the route of the questions that browsers ask before they send a request.
var preflighted = route{method: fasthttp.MethodOptions, path: "preflight", always: true, quiet: true}

// shared adds to every answer what tells a browser whether the page that asked may read it; errors are
// no exception, or a page could not tell a wrong password from a broken network. An origin is allowed
// when it is on the list, letter by letter. "null" never is: files and sandboxed frames of anybody have
// it. Without a list no answer says anything, and browsers let no page read it.
func (s *Server) shared(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	if len(s.AllowedOrigins) == 0 {
		return h
	}
	return func(ctx *fasthttp.RequestCtx) {
		h(ctx)
		s.share(ctx)
	}
}

func (s *Server) share(ctx *fasthttp.RequestCtx) {
	if len(s.AllowedOrigins) == 0 {
		return
	}
	answer := &ctx.Response.Header
	// On answers to everybody, or a cache would hand one page the answer that was made for another.
	answer.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	origin := string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin))
	if !s.originAllowed(origin) {
		return
	}
	answer.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
	// Pages written for the system that Keystone takes the place of ask with credentials. There are no
	// cookies here, so this gives them nothing that they do not send by themselves.
	answer.Set(fasthttp.HeaderAccessControlAllowCredentials, "true")
	answer.Set(fasthttp.HeaderAccessControlExposeHeaders, corsAnswerHeaders)
}

func (s *Server) originAllowed(origin string) bool {
	return origin != "" && origin != "null" && slices.Contains(s.AllowedOrigins, origin)
}

// preflight answers the question whether a page may send a request to a path that takes the methods.
// OPTIONS that is no such question is a method like others that the path does not take.
func (s *Server) preflight(methods []string) fasthttp.RequestHandler {
	list := strings.Join(methods, ", ")
	yes := s.serve(&preflighted, func(_ *Server, x *exchange) error {
		h := &x.http.Response.Header
		h.Set(fasthttp.HeaderAccessControlAllowMethods, list)
		h.Set(fasthttp.HeaderAccessControlAllowHeaders, corsRequestHeaders)
		h.Set(fasthttp.HeaderAccessControlMaxAge, corsMaxAge)
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderAccessControlRequestMethod)
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderAccessControlRequestHeaders)
		x.http.SetStatusCode(fasthttp.StatusNoContent)
		return nil
	})
	no := s.serve(&preflighted, func(*Server, *exchange) error {
		return iam.Errorf(iam.Forbidden, "Web pages of this origin may not call this server.")
	})
	other := s.serve(&wrongMethod, refuseMethod(methods))
	return func(ctx *fasthttp.RequestCtx) {
		switch ask := &ctx.Request.Header; {
		case len(ask.Peek(fasthttp.HeaderOrigin)) == 0, len(ask.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0:
			other(ctx)
		case s.originAllowed(string(ask.Peek(fasthttp.HeaderOrigin))):
			yes(ctx)
		default:
			no(ctx)
		}
	}
}
