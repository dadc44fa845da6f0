package fsm

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

// The generators draw from a universe so small that ids and names collide all the time: most faults
// of a state machine need two commands about one thing.

// generators has one for every kind of the registry; TestEveryKindIsGenerated proves it.
var generators = map[Kind]func(*rapid.T, *hints) Command{
	kindInitialize:    genInitialize,
	kindSetSettings:   func(t *rapid.T, _ *hints) Command { return &SetSettings{Settings: genSettings(t)} },
	kindCreateUser:    func(t *rapid.T, h *hints) Command { return &CreateUser{User: h.holder(t, h.user(t))} },
	kindUpdateUser:    func(t *rapid.T, h *hints) Command { return &UpdateUser{User: h.holder(t, genUser(t))} },
	kindDeleteUser:    func(t *rapid.T, _ *hints) Command { return &DeleteUser{ID: genID(t, 'u', 3)} },
	kindLockUser:      genLockUser,
	kindPutRole:       genPutRole,
	kindDeleteRole:    func(t *rapid.T, h *hints) Command { return &DeleteRole{ID: h.latest(t, h.roles, own.roles)} },
	kindPutScope:      genPutScope,
	kindDeleteScope:   func(t *rapid.T, h *hints) Command { return &DeleteScope{ID: h.latest(t, h.scopes, own.scopes)} },
	kindCreateClient:  func(t *rapid.T, h *hints) Command { return &CreateClient{Client: h.client(t)} },
	kindUpdateClient:  func(t *rapid.T, h *hints) Command { return &UpdateClient{Client: h.client(t)} },
	kindDeleteClient:  func(t *rapid.T, _ *hints) Command { return &DeleteClient{ID: genID(t, 'c', 2)} },
	kindStartSession:  genStartSession,
	kindRotateSession: genRotateSession,
	kindEndSessions:   genEndSessions,
	kindRevokeToken:   func(t *rapid.T, _ *hints) Command { return &RevokeToken{Jti: genJti(t)} },
	kindRevokeIssued:  genRevokeIssued,
	kindAddKey:        genAddKey,
	kindExpire:        func(t *rapid.T, _ *hints) Command { return &Expire{Most: between(t, "most", 1, 4)} },
	kindRecordAudit:   genRecordAudit,
	kindResealKeys:    genResealKeys,
	kindTrimAudit:     genTrimAudit,
	kindSignAudit:     genSignAudit,

	kindChangePassword: genChangePassword,
	kindSetPassword:    genSetPassword,
	kindIssueTicket:    genIssueTicket,
	kindResetPassword:  genResetPassword,
	kindConfirmEmail:   genConfirmEmail,
	kindRotateSecret:   genRotateSecret,
	kindRecordUse:      genRecordUse,

	kindLockDownUser:   func(t *rapid.T, _ *hints) Command { return &LockDownUser{ID: genID(t, 'u', 3)} },
	kindLockDownClient: func(t *rapid.T, _ *hints) Command { return &LockDownClient{ID: genID(t, 'c', 2)} },
	kindRaiseEpoch:     genRaiseEpoch,

	kindImportBatch:  genImportBatch,
	kindForgetImport: genForgetImport,
	kindRedeemLegacy: genRedeemLegacy,
	kindEndLegacy:    genEndLegacy,

	kindPutACME:     genPutACME,
	kindDeleteACME:  func(t *rapid.T, _ *hints) Command { return &DeleteACME{Key: genACMEKey(t)} },
	kindTakeLock:    genTakeLock,
	kindReleaseLock: func(t *rapid.T, _ *hints) Command { return &ReleaseLock{Name: "l", Holder: genID(t, 'h', 2)} },
}

// own are the roles and scopes that commands name: those of Initialize among others.
var own = struct{ roles, scopes []iam.ID }{
	roles:  []iam.ID{roleAdmin, roleUser, id('r', 4), id('r', 4), id('r', 5), id('r', 5), id('r', 6)},
	scopes: []iam.ID{scopeRead, scopeWrite, id('p', 3), id('p', 3), id('p', 4), id('p', 4), id('p', 5), id('p', 6)},
}

