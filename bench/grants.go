package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/keystone-auth/keystone/api"
)

// usersOf is how many users a scenario makes where the plan does not say.
const usersOf = 16

func (s *stage) users() int {
	if s.plan.Users > 0 {
		return s.plan.Users
	}
	return usersOf
}

func prepareVerify(ctx context.Context, s *stage) (*load, error) {
	people, err := s.people(ctx, s.users())
	if err != nil {
		return nil, err
	}
	open, err := s.sessions(ctx, people, len(people))
	if err != nil {
		return nil, err
	}
	requests := make([]request, len(open))
	for i, a := range open {
		requests[i] = s.profile(a.AccessToken)
	}
	return &load{
		operations: []string{"verify"},
		step:       func(w *worker) { w.call(0, &requests[w.random.IntN(len(requests))], ok) },
	}, nil
}

func (s *stage) profile(token string) request {
	return request{method: "GET", path: s.paths.profile, authorization: "Bearer " + token}
}

func prepareLogin(ctx context.Context, s *stage) (*load, error) {
	people, err := s.people(ctx, s.users())
	if err != nil {
		return nil, err
	}
	requests := s.logins(people)
	return &load{
		operations: []string{"login"},
		step:       func(w *worker) { w.call(0, &requests[w.random.IntN(len(requests))], ok) },
	}, nil
}

func (s *stage) logins(people []person) []request {
	requests := make([]request, len(people))
	for i, p := range people {
		form := url.Values{"grant_type": {"password"}, "username": {p.username}, "password": {p.password}}
		requests[i] = request{method: "POST", path: s.paths.token, body: form.Encode()}
	}
	return requests
}

func prepareServiceToken(ctx context.Context, s *stage) (*load, error) {
	if s.paths.service == "" {
		return nil, errors.New("service tokens need the token endpoint: name it with --token-url")
	}
	p, err := s.program(ctx, tokenSeconds)
	if err != nil {
		return nil, err
	}
	r := s.grant(p)
	return &load{operations: []string{"service-token"}, step: func(w *worker) { w.call(0, r, ok) }}, nil
}

// chain is the refresh tokens of one session, each of which is good once.
type chain struct{ refresh string }

// next exchanges the token for the following one, and keeps that. Where the answer was lost it asks again
// with the old one, as a client would: the server knows a retry.
func (c *chain) next(s *stage, w *worker, operation int) {
	body, good := w.call(operation, &request{method: "POST", path: s.paths.refresh, body: "refresh_token=" + url.QueryEscape(c.refresh)}, ok)
	var a api.TokenResponse
	if good && json.Unmarshal(body, &a) == nil {
		c.refresh = a.RefreshToken
	}
}

// chains opens a session for each connection.
func (s *stage) chains(ctx context.Context) ([]chain, error) {
	people, err := s.people(ctx, max(s.users(), (s.plan.Connections+49)/50))
	if err != nil {
		return nil, err
	}
	open, err := s.sessions(ctx, people, s.plan.Connections)
	if err != nil {
		return nil, err
	}
	chains := make([]chain, len(open))
	for i, a := range open {
		chains[i].refresh = a.RefreshToken
	}
	return chains, nil
}

func prepareRefresh(ctx context.Context, s *stage) (*load, error) {
	chains, err := s.chains(ctx)
	if err != nil {
		return nil, err
	}
	return &load{operations: []string{"refresh"}, step: func(w *worker) { chains[w.number].next(s, w, 0) }}, nil
}

// issueAndRevoke takes a token through its life. Once the revocation is answered, no node may call it
// active, so the last question goes to another one.
func (s *stage) issueAndRevoke(w *worker, p program, issue, revoke, ask int) {
	body, good := w.call(issue, s.grant(p), ok)
	var a api.TokenResponse
	if !good || json.Unmarshal(body, &a) != nil {
		return
	}
	r := request{method: "POST", path: s.paths.revoke, authorization: p.basic(), body: "token=" + url.QueryEscape(a.AccessToken)}
	if _, good := w.call(revoke, &r, ok); !good {
		return
	}
	r = s.about(p.basic(), a.AccessToken)
	w.callBy(w.other, ask, &r, saysInactive)
}

func prepareRevoke(ctx context.Context, s *stage) (*load, error) {
	p, err := s.program(ctx, tokenSeconds)
	if err != nil {
		return nil, err
	}
	return &load{
		operations: []string{"service-token", "revoke", "introspect revoked"},
		step:       func(w *worker) { s.issueAndRevoke(w, p, 0, 1, 2) },
		notes:      []string{"A rate is one of tokens, each of which takes three requests in a row."},
	}, nil
}
