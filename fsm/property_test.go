package fsm

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// TestEveryStepHolds applies any log entry by entry and looks at the whole state after each.
func TestEveryStepHolds(t *testing.T) {
	accepted, refused, replayed, killed := map[Kind]int{}, map[Kind]int{}, 0, 0
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		log := drawLog(rt, 20, 60)
		m := newMachine(rt, filepath.Join(dir, fmt.Sprint(run)))
		before := m.dump()
		meta := m.meta()
		for _, entry := range log {
			responses := m.deliver(entry)
			if m.fatal != nil {
				rt.Fatal(m.fatal)
			}
			after, now := m.dump(), m.meta()
			if now.Index != entry.Index || now.Term != entry.Term || now.Time < meta.Time || m.fsm.Applied() != entry.Index {
				rt.Fatalf("after entry %d the state says %+v", entry.Index, now)
			}
			s := step{before: before, after: after, now: now.Time}
			if entry.Type == raft.LogCommand {
				e, cmd, err := decode(entry.Data, Version())
				if err != nil {
					rt.Fatal(err)
				}
				s.kind, s.cmd, s.response = e.Kind, cmd, responses[0].(Response)
				if s.response.Refusal != nil {
					refused[e.Kind]++
				} else if s.response.Result.Index == entry.Index {
					accepted[e.Kind]++
				}
				if r, ok := s.rotation(rt); ok {
					replayed, killed = replayed+count(r.Replayed), killed+count(r.Killed)
				}
			}
			s.hold(rt, m)
			before, meta = after, now
		}
		m.check()
	})
	for kind := range registry {
		t.Logf("%-20T accepted %4d refused %4d", registry[kind](), accepted[kind], refused[kind])
		if accepted[kind] == 0 && run >= 100 {
			t.Errorf("no command of kind %d was ever accepted: the generators do not reach it", kind)
		}
	}
	if (replayed == 0 || killed == 0) && run >= 100 {
		t.Errorf("%d rotations were replayed and %d sessions killed: the generators do not reach them", replayed, killed)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestReplicasAgree feeds one log to machines in every way that a cluster may: in batches of its own
// making, with a restart and a second delivery, and by a snapshot and the tail behind it.
func TestReplicasAgree(t *testing.T) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		log := drawLog(rt, 1, 45)
		machineIn := func(name string) *machine { return newMachine(rt, filepath.Join(dir, fmt.Sprint(run, name))) }

		a, b := machineIn("a"), machineIn("b")
		want := feed(rt, a, log)
		if diff := sameResponses(want, feed(rt, b, log)); diff != "" {
			rt.Fatalf("two machines answer differently: %s", diff)
		}
		same(rt, a, b, log)

		k := rapid.IntRange(0, len(log)-1).Draw(rt, "restart")
		c := machineIn("c")
		got := feed(rt, c, log[:k])
		before := c.meta()
		c.reopen()
		again := rapid.IntRange(0, k).Draw(rt, "again")
		for _, response := range feed(rt, c, log[again:k]) {
			if !isUnavailable(response) {
				rt.Fatalf("an entry that was delivered twice is answered with %+v", response)
			}
		}
		if diff := cmp.Diff(before, c.meta()); diff != "" {
			rt.Fatalf("a restart and a second delivery changed the state: %s", diff)
		}
		if diff := sameResponses(want, append(got, feed(rt, c, log[k:])...)); diff != "" {
			rt.Fatalf("a machine that was restarted answers differently: %s", diff)
		}
		same(rt, a, c, log[k:])

		d, e := machineIn("d"), machineIn("e")
		feed(rt, d, log[:k+1])
		feed(rt, e, log[:rapid.IntRange(0, k).Draw(rt, "lag")])
		install(d, e)
		if diff := sameResponses(want[k+1:], feed(rt, e, log[k+1:])); diff != "" {
			rt.Fatalf("a machine that got a snapshot answers differently: %s", diff)
		}
		same(rt, a, e, log[k+1:])
	})
}

// feed delivers the log in batches of any size.
func feed(t *rapid.T, m *machine, log []*raft.Log) (responses []any) {
	for len(log) > 0 {
		n := rapid.IntRange(1, len(log)).Draw(t, "batch")
		responses = append(responses, m.deliver(log[:n]...)...)
		if m.fatal != nil {
			t.Fatal(m.fatal)
		}
		log = log[n:]
	}
	return responses
}