// hints are what the generator remembers of its own commands, so that tokens fit often enough for
// the deep paths. They are guesses: nothing is expected because of them.
type hints struct {
	tokens   map[iam.ID][]int  // digests that a session's tokens may have had, newest last
	users    map[iam.ID]string // and the password's hash that each may have
	people   []iam.ID          // whom users is about, newest last
	sessions []iam.Session     // that may stand, newest last
	roles    []iam.ID          // that were put, newest last
	scopes   []iam.ID
	tickets  []*IssueTicket      // that were issued, newest last
	legacy   []iam.LegacySession // that an import may have brought, newest last
	cursors  map[string]string   // where each import may stand
	rotated  *iam.Session        // whose newest token was presented last
	next     int
	now      iam.Time
	begin    iam.AuditHash // of the first audit entry, where the log begins with Initialize
}

// kinds draws the commands; those about sessions come more often.
var kinds = func() []Kind {
	all := slices.Sorted(maps.Keys(registry))
	for range 8 {
		all = append(all, kindStartSession, kindRotateSession, kindRotateSession)
	}
	all = append(all, kindIssueTicket, kindIssueTicket, kindResetPassword, kindResetPassword, kindConfirmEmail)
	all = append(all, kindImportBatch, kindImportBatch, kindImportBatch, kindRedeemLegacy, kindRedeemLegacy, kindDeleteRole)
	return append(all, kindCreateUser, kindUpdateUser, kindUpdateUser, kindCreateClient, kindUpdateClient)
}()

func TestEveryKindIsGenerated(t *testing.T) {
	for kind, build := range registry {
		if generators[kind] == nil {
			t.Errorf("kind %d, %T, has no generator", kind, build())
		}
		if got := build().Kind(); got != kind {
			t.Errorf("%T is registered as kind %d and says it is %d", build(), kind, got)
		}
	}
	if len(generators) != len(registry) {
		t.Errorf("%d generators for %d kinds", len(generators), len(registry))
	}
}

// between draws evenly. The numbers and samples of rapid lean to the small and early, which here are
// the same few commands about the same few rows.
func between(t *rapid.T, label string, least, most int) int {
	return rapid.Custom(func(t *rapid.T) int {
		bits := 0
		for range 10 {
			bits = bits<<1 | count(rapid.Bool().Draw(t, "bit"))
		}
		return least + bits%(most-least+1)
	}).Draw(t, label)
}

func one[V any](t *rapid.T, label string, of []V) V { return of[between(t, label, 0, len(of)-1)] }

// drawLog draws a log: an initialized cluster with one administrator most of the time, and then
// anything.
func drawLog(t *rapid.T, least, most int) []*raft.Log {
	h := &hints{tokens: map[iam.ID][]int{}, users: map[iam.ID]string{}, cursors: map[string]string{}, now: epoch}
	var commands []Command
	if between(t, "initialized", 0, 9) > 0 {
		admin, other := h.user(t), h.user(t)
		admin.Active, admin.Roles = true, []iam.ID{roleAdmin}
		if other.ID == admin.ID {
			other = h.user(t)
		}
		commands = append(commands, initialize(), &CreateUser{User: admin}, &CreateUser{User: other}, &CreateClient{Client: genClient(t)})
	}
	n := between(t, "length", least, most)
	log := make([]*raft.Log, 0, n+len(commands))
	add := func(kind raft.LogType, data []byte) {
		// Indexes have gaps: what raft writes for itself never comes here.
		last := uint64(0)
		if len(log) > 0 {
			last = log[len(log)-1].Index
		}
		log = append(log, &raft.Log{Index: last + 1 + uint64(len(log)%3), Term: 1 + last/20, Type: kind, Data: data})
	}
	for i := -1; i < n+len(commands); i++ { // the first entry of a real log is a configuration, too
		if i < 0 || i >= len(commands) && between(t, "configuration", 0, 19) == 0 {
			server := raft.Server{ID: raft.ServerID(fmt.Sprint("node", i)), Address: "127.0.0.1:1"}
			add(raft.LogConfiguration, raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{server}}))
			continue
		}
		h.now += iam.Time(one(t, "wait", []time.Duration{
			0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, time.Second, time.Second, time.Second, time.Second, 5 * time.Second, 5 * time.Second, 5 * time.Second,
			11 * time.Second, 11 * time.Second, time.Minute, time.Minute, -time.Minute, 11 * time.Minute, 2 * time.Hour, 26 * time.Hour,
		}) / time.Microsecond)
		var cmd Command
		if i < len(commands) {
			cmd = commands[i]
		} else {
			cmd = generators[one(t, "kind", kinds)](t, h)
		}
		origin := genOrigin(t)
		if i == 0 && len(commands) > 0 {
			h.begin = iam.AuditEntry{Sequence: 1, At: h.now, Type: cmd.event().Type, Actor: origin.Actor, Result: iam.AuditSuccess}.Sum()
		}
		data, err := Encode(origin, h.now, cmd)
		if err != nil {
			t.Fatalf("the generator of %T made one that is not valid: %v: %+v", cmd, err, cmd)
		}
		add(raft.LogCommand, data)
	}
	return log
}

