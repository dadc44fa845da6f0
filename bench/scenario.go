package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Scenario is one kind of load.
type Scenario struct {
	Name    string
	Summary string
	Foreign bool // any OAuth 2 server can be measured with it
	prepare func(ctx context.Context, s *stage) (*load, error)
}

var scenarios = []Scenario{
	{"introspect", "introspection of many tokens: valid, revoked, expired and garbage ones", true, prepareIntrospect},
	{"verify", "a protected route with a bearer token", false, prepareVerify},
	{"login", "logins with a password", false, prepareLogin},
	{"refresh", "the exchange of refresh tokens, one session for each connection", false, prepareRefresh},
	{"service-token", "tokens for a client (client credentials)", true, prepareServiceToken},
	{"revoke", "a token is issued, revoked, and asked about on another node", false, prepareRevoke},
	{"mixed", "a realistic day: mostly introspection, some of everything else", false, prepareMixed},
	{"failover", "introspections and refreshes while a node dies: what fails, and for how long", false, prepareFailover},
}

// Scenarios returns all of them.
func Scenarios() []Scenario { return slices.Clone(scenarios) }

func find(name string) (Scenario, error) {
	var names []string
	for _, s := range scenarios {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("there is no scenario %q: choose one of %s", name, strings.Join(names, ", "))
}
