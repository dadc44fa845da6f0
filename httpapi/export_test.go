package httpapi

import (
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
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
	Handler, DescribedAs     string
	Undescribed, Hidden      bool // of the OpenAPI document
}

// Routes returns the table for the tests from outside.
func Routes() []RouteInfo {
	var out []RouteInfo
	for _, r := range routes() {
		key := describedKey(r.method, r.path)
		about, described := describedRoutes()[key]
		out = append(out, RouteInfo{
			Method: r.method, Path: r.path, Permission: r.permission,
			Anyone: r.auth == anyone, Person: r.auth == person, Client: r.auth == clientOrBearer,
			AnyAudience:    r.anyAudience,
			Administrative: strings.HasPrefix(r.path, base+"/admin/"),
			Handler:        r.handle.name, DescribedAs: key, Undescribed: !described, Hidden: about.hidden,
		})
	}
	return out
}

// Codes are all words that a refusal can be.
func Codes() []string {
	var out []string
	for code := range statuses {
		out = append(out, string(code))
	}
	return out
}

// StrayMembers are entries about Type.member where the document has the type and the type no such member.
func StrayMembers() []string {
	d := newDocument()
	for _, rt := range routes() {
		if about := describedRoutes()[describedKey(rt.method, rt.path)]; !about.hidden {
			d.operation(&rt, about)
		}
	}
	var keys, out []string
	keys = slices.AppendSeq(keys, maps.Keys(rules))
	keys = slices.AppendSeq(keys, maps.Keys(samples))
	keys = slices.AppendSeq(keys, maps.Keys(apiDoc))
	for _, key := range keys {
		name, wanted, found := strings.Cut(key, ".")
		if t := d.met[name]; found && t != nil && !hasMember(t, wanted) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func hasMember(t reflect.Type, name string) bool {
	for f := range travelling(t) {
		if f.json == name {
			return true
		}
	}
	return false
}

// ParseConsistency is for the fuzzer.
var ParseConsistency = parseConsistency
