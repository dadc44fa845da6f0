package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/raft"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/steward"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
	"github.com/keystone-auth/keystone/view"
)

// loneLog is a Proposer without a cluster: it numbers the commands and applies them at once.
type loneLog struct {
	fsm *fsm.FSM

	mu    sync.Mutex
	index uint64
	fail  error // instead of applying
}

func (l *loneLog) Propose(ctx context.Context, origin fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return fsm.Result{}, l.fail
	}
	if origin.RequestID.IsZero() {
		origin.RequestID = iam.NewID()
	}
	entry, err := fsm.Encode(origin, iam.Now(), cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	l.index++
	answer := l.fsm.Apply(&raft.Log{Index: l.index, Term: 1, Type: raft.LogCommand, Data: entry}).(fsm.Response)
	if answer.Refusal != nil {
		return fsm.Result{}, answer.Refusal
	}
	if answer.Denies {
		origin.Receipts.Add(&fsm.Receipt{Index: l.index, Confirmed: 2, Members: 3, Waited: 1500 * time.Microsecond})
	}
	return answer.Result, ctx.Err()
}

func (l *loneLog) failWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// stack is a whole node but for its cluster, served from memory.
type stack struct {
	t        testing.TB
	store    *store.Store
	view     *view.View
	log      *loneLog
	audit    *audit.Log
	server   *httpapi.Server
	logged   *syncBuffer
	leader   atomic.Pointer[string]
	public   *http.Client
	operator *http.Client

	admin, user, other api.TokenResponse
	client             api.Client
	service            api.TokenResponse
}

const password = "Zx9!kestrel-Moor"

// option changes the configuration of a stack's server.
type option func(*httpapi.Config)

func withLimits(set limit.Set) option {
	return func(c *httpapi.Config) {
		c.Limits, c.Limiter = set, tally.New(tally.Config{Windows: limit.NewLimiter(1000), Now: iam.Now})
	}
}

