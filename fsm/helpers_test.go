package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	rapid.TB
	Cleanup(func())
}

// machine is a state machine without a log: it makes the entries itself.
type machine struct {
	tester
	dir      string
	store    *store.Store
	fsm      *FSM
	index    uint64
	now      iam.Time
	changes  []store.Change
	restored int
	fatal    error
}

// epoch is where the clocks of the tests begin.
const epoch = iam.Time(1_767_000_000_000_000)

// newMachine returns an empty machine with its files in dir. Its state must pass Check at the end.
func newMachine(t tester, dir string) *machine {
	m := &machine{tester: t, dir: dir, now: epoch}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m.open()
	t.Cleanup(func() {
		if m.fatal == nil {
			m.check()
		}
		m.close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return m
}

func start(t *testing.T) *machine { return newMachine(t, t.TempDir()) }

func (m *machine) open() {
	m.Helper()
	s, err := store.Open(filepath.Join(m.dir, "state.db"))
	if err != nil {
		m.Fatal(err)
	}
	f, err := New(Config{
		Store:     s,
		Committed: func(changes []store.Change) { m.changes = append(m.changes, changes...) },
		Restored:  func() { m.restored++ },
		Fatal:     func(err error) { m.fatal = err },
	})
	if err != nil {
		m.Fatal(err)
	}
	m.store, m.fsm = s, f
}

func (m *machine) close() {
	m.Helper()
	if err := m.store.Close(); err != nil {
		m.Error(err)
	}
}

func (m *machine) reopen() { m.Helper(); m.close(); m.open() }

func (m *machine) check() {
	m.Helper()
	if err := m.store.Check(); err != nil {
		m.Fatalf("Check: %v", err)
	}
}

func (m *machine) meta() store.Meta {
	m.Helper()
	meta, err := m.store.Meta()
	if err != nil {
		m.Fatal(err)
	}
	return meta
}

// guarded runs fn as raft's goroutine would: a fatal error ends it without a return.
func guarded(fn func()) (panicked error) {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		fn()
	}()
	return <-done
}

// deliver hands entries to the machine as raft does. After a fatal error the answer is nil.
func (m *machine) deliver(batch ...*raft.Log) (responses []any) {
	m.Helper()
	if err := guarded(func() { responses = m.fsm.ApplyBatch(batch) }); err != nil {
		m.Fatal(err)
	}
	return responses
}

func (m *machine) entry(origin Origin, cmd Command) *raft.Log {
	m.Helper()
	data, err := Encode(origin, m.now, cmd)
	if err != nil {
		m.Fatalf("%T %+v is not valid: %v", cmd, cmd, err)
	}
	m.index++
	return &raft.Log{Index: m.index, Term: 1, Type: raft.LogCommand, Data: data}
}

// ask applies a command and returns what became of it.
func (m *machine) ask(origin Origin, cmd Command) Response {
	m.Helper()
	responses := m.deliver(m.entry(origin, cmd))
	if m.fatal != nil {
		m.Fatalf("%T %+v: %v", cmd, cmd, m.fatal)
	}
	return responses[0].(Response)
}

// do applies a command that must be accepted.
func (m *machine) do(cmd Command) Result {
	m.Helper()
	r := m.ask(Origin{Actor: "test"}, cmd)
	if r.Refusal != nil {
		m.Fatalf("%T %+v is refused: %v", cmd, cmd, r.Refusal)
	}
	return r.Result
}

// refuse applies a command that must be refused with that code and change nothing.
func (m *machine) refuse(cmd Command, code iam.Code) *iam.Error {
	m.Helper()
	before := m.dump()
	r := m.ask(Origin{Actor: "test"}, cmd)
	if r.Refusal == nil || r.Refusal.Code != code {
		m.Fatalf("%T %+v: %v; want %s", cmd, cmd, r.Refusal, code)
	}
	if diff := cmp.Diff(before, m.dump()); diff != "" {
		m.Fatalf("a refused %T changed the state: %s", cmd, diff)
	}
	return r.Refusal
}

// wait lets the machine's clock go on.
func (m *machine) wait(d time.Duration) { m.now = m.now.Add(d) }

func (m *machine) view(fn func(*store.Reader)) {
	m.Helper()
	if err := m.store.View(func(r *store.Reader) error { fn(r); return nil }); err != nil {
		m.Fatal(err)
	}
}

// state is every row except those of the audit log and the outcomes.
type state struct {
	Users       []iam.User
	Roles       []iam.Role
	Scopes      []iam.Scope
	Clients     []iam.Client
	Sessions    []iam.Session
	Revocations []iam.Revocation
	Keys        []iam.Key
	Tickets     []iam.Ticket
	Legacy      []iam.LegacySession
	Imports     []iam.Import
	Imported    []iam.Imported
	ACME        []iam.ACMEItem
	Locks       []iam.Lock
	Settings    iam.Settings
	Epoch       iam.Epoch
	Initialized bool
}

func (m *machine) dump() (s state) {
	m.Helper()
	const all = 1 << 20
	m.view(func(r *store.Reader) {
		s.Users, s.Roles, s.Scopes = r.Users(iam.ID{}, all), r.Roles(iam.ID{}, all), r.Scopes(iam.ID{}, all)
		s.Clients, s.Sessions, s.Keys = r.Clients(iam.ID{}, all), r.Sessions(iam.ID{}, all), r.Keys()
		s.Settings, s.Initialized = r.Settings()
		s.Epoch, _ = r.Epoch()
		s.Legacy = r.LegacySessions(iam.ID{}, all)
		s.ACME, s.Locks = r.ACMEItems("", all), r.Locks(all)
		for _, source := range []string{"s1", "s2"} {
			if i, ok := r.Import(source); ok {
				s.Imports = append(s.Imports, i)
			}
		}
		for kind, letters := range map[iam.ImportKind]string{iam.ImportScope: "pP", iam.ImportRole: "rR", iam.ImportUser: "u", iam.ImportClient: "c", iam.ImportSession: "l"} {
			for i := range 10 * len(letters) {
				if rec, ok := r.Imported(kind, id(letters[i%len(letters)], i/len(letters))); ok {
					s.Imported = append(s.Imported, rec)
				}
			}
		}
		slices.SortFunc(s.Imported, func(a, b iam.Imported) int {
			return strings.Compare(fmt.Sprint(a.Kind, a.ID), fmt.Sprint(b.Kind, b.ID))
		})
		for n := 1; n <= 3; n++ { // the users that generators know, gone or not
			for _, purpose := range []iam.TicketPurpose{iam.ResetPassword, iam.VerifyEmail} {
				if ticket, ok := r.Ticket(purpose, id('u', n)); ok {
					s.Tickets = append(s.Tickets, ticket)
				}
			}
		}
		r.EachHot(func(row any) {
			if revocation, ok := row.(iam.Revocation); ok {
				s.Revocations = append(s.Revocations, revocation)
			}
		})
	})
	return s
}

// audit returns the entries of the audit log as "type result".
func (m *machine) audit() (lines []string) {
	m.Helper()
	m.view(func(r *store.Reader) {
		for _, e := range r.Audit(0, 1<<20) {
			lines = append(lines, e.Type+" "+e.Result)
		}
	})
	return lines
}

func (m *machine) lastAudit() string {
	m.Helper()
	lines := m.audit()
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// decoded reads the value of a result.
func decoded[V any](t tester, r Result) (v V) {
	t.Helper()
	if err := r.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// id makes ids that say what they belong to.
func id(kind byte, n int) iam.ID { return iam.ID{0: kind, 15: byte(n)} }

func digest(n int) []byte {
	sum := sha256.Sum256([]byte{byte(n >> 8), byte(n)})
	return sum[:]
}

var (
	roleAdmin, roleUser, roleService = id('r', 1), id('r', 2), id('r', 3)
	scopeRead, scopeWrite            = id('p', 1), id('p', 2)
)

func settings() iam.Settings {
	return iam.Settings{Issuer: "keystone-auth", Algorithm: "ES256", AccessSeconds: 900, RefreshSeconds: 86400, ServiceSeconds: 900, DefaultRole: iam.RoleUser}
}

func initialize() *Initialize {
	return &Initialize{
		Settings: settings(),
		Scopes:   []iam.Scope{{ID: scopeRead, Name: "read:demo"}, {ID: scopeWrite, Name: "write:demo"}},
		Roles: []iam.Role{
			{ID: roleAdmin, Name: iam.RoleAdmin, Scopes: []iam.ID{scopeWrite, scopeRead, scopeWrite}},
			{ID: roleUser, Name: iam.RoleUser},
			{ID: roleService, Name: iam.RoleService},
		},
	}
}

func person(n int, name string, roles ...iam.ID) iam.User {
	return iam.User{ID: id('u', n), Username: name, Email: name + "@example.org", PasswordHash: "hash", Active: true, Roles: roles}
}

func program(n int, name string) iam.Client {
	return iam.Client{ID: id('c', n), ClientID: name, Name: name, Type: iam.Confidential, SecretDigest: digest(0), Active: true}
}

// peopled returns an initialized machine with ann, an administrator, bob, and the client app.
func peopled(t *testing.T) *machine {
	t.Helper()
	m := start(t)
	m.do(initialize())
	m.do(&CreateUser{User: person(1, "ann", roleAdmin)})
	m.do(&CreateUser{User: person(2, "bob", roleUser)})
	m.do(&CreateClient{Client: program(1, "app")})
	return m
}

// login starts a session of that user whose first refresh token has the digest of n.
func login(m *machine, user iam.ID, n int) *StartSession {
	return &StartSession{Proven: "hash", Session: iam.Session{
		ID: id('s', n), UserID: user, Family: digest(n), Refresh: digest(1000 * n), TokenID: fmt.Sprint("jti", n), ExpiresAt: m.now.Add(time.Hour),
	}}
}

// rotate exchanges the k-th refresh token of that session for the next one.
func rotate(m *machine, n, k int) *RotateSession {
	return &RotateSession{
		ID: id('s', n), Family: digest(n), Presented: digest(1000*n + k), Next: digest(1000*n + k + 1),
		Replay: []byte{byte(k + 1)}, TokenID: fmt.Sprint("jti", n, "-", k+1), ExpiresAt: m.now.Add(time.Hour),
	}
}

// sameResponses compares what two machines answered.
func sameResponses(a, b []any) string {
	if len(a) == 0 && len(b) == 0 {
		return ""
	}
	return cmp.Diff(a, b, cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) }))
}

func isUnavailable(response any) bool {
	r, ok := response.(Response)
	return ok && r.Refusal != nil && r.Refusal.Code == iam.TemporarilyUnavailable
}