// same proves that two machines are in one state, and went through the same ones.
func same(t *rapid.T, a, b *machine, log []*raft.Log) {
	for _, entry := range log {
		x, known := a.fsm.StateHash(entry.Index)
		y, too := b.fsm.StateHash(entry.Index)
		if !known || !too || x != y {
			t.Fatalf("the hashes at %d are %x (%v) and %x (%v)", entry.Index, x, known, y, too)
		}
	}
	if diff := cmp.Diff(a.meta(), b.meta()); diff != "" {
		t.Fatalf("two machines stand differently: %s", diff)
	}
	if diff := cmp.Diff(a.dump(), b.dump()); diff != "" {
		t.Fatalf("equal hashes, but the rows differ: %s", diff)
	}
	if diff := cmp.Diff(a.audit(), b.audit()); diff != "" {
		t.Fatalf("the audit logs differ: %s", diff)
	}
	b.check()
}

// install moves the state of one machine to another as raft does.
func install(from, to *machine) {
	from.Helper()
	source, err := NewSnapshots(from.store, filepath.Join(from.dir, "snapshots"))
	if err != nil {
		from.Fatal(err)
	}
	target, err := NewSnapshots(to.store, filepath.Join(to.dir, "snapshots"))
	if err != nil {
		to.Fatal(err)
	}
	meta, reader, err := source.Open(liveSnapshot)
	if err != nil {
		from.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	receive(to, target, meta, reader)
}

// receive writes a snapshot into a sink and makes it the machine's state.
func receive(to *machine, target *Snapshots, meta *raft.SnapshotMeta, stream io.Reader) {
	to.Helper()
	sink, err := target.Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		to.Fatal(err)
	}
	if _, err := io.Copy(sink, stream); err != nil {
		to.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		to.Fatal(err)
	}
	_, arrived, err := target.Open(sink.ID())
	if err != nil {
		to.Fatal(err)
	}
	if err := guarded(func() { err = to.fsm.Restore(arrived) }); err != nil {
		to.Fatal(err)
	}
	if err != nil || to.fatal != nil {
		to.Fatalf("Restore: %v, %v", err, to.fatal)
	}
	to.index = meta.Index
}

// step is one command with what was before and after it.
type step struct {
	before, after state
	now           iam.Time
	kind          Kind
	cmd           Command
	response      Response
}

func (s step) rotation(t tester) (Rotation, bool) {
	if s.kind != kindRotateSession || s.response.Refusal != nil {
		return Rotation{}, false
	}
	return decoded[Rotation](t, s.response.Result), true
}

// hold proves the invariants.
func (s step) hold(t *rapid.T, m *machine) {
	if s.response.Refusal != nil || s.kind == 0 || s.kind == kindRecordAudit || s.kind == kindTrimAudit || s.kind == kindSignAudit {
		if diff := cmp.Diff(s.before, s.after); diff != "" {
			t.Fatalf("%T changed the state, which it must not; it was answered with %v: %s", s.cmd, s.response.Refusal, diff)
		}
	}
	s.referencesHold(t)
	s.sessionsHold(t, m)
	s.endingsHold(t)
	s.administratorHolds(t)
	s.ticketsHold(t)
	s.keysHold(t)
	s.importsHold(t, m)
}