func genOrigin(t *rapid.T) Origin {
	o := Origin{Actor: one(t, "actor", []string{"", "ann"})}
	if n := between(t, "request", 0, 19); n < 3 {
		o.RequestID = id('q', n+1) // a retry, or another's
	}
	return o
}

func genID(t *rapid.T, kind byte, most int) iam.ID {
	return id(kind, between(t, "id", 1, most))
}

func genIDs(t *rapid.T, kind byte, most int) []iam.ID {
	ids := make([]iam.ID, between(t, "ids", 0, 2))
	for i := range ids {
		ids[i] = genID(t, kind, most)
	}
	return ids
}

func genJti(t *rapid.T) string { return one(t, "jti", []string{"j1", "j2", "j3"}) }

func genClientID(t *rapid.T) string {
	return one(t, "client_id", []string{"app", "App", "tool"})
}

func genHash(t *rapid.T) string {
	return one(t, "hash", []string{"h1", "h1", "h1", "h2"})
}

func mostly(t *rapid.T, label string) bool { return between(t, label, 0, 7) > 0 }

func genSettings(t *rapid.T) iam.Settings {
	s := settings()
	s.DefaultRole = one(t, "default", []string{"user", "r1", "r2"})
	s.AccessSeconds = rapid.Int64Range(1, 86400).Draw(t, "seconds")
	return s
}

func genInitialize(t *rapid.T, _ *hints) Command {
	c := initialize()
	if mostly(t, "seeded") {
		return c
	}
	c.Scopes = c.Scopes[:1]
	c.Roles = []iam.Role{{ID: genID(t, 'r', 5), Name: iam.RoleUser, Scopes: []iam.ID{scopeRead}}}
	return c
}

// user draws one that a later login may fit.
func (h *hints) user(t *rapid.T) iam.User {
	u := genUser(t)
	if _, created := h.users[u.ID]; !created {
		h.users[u.ID] = u.PasswordHash
		h.people = append(h.people, u.ID)
	}
	return u
}

func genUser(t *rapid.T) iam.User {
	user := genID(t, 'u', 3)
	own := int(user[15]) - 1
	if !mostly(t, "own name") {
		own = (own + 1) % 3
	}
	return iam.User{
		ID:           user,
		Username:     [][]string{{"ann", "ANN", "Ann"}, {"bob", "eve", "Bob"}, {"Ünï", "üNÏ", "x"}}[own][between(t, "username", 0, 2)],
		Email:        [][]string{{"a@x", "A@X"}, {"b@x", "B@x"}, {"c@x", "d@x"}}[own][between(t, "email", 0, 1)],
		PasswordHash: genHash(t),
		Active:       mostly(t, "active"),
		Superuser:    rapid.Bool().Draw(t, "superuser"),
		Roles:        genIDs(t, 'r', one(t, "roles", []int{3, 3, 3, 5})),
	}
}

func genLockUser(t *rapid.T, h *hints) Command {
	until := one(t, "until", []iam.Time{0, h.now, h.now.Add(time.Minute)})
	return &LockUser{ID: genID(t, 'u', 3), Until: until}
}

func genPutRole(t *rapid.T, h *hints) Command {
	name := one(t, "name", []string{"r1", "r2", "r3", "r4", "r5", "admin"})
	c := &PutRole{Role: iam.Role{ID: one(t, "role", own.roles), Name: name, Scopes: genIDs(t, 'p', 2)}}
	h.roles = append(h.roles, c.Role.ID)
	return c
}

func genPutScope(t *rapid.T, h *hints) Command {
	name := one(t, "name", []string{"read:demo", "write:demo", "s1", "s2", "s3", "s4"})
	c := &PutScope{Scope: iam.Scope{ID: one(t, "scope", own.scopes), Name: name, Description: one(t, "text", []string{"", "text", "ünï"})}}
	h.scopes = append(h.scopes, c.Scope.ID)
	return c
}