// newStack starts a node with an admin, two users and a confidential client.
func newStack(t testing.TB, options ...option) *stack {
	t.Helper()
	if t, isTest := t.(*testing.T); isTest {
		t.Parallel()
	}
	s := &stack{t: t, logged: new(syncBuffer)}
	s.setLeader("n1")
	c := s.build(t.TempDir())
	for _, o := range options {
		o(&c)
	}
	if c.Limiter != nil {
		t.Cleanup(c.Limiter.Windows.Close)
	}
	s.server = httpapi.New(c)
	s.public = s.serve(s.server.Serve)
	s.operator = s.serve(s.server.ServeOperator)
	t.Cleanup(func() {
		if err := s.server.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	s.populate()
	return s
}

func (s *stack) build(dir string) httpapi.Config {
	t := s.t
	st, err := store.Open(filepath.Join(dir, "state.db"))
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(st.Check(), st.Close()); err != nil {
			t.Errorf("the state after the test: %v", err)
		}
	})
	shared := secret.NewClusterSecret()
	sealer := secret.NewSealer(shared)
	fatal := func(err error) { t.Errorf("fatal: %v", err) }
	v, err := view.New(view.Config{Open: sealer.Open, Fatal: fatal}, st)
	must(t, err)
	machine, err := fsm.New(fsm.Config{Store: st, Committed: v.Commit, Restored: func() { v.Reload(st) }, Fatal: fatal})
	must(t, err)
	s.store, s.view, s.log = st, v, &loneLog{fsm: machine}
	hasher := secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	people := &login.Service{
		Store: st, Proposer: s.log, Hasher: hasher, Now: iam.Now,
		CatchUp: func(context.Context) error { return nil },
		Policy:  login.Policy{MinLength: 8, MaxLength: 128, RequireUpper: true, RequireLower: true, RequireDigit: true, RequireSpecial: true},
		Lockout: login.Lockout{Attempts: 5, For: 15 * time.Minute}, Tally: tally.New(tally.Config{Now: iam.Now}),
	}
	s.settle(&steward.Steward{
		Store: st, Proposer: s.log, Sealer: sealer, Notary: secret.NewNotary(shared), Now: iam.Now, Log: slog.New(slog.DiscardHandler), Every: time.Millisecond,
		Settings: iam.Settings{
			Issuer: "keystone-auth", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400, ServiceSeconds: 900, DefaultRole: iam.RoleUser,
		},
	})
	s.audit = audit.New(audit.Config{Store: st, Proposer: s.log, Now: iam.Now, Logger: slog.New(slog.DiscardHandler), Every: time.Hour})
	t.Cleanup(func() { _ = s.audit.Close(context.Background()) }) // tests let proposals fail
	people.Refused = s.audit.Refused
	return httpapi.Config{
		Audit: s.audit,
		OAuth: &oauth.Service{
			Store: st, View: v, Proposer: s.log, Login: people, Now: iam.Now, Seal: sealer.Seal,
			Confirm: func(context.Context) (*fsm.Receipt, error) {
				return &fsm.Receipt{Index: machine.Applied(), Confirmed: 1, Members: 1}, nil
			},
		},
		Login: people, View: v, Store: st, Proposer: s.log, Hasher: hasher, Backup: s.openBackup(shared, dir),
		Cluster: httpapi.Cluster{
			Role:    func() string { return "leader" },
			Leader:  func() string { return *s.leader.Load() },
			Applied: machine.Applied,
			Status: func(context.Context) api.Cluster {
				return api.Cluster{Leader: "n1", Term: 1, Nodes: []api.Node{{Name: "n1", ID: iam.NewID().String(), State: "alive"}}}
			},
		},
		Version: "v0-test", Node: "n1", Logger: slog.New(slog.NewJSONHandler(s.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// openBackup makes copies of the state, as a node does.
func (s *stack) openBackup(signer secret.ClusterSecret, dir string) func() (io.ReadCloser, int64, error) {
	source := &backup.Source{Store: s.store, Folder: dir, ClusterID: iam.NewID().String, Secret: signer, Node: "n1"}
	return func() (io.ReadCloser, int64, error) {
		a, err := source.Open()
		if err != nil {
			return nil, 0, err
		}
		return a, a.Size, nil
	}
}

// settle runs the leader's duties until there is a key to sign with.
func (s *stack) settle(duties *steward.Steward) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; closed here alone
		defer close(done)
		duties.Run(ctx)
	}()
	eventually(s.t, "a signing key", func() bool {
		_, _, ok := s.view.Keys().Signer(iam.Now())
		return ok
	})
	cancel()
	<-done
}

func (s *stack) setLeader(name string) { s.leader.Store(&name) }

func (s *stack) serve(serve func(net.Listener) error) *http.Client {
	l := fasthttputil.NewInmemoryListener()
	go func() { // ends with the server's Shutdown, which closes the listener
		if err := serve(l); err != nil {
			s.t.Errorf("serve: %v", err)
		}
	}()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.Dial() }}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// populate makes everybody through the API itself.
func (s *stack) populate() {
	mustDo := func(client *http.Client, r call, into any) {
		s.t.Helper()
		if a := s.do(client, r); a.status > 299 || json.Unmarshal([]byte(a.body), into) != nil {
			s.t.Fatalf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
	}
	var user api.User
	mustDo(s.operator, call{method: "POST", path: v1 + "/admin/users", json: `{"username":"root","email":"root@example.com","password":"` + password + `","roles":["admin","user"]}`}, &user)
	for _, name := range []string{"Alice", "bob"} {
		mustDo(s.operator, call{method: "POST", path: v1 + "/admin/users", json: `{"username":"` + name + `","email":"` + name + `@example.com","password":"` + password + `"}`}, &user)
	}
	var scope api.Scope
	mustDo(s.operator, call{method: "POST", path: v1 + "/admin/scopes", json: `{"name":"read:demo"}`}, &scope)
	mustDo(s.operator, call{method: "POST", path: v1 + "/admin/clients", json: `{"client_id":"demo","name":"Demo","scopes":["read:demo"],"audiences":["https://a.example","https://b.example","keystone-auth"]}`}, &s.client)
	for name, into := range map[string]*api.TokenResponse{"root": &s.admin, "alice": &s.user, "bob": &s.other} {
		mustDo(s.operator, call{method: "POST", path: v1 + "/auth/token", json: loginBody(name, password)}, into)
	}
	mustDo(s.operator, call{method: "POST", path: v1 + "/auth/service-token", json: `{"client_id":"demo","client_secret":"` + s.client.ClientSecret + `"}`}, &s.service)
}

func loginBody(name, pass string) string {
	return `{"username":"` + name + `","password":"` + pass + `"}`
}

const v1 = "/api/v1"

// call is one request.
type call struct {
	method, path string
	json, form   string
	header       map[string]string
	bearer       string
	basic        [2]string
	host         string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *stack) do(client *http.Client, c call) answer {
	s.t.Helper()
	req, err := http.NewRequest(c.method, "http://keystone.test"+c.path, strings.NewReader(c.json+c.form))
	must(s.t, err)
	switch {
	case c.json != "":
		req.Header.Set("Content-Type", "application/json")
	case c.form != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.basic[0] != "" {
		req.SetBasicAuth(c.basic[0], c.basic[1])
	}
	if c.host != "" {
		req.Host = c.host
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(s.t, err)
	a := answer{resp.StatusCode, resp.Header, string(body)}
	record(s.t, client == s.operator, c, req, a)
	return a
}

// get is a public request that must succeed, with its answer decoded.
func get[T any](s *stack, c call) (out T) {
	s.t.Helper()
	a := s.do(s.public, c)
	if a.status > 299 {
		s.t.Fatalf("%s %s: %d %s", c.method, c.path, a.status, a.body)
	}
	return decoded[T](s.t, a)
}

func decoded[T any](t testing.TB, a answer) (out T) {
	t.Helper()
	must(t, json.Unmarshal([]byte(a.body), &out))
	return out
}

func (s *stack) active(raw string) bool {
	s.t.Helper()
	return get[api.Introspection](s, call{method: "POST", path: v1 + "/auth/introspect", json: `{"token":"` + raw + `"}`, bearer: s.service.AccessToken}).Active
}

// problem decodes an error body, which must have its fixed members.
func problem(t testing.TB, a answer) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("the body of a %d is no problem: %v: %s", a.status, err, a.body)
	}
	if p.Code == "" || p.Description == "" || p.Timestamp.IsZero() || p.RequestID == "" {
		t.Errorf("the problem lacks a member: %s", a.body)
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// syncBuffer is a log that a test can read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// isPage tells whether a path is one of the pages for people, which the document leaves out.
func isPage(path string) bool {
	return path == "/redoc" || path == "/docs" || strings.HasPrefix(path, "/docs/")
}