// importsHold: the cursor moves with what an import brings and with nothing else, and refresh tokens of another
// system are of users who may use them.
func (s step) importsHold(t *rapid.T, m *machine) {
	if s.kind != kindImportBatch && s.kind != kindForgetImport {
		if diff := cmp.Diff(s.before.Imports, s.after.Imports); diff != "" {
			t.Fatalf("%T moved an import: %s", s.cmd, diff)
		}
	}
	for _, old := range s.after.Legacy {
		if u, ok := s.user(s.after.Users, old.UserID); !ok || !u.Active {
			t.Fatalf("after %T a refresh token of another system is there of user %v, who is missing or disabled", s.cmd, old.UserID)
		}
	}
	if c, ok := s.cmd.(*RedeemLegacy); ok && s.response.Refusal == nil && s.response.Result.Index == m.meta().Index {
		row := func(l iam.LegacySession) bool { return l.ID == c.ID }
		old, there := find(s.before.Legacy, row)
		_, still := find(s.after.Legacy, row)
		session, opened := find(s.after.Sessions, func(x iam.Session) bool { return x.ID == c.Session.ID })
		if !there || still || !opened || session.UserID != old.UserID || old.TokenHash != c.TokenHash {
			t.Fatalf("%+v was redeemed for %+v, and is still there: %v", old, session, still)
		}
	}
	if c, ok := s.cmd.(*ImportBatch); ok && s.response.Refusal == nil {
		var out ImportOutcome
		if err := s.response.Result.Decode(&out); err != nil {
			t.Fatal(err)
		}
		if n := out.Created + out.Updated + out.Unchanged + out.Deleted + out.Refused; n != c.rows() {
			t.Fatalf("of %d rows the outcome tells %+v", c.rows(), out)
		}
	}
}

func find[V any](rows []V, is func(V) bool) (V, bool) {
	if i := slices.IndexFunc(rows, is); i >= 0 {
		return rows[i], true
	}
	return *new(V), false
}

func (s step) user(of []iam.User, id iam.ID) (iam.User, bool) {
	return find(of, func(u iam.User) bool { return u.ID == id })
}

func (s step) revoked(kind iam.RevocationKind, subject string) (iam.Revocation, bool) {
	return find(s.after.Revocations, func(r iam.Revocation) bool { return r.Kind == kind && r.Subject == subject })
}

func (s step) referencesHold(t *rapid.T) {
	unique := map[string]bool{}
	name := func(kind, name string) {
		if unique[kind+name] {
			t.Fatalf("after %T two rows have the %s %q", s.cmd, kind, name)
		}
		unique[kind+name] = true
	}
	scopes := func(owner string, all []iam.ID) {
		for _, scope := range all {
			if _, ok := find(s.after.Scopes, func(x iam.Scope) bool { return x.ID == scope }); !ok {
				t.Fatalf("after %T %s has scope %v, which does not exist", s.cmd, owner, scope)
			}
		}
	}
	for _, u := range s.after.Users {
		name("username", iam.Fold(u.Username))
		name("email", iam.Fold(u.Email))
		for _, role := range u.Roles {
			if _, ok := find(s.after.Roles, func(r iam.Role) bool { return r.ID == role }); !ok {
				t.Fatalf("after %T user %s has role %v, which does not exist", s.cmd, u.Username, role)
			}
		}
	}
	for _, r := range s.after.Roles {
		name("role", r.Name)
		scopes("role "+r.Name, r.Scopes)
	}
	for _, c := range s.after.Clients {
		name("client_id", c.ClientID)
		scopes("client "+c.ClientID, c.Scopes)
	}
	for _, p := range s.after.Scopes {
		name("scope", p.Name)
	}
}

func (s step) sessionsHold(t *rapid.T, m *machine) {
	for _, session := range s.after.Sessions {
		if u, ok := s.user(s.after.Users, session.UserID); !ok || !u.Active {
			t.Fatalf("after %T a session of user %v stands, who is missing or disabled", s.cmd, session.UserID)
		}
		if session.ClientID != "" {
			if _, ok := find(s.after.Clients, func(c iam.Client) bool { return c.ClientID == session.ClientID }); !ok {
				t.Fatalf("after %T a session through client %q stands, which is missing", s.cmd, session.ClientID)
			}
		}
		m.view(func(r *store.Reader) {
			same := func(x iam.Session) bool { return x.ID == session.ID }
			if !slices.ContainsFunc(r.SessionsOf(session.UserID, 1<<20), same) {
				t.Fatalf("after %T session %v is not among its user's", s.cmd, session.ID)
			}
			if session.ClientID != "" && !slices.ContainsFunc(r.SessionsOfClient(session.ClientID, 1<<20), same) {
				t.Fatalf("after %T session %v is not among its client's", s.cmd, session.ID)
			}
		})
	}
	if r, ok := s.rotation(t); ok && !r.Replayed && !r.Killed && s.response.Result.Index == m.meta().Index {
		c := s.cmd.(*RotateSession)
		old, _ := find(s.before.Sessions, func(x iam.Session) bool { return x.ID == c.ID })
		if !slices.Equal(old.Refresh, c.Presented) {
			t.Fatalf("a token that was not the current one was good: %+v", c)
		}
	}
}

