package httpapi

import (
	"net"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
)

// wrongHost is the route of requests for a host that is not ours.
var wrongHost = route{path: "wrong host", always: true, quiet: true}

// checkHost refuses requests for hosts that are not on the list, before anything else looks at them: a
// page that lets its own name point at this server would otherwise be of the same origin as the API (DNS
// rebinding), and what is made of the Host header, such as the metadata document, would be of the
// caller's making. Health is for probes, which know nodes by their addresses. No list: every host.
func (s *Server) checkHost(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	if len(s.AllowedHosts) == 0 {
		return h
	}
	refuse := s.serve(&wrongHost, func(*Server, *exchange) error {
		return iam.Errorf(iam.InvalidRequest, "The Host header names no host that this server answers for.")
	})
	return func(ctx *fasthttp.RequestCtx) {
		if isHealth(string(ctx.Path())) || hostAllowed(s.AllowedHosts, string(ctx.Host())) {
			h(ctx)
			return
		}
		refuse(ctx)
	}
}

func isHealth(path string) bool {
	switch strings.TrimSuffix(path, "/") {
	case "/health", "/health/live", "/health/ready":
		return true
	}
	return false
}

// hostAllowed compares what a request names with the list: names and addresses in lower case,
// ".example.org" for a name with all below it, "*.example.org" for those below it alone.
func hostAllowed(list []string, host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if ip := net.ParseIP(host); ip != nil {
		host = ip.String()
	}
	for _, entry := range list {
		below := strings.TrimPrefix(entry, "*")
		switch {
		case host == entry:
			return host != ""
		case !strings.HasPrefix(below, "."):
		case strings.HasSuffix(host, below) && len(host) > len(below):
			return true
		case below == entry && host == below[1:]:
			return true
		}
	}
	return false
}