// holder gives the user a role that no cluster begins with.
func (h *hints) holder(t *rapid.T, u iam.User) iam.User {
	if len(h.roles) > 0 && rapid.Bool().Draw(t, "holder") {
		u.Roles = append(u.Roles[:len(u.Roles):len(u.Roles)], h.latest(t, h.roles, own.roles))
	}
	return u
}

// client draws one that may hold a scope that no cluster begins with.
func (h *hints) client(t *rapid.T) iam.Client {
	c := genClient(t)
	if len(h.scopes) > 0 && rapid.Bool().Draw(t, "holder") {
		c.Scopes = append(c.Scopes[:len(c.Scopes):len(c.Scopes)], h.latest(t, h.scopes, own.scopes))
	}
	return c
}

// latest draws what was put last, or any.
func (h *hints) latest(t *rapid.T, put, any []iam.ID) iam.ID {
	if len(put) > 0 && mostly(t, "latest") {
		return put[max(0, len(put)-between(t, "back", 1, 2))]
	}
	return one(t, "any", any)
}

func genClient(t *rapid.T) iam.Client {
	return iam.Client{
		ID: genID(t, 'c', 2), ClientID: genClientID(t), Name: "n", SecretDigest: digest(1), Active: mostly(t, "active"),
		Type:   one(t, "type", []iam.ClientType{iam.Confidential, iam.Public}),
		Scopes: genIDs(t, 'p', one(t, "scopes", []int{2, 2, 2, 4})), Audiences: one(t, "audiences", [][]string{nil, {"x"}, {"x", "y"}}),
	}
}

func (h *hints) fresh(session iam.ID) []byte {
	h.next++
	h.tokens[session] = append(h.tokens[session], h.next)
	return digest(h.next)
}

// token draws a digest that the session may have: the newest, the one before, any older one, or one
// that nobody has.
func (h *hints) token(t *rapid.T, session iam.ID) (token []byte, newest bool) {
	all := h.tokens[session]
	back := one(t, "back", []int{1, 1, 1, 1, 1, 2, 2, 3})
	if back > len(all) {
		return digest(0), false
	}
	return digest(all[len(all)-back]), back == 1
}

func genStartSession(t *rapid.T, h *hints) Command {
	session, user := id('s', 1+len(h.sessions)), h.latest(t, h.people, []iam.ID{ann, bob})
	if !mostly(t, "fresh id") {
		session = h.session(t).ID
	}
	c := &StartSession{Proven: h.users[user], Session: iam.Session{
		ID: session, UserID: user, Family: digest(10_000 + int(session[15])), Refresh: h.fresh(session), TokenID: genJti(t),
		ExpiresAt: h.now.Add(one(t, "life", []time.Duration{time.Minute, time.Hour, 48 * time.Hour})),
	}}
	if !mostly(t, "proven") {
		c.Proven = genHash(t)
	}
	if between(t, "client", 0, 3) == 0 {
		c.Session.ClientID = genClientID(t)
	}
	if !mostly(t, "same hash") {
		c.Rehashed = genHash(t)
		h.users[user] = c.Rehashed
	}
	h.sessions = append(h.sessions, c.Session)
	return c
}

// session draws one that may stand: mostly one of the newest.
func (h *hints) session(t *rapid.T) iam.Session {
	if len(h.sessions) == 0 || !mostly(t, "started") {
		return iam.Session{ID: genID(t, 's', 6)}
	}
	return h.sessions[max(0, len(h.sessions)-between(t, "session", 1, 3))]
}

func genRotateSession(t *rapid.T, h *hints) Command {
	session := h.session(t)
	presented, newest := h.token(t, session.ID)
	if h.rotated != nil && between(t, "retry", 0, 3) == 0 { // of a refresh whose answer was lost
		session = *h.rotated
		all := h.tokens[session.ID]
		presented, newest = digest(all[len(all)-2]), false
	}
	h.next++
	c := &RotateSession{
		ID: session.ID, Family: digest(10_000 + int(session.ID[15])), Presented: presented, Next: digest(h.next), Replay: []byte("sealed"),
		TokenID: genJti(t), ClientID: session.ClientID, ExpiresAt: h.now.Add(one(t, "life", []time.Duration{time.Minute, time.Hour})),
	}
	switch between(t, "stranger", 0, 9) {
	case 0:
		c.Family = digest(99)
	case 1:
		c.ClientID = one(t, "client", []string{"", "app", "tool"})
	default:
		if newest {
			h.tokens[session.ID] = append(h.tokens[session.ID], h.next)
			h.rotated = &session
		}
	}
	return c
}

