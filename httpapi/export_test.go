package httpapi

import (
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// AddressOf is whom a request with these headers comes from, over a connection from peer.
func AddressOf(proxies []netip.Prefix, peer string, h *fasthttp.RequestHeader) string {
	s := &Server{Config: Config{TrustedProxies: proxies}}
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 40000}, nil)
	h.CopyTo(&ctx.Request.Header)
	return s.address(&ctx).String()
}

// RouteInfo is what the tests from outside see of a route.
type RouteInfo struct {
	Method, Path, Permission string
	Anyone, Person, Client   bool
	AnyAudience              bool
	Administrative           bool
}

// Routes returns the table for the tests from outside.
func Routes() []RouteInfo {
	var out []RouteInfo
	for _, r := range routes() {
		out = append(out, RouteInfo{
			Method: r.method, Path: r.path, Permission: r.permission,
			Anyone: r.auth == anyone, Person: r.auth == person, Client: r.auth == clientOrBearer,
			AnyAudience:    r.anyAudience,
			Administrative: strings.HasPrefix(r.path, base+"/admin/"),
		})
	}
	return out
}