// endingsHold: what is gone must not be believed by any node that has not heard of it.
func (s step) endingsHold(t *rapid.T) {
	for _, session := range s.before.Sessions {
		if slices.ContainsFunc(s.after.Sessions, func(x iam.Session) bool { return x.ID == session.ID }) {
			continue
		}
		if s.kind == kindExpire && session.ExpiresAt < s.now {
			continue
		}
		if s.after.Epoch.Index > session.Index { // kills the tokens of all sessions together
			continue
		}
		if _, ok := s.revoked(iam.RevokedSession, session.ID.String()); !ok {
			t.Fatalf("%T ended session %v and left no revocation", s.cmd, session.ID)
		}
	}
	for _, u := range s.before.Users {
		now, ok := s.user(s.after.Users, u.ID)
		r, revoked := s.revoked(iam.RevokedUser, u.ID.String())
		switch {
		case !ok && (!revoked || r.Before <= s.now):
			t.Fatalf("%T removed user %v and left %+v", s.cmd, u.ID, r)
		case ok && demoted(u, now) && (!revoked || r.Before < s.now):
			t.Fatalf("%T took something from user %v and left %+v", s.cmd, u.ID, r)
		case ok && demoted(u, now) && slices.ContainsFunc(s.after.Sessions, func(x iam.Session) bool { return x.UserID == u.ID }):
			t.Fatalf("%T took something from user %v whose sessions go on", s.cmd, u.ID)
		}
	}
	for _, c := range s.before.Clients {
		now, ok := find(s.after.Clients, func(x iam.Client) bool { return x.ID == c.ID })
		r, revoked := s.revoked(iam.RevokedClient, c.ClientID)
		gone := !ok || now.ClientID != c.ClientID
		if gone && (!revoked || r.Before <= s.now) || ok && restricted(c, now) && (!revoked || r.Before < s.now) {
			t.Fatalf("%T took something from client %s and left %+v", s.cmd, c.ClientID, r)
		}
	}
	for _, r := range s.before.Revocations {
		now, ok := s.revoked(r.Kind, r.Subject)
		created := s.kind == kindCreateClient && r.Kind == iam.RevokedClient
		if r.ExpiresAt >= s.now && !created && (!ok || now.Before < r.Before) {
			t.Fatalf("%T weakened %+v to %+v", s.cmd, r, now)
		}
	}
}

func (s step) administratorHolds(t *rapid.T) {
	administrators := func(in state) (n int) {
		for _, u := range in.Users {
			if u.Active && (u.Superuser || u.Has(roleAdmin)) {
				n++
			}
		}
		return n
	}
	if s.before.Initialized && administrators(s.before) > 0 && administrators(s.after) == 0 {
		if admin, ok := find(s.after.Roles, func(r iam.Role) bool { return r.ID == roleAdmin }); ok && admin.Name == iam.RoleAdmin {
			t.Fatalf("%T left nobody who administers", s.cmd)
		}
	}
}

// ticketsHold: nothing that was sent to a mailbox outlives the account, or its address.
func (s step) ticketsHold(t *rapid.T) {
	for _, ticket := range s.after.Tickets {
		u, ok := s.user(s.after.Users, ticket.User)
		if !ok || iam.Fold(u.Email) != iam.Fold(ticket.Email) || len(ticket.Issued) > iam.MaxTickets {
			t.Fatalf("after %T there is the ticket %+v of %+v", s.cmd, ticket, u)
		}
	}
}

func (s step) keysHold(t *rapid.T) {
	var last iam.Key
	for _, k := range s.after.Keys {
		if k.SignFrom == last.SignFrom {
			t.Fatalf("after %T keys %s and %s sign from one instant", s.cmd, k.ID, last.ID)
		}
		if k.SignFrom > last.SignFrom {
			last = k
		}
	}
	for _, k := range s.after.Keys {
		if (k.VerifyUntil == 0) != (k.ID == last.ID) {
			t.Fatalf("after %T key %s verifies until %d, and %s signs last", s.cmd, k.ID, k.VerifyUntil, last.ID)
		}
	}
}
