package httpapi

import "strings"

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
