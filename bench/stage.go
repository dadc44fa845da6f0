package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keystone-auth/keystone/api"
)

// hands is how many things are made at a time, and fewHands of those that a password is hashed for.
const (
	hands    = 16
	fewHands = 4
)

// stage is where a scenario is prepared: what it may use, and what has to be taken away afterwards.
type stage struct {
	site    Site
	nodes   []node
	paths   paths
	plan    Plan
	options Options
	foreign bool
	made    []func(ctx context.Context) error
}

// removeAll removes what was made, the last thing first.
func (s *stage) removeAll(ctx context.Context) error {
	if len(s.made) > 0 {
		s.options.Say("removing what was made for the bench")
	}
	var errs []error
	for _, remove := range slices.Backward(s.made) {
		if err := remove(ctx); err != nil {
			errs = append(errs, fmt.Errorf("something that the bench made is left over: %w", err))
		}
	}
	return errors.Join(errs...)
}

// name makes a name that nothing else has.
func name(of string) string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return "bench-" + of + "-" + hex.EncodeToString(b[:])
}

// program is a client with its secret.
type program struct{ id, secret string }

// basic is the Authorization header with which it proves itself (RFC 6749 §2.3.1).
func (p program) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(p.id)+":"+url.QueryEscape(p.secret)))
}

// program returns a client whose tokens live for so many seconds, or the one that is there.
func (s *stage) program(ctx context.Context, seconds int64) (program, error) {
	if s.site.Admin == nil {
		return program{s.site.ClientID, s.site.ClientSecret}, nil
	}
	made, err := s.site.Admin.CreateClient(ctx, api.CreateClientRequest{
		ClientID: name("client"), Name: "Load test", Description: "made by keystone bench, which removes it at its end",
		AccessTokenLifetime: seconds,
	})
	if err != nil {
		return program{}, fmt.Errorf("no client could be made for the bench: %w", err)
	}
	s.made = append(s.made, func(ctx context.Context) error { return s.site.Admin.DeleteClient(ctx, made.ClientID) })
	p := program{made.ClientID, made.ClientSecret}
	return p, s.known(ctx, p)
}

// known returns when every node knows a client that was made a moment ago on one of them.
func (s *stage) known(ctx context.Context, p program) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for i := range s.nodes {
		c := newConn(s.nodes[i:i+1], 0)
		defer c.close()
		for {
			status, body, err := c.do(ctx, s.grant(p))
			if err == nil && (status == 200 || status == 429) { // a limit is for the load to meet
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				if err == nil {
					err = errors.New(refusal(status, body))
				}
				return fmt.Errorf("%s does not take the client that was made for the bench: %w", s.nodes[i].url, err)
			}
		}
	}
	return nil
}

// grant asks for one token of a client.
func (s *stage) grant(p program) *request {
	return &request{method: "POST", path: s.paths.service, authorization: p.basic(), body: "grant_type=client_credentials"}
}

// tokens issues tokens of a client. On a Keystone that is done over the administrator's way in, which on the
// operator's socket has no rate limit.
func (s *stage) tokens(ctx context.Context, p program, count int) ([]string, error) {
	s.options.Say(fmt.Sprintf("issuing %d tokens", count))
	issue := func(ctx context.Context, c *conn) (string, error) {
		if s.site.Admin != nil {
			a, err := s.site.Admin.ServiceToken(ctx, api.ServiceTokenRequest{ClientID: p.id, ClientSecret: p.secret})
			return a.AccessToken, err
		}
		status, body, err := c.do(ctx, s.grant(p))
		if err != nil {
			return "", err
		}
		var a api.TokenResponse
		if status != 200 || json.Unmarshal(body, &a) != nil || a.AccessToken == "" {
			return "", fmt.Errorf("the token endpoint answered %s", refusal(status, body))
		}
		return a.AccessToken, nil
	}
	made := make([]string, count)
	err := s.each(ctx, count, hands, func(ctx context.Context, i int, c *conn) (err error) {
		made[i], err = issue(ctx, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the tokens for the bench could not be issued: %w", err)
	}
	return made, nil
}

// each does something so many times, with many hands.
func (s *stage) each(ctx context.Context, count, hands int, do func(ctx context.Context, i int, c *conn) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for hand := range min(hands, count) {
		g.Go(func() error {
			c := newConn(s.nodes, hand)
			defer c.close()
			for {
				i := int(next.Add(1) - 1)
				if i >= count {
					return nil
				}
				if err := do(ctx, i, c); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// newPassword makes the one of all users of a run. They hold no right and are removed with it.
func newPassword() string { return "Bench-7-" + rand.Text() }

// person is a user that the bench made.
type person struct{ username, password string }

// people makes users.
func (s *stage) people(ctx context.Context, count int) ([]person, error) {
	if err := s.needAdmin(); err != nil {
		return nil, err
	}
	s.options.Say(fmt.Sprintf("making %d users", count))
	made, password := make([]person, count), newPassword()
	for i := range made {
		made[i] = person{name("user"), password}
	}
	s.made = append(s.made, func(ctx context.Context) error {
		return s.each(ctx, count, hands, func(ctx context.Context, i int, _ *conn) error {
			if made[i].username == "" {
				return nil
			}
			return s.site.Admin.DeleteUser(ctx, made[i].username)
		})
	})
	err := s.each(ctx, count, fewHands, func(ctx context.Context, i int, _ *conn) error {
		_, err := s.site.Admin.CreateUser(ctx, api.CreateUserRequest{
			Username: made[i].username, Email: made[i].username + "@bench.invalid", Password: password,
		})
		if err != nil {
			made[i].username = "" // nothing to remove
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the users for the bench could not be made: %w", err)
	}
	return made, nil
}

func (s *stage) needAdmin() error {
	if s.site.Admin == nil {
		return errors.New("this scenario makes users of its own, for which it needs the administrator of a Keystone: name the data folder of a node with --data, or put a token into KEYSTONE_TOKEN")
	}
	return nil
}

// sessions logs people in, one session after the other, and returns the answers.
func (s *stage) sessions(ctx context.Context, people []person, count int) ([]api.TokenResponse, error) {
	s.options.Say(fmt.Sprintf("logging in %d times", count))
	made := make([]api.TokenResponse, count)
	err := s.each(ctx, count, fewHands, func(ctx context.Context, i int, _ *conn) (err error) {
		p := people[i%len(people)]
		made[i], err = s.site.Admin.Login(ctx, api.TokenRequest{Username: p.username, Password: p.password})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the users of the bench could not log in: %w", err)
	}
	return made, nil
}

// revoke takes a token back for good: when it returns, no node may call the token active.
func (s *stage) revoke(ctx context.Context, c *conn, p program, token string) error {
	status, body, err := c.do(ctx, &request{method: "POST", path: s.paths.revoke, authorization: p.basic(), body: "token=" + url.QueryEscape(token)})
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("the revocation endpoint answered %s", refusal(status, body))
	}
	return nil
}

// refusal names an answer that is not the wanted one: its status, and its code where it has one.
func refusal(status int, body []byte) string {
	var p struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(body, &p) == nil && p.Code != "" && len(p.Code) < 64 {
		return fmt.Sprintf("%d %s", status, p.Code)
	}
	return fmt.Sprintf("%d", status)
}

// ok judges an answer by its status alone.
func ok(status int, body []byte) (outcome, string) {
	if status == 200 {
		return answered, ""
	}
	return failed, refusal(status, body)
}