func genRaiseEpoch(t *rapid.T, h *hints) Command {
	c := &RaiseEpoch{Reason: "why", Least: uint64(between(t, "least", 0, 5))}
	if rapid.Bool().Draw(t, "with a key") {
		c.Key = genAddKey(t, h).(*AddKey).Key
	}
	return c
}

func genEndSessions(t *rapid.T, h *hints) Command {
	c := &EndSessions{User: genID(t, 'u', 3)}
	switch between(t, "which", 0, 3) {
	case 1:
		c.Session = h.session(t).ID
	case 2:
		c.Session, c.User = h.session(t).ID, iam.ID{}
		c.Family = digest(10_000 + int(c.Session[15]) + between(t, "family", 0, 1))
	case 3:
		c.Session, c.Client = h.session(t).ID, genClientID(t)
	}
	if rapid.Bool().Draw(t, "with token") {
		c.Jti = genJti(t)
	}
	return c
}

func genRevokeIssued(t *rapid.T, _ *hints) Command {
	if rapid.Bool().Draw(t, "user") {
		return &RevokeIssued{User: genID(t, 'u', 3)}
	}
	return &RevokeIssued{Client: genClientID(t)}
}

func genKid(t *rapid.T) string { return one(t, "kid", []string{"k1", "k2", "k3"}) }

func genAddKey(t *rapid.T, h *hints) Command {
	from := h.now.Add(one(t, "from", []time.Duration{0, time.Hour, -time.Hour}))
	return &AddKey{Key: iam.Key{ID: genKid(t), Algorithm: "ES256", Sealed: []byte("sealed"), SignFrom: from}, Alone: !mostly(t, "with others")}
}

func genRecordAudit(t *rapid.T, h *hints) Command {
	entry := iam.AuditEntry{At: h.now, Type: "login.failed", Actor: rapid.StringN(0, 5, 20).Draw(t, "actor"), Result: iam.AuditRefused}
	return &RecordAudit{Entries: slices.Repeat([]iam.AuditEntry{entry}, between(t, "entries", 1, 3))}
}

func genResealKeys(t *rapid.T, _ *hints) Command {
	return &ResealKeys{Keys: []SealedKey{{ID: genKid(t), Sealed: []byte("again")}}}
}

// checkpoint draws one that may be about an entry there is: of the first alone the hash can be foreseen.
// See TestAuditLogHolds for the others.
func (h *hints) checkpoint(t *rapid.T) iam.AuditCheckpoint {
	c := checkpointOf(iam.AuditEntry{Sequence: uint64(between(t, "sequence", 1, 2)), Hash: h.begin}, h.now)
	if c.Hash.IsZero() {
		c.Hash[0] = 1
	}
	return c
}

// checkpointOf is a checkpoint whose signature nobody looks at.
func checkpointOf(e iam.AuditEntry, at iam.Time) iam.AuditCheckpoint {
	return iam.AuditCheckpoint{Sequence: e.Sequence, Hash: e.Hash, At: at, Key: make([]byte, ed25519.PublicKeySize), Signature: make([]byte, ed25519.SignatureSize)}
}

func genTrimAudit(t *rapid.T, h *hints) Command {
	c := &TrimAudit{Checkpoint: h.checkpoint(t)}
	c.Checkpoint.Removed = true
	return c
}

func genSignAudit(t *rapid.T, h *hints) Command {
	c := &SignAudit{Checkpoints: []iam.AuditCheckpoint{h.checkpoint(t)}}
	c.Checkpoints[0].Removed = rapid.Bool().Draw(t, "removed")
	return c
}

func genRotateSecret(t *rapid.T, _ *hints) Command {
	return &RotateSecret{ID: genID(t, 'c', 2), Digest: digest(between(t, "secret", 1, 3)), Grace: one(t, "grace", []int64{0, 1, 3600})}
}

func genRecordUse(t *rapid.T, h *hints) Command {
	use := Use{ID: genID(t, 'c', 2), Requests: rapid.Int64Range(0, 9).Draw(t, "requests"), Last: h.now}
	return &RecordUse{Uses: slices.Repeat([]Use{use}, between(t, "uses", 0, 2))}
}
