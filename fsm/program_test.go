package fsm

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

func (m *machine) client() (c iam.Client) {
	m.view(func(r *store.Reader) { c, _ = r.Client(id('c', 1)) })
	return c
}

func TestRotateSecretKeepsOneOldSecret(t *testing.T) {
	m := peopled(t)
	imported := program(2, "old")
	imported.SecretDigest, imported.SecretHash = nil, "phc"
	m.do(&CreateClient{Client: imported})
	before := m.client()
	got := decoded[iam.Client](m, m.do(&RotateSecret{ID: id('c', 1), Digest: digest(1), Grace: 60}))
	if !bytes.Equal(got.PreviousDigest, digest(0)) || !bytes.Equal(got.SecretDigest, digest(1)) || got.PreviousUntil != m.now.Add(time.Minute) {
		t.Errorf("after the first rotation: %+v", got)
	}
	if got.Generation != before.Generation || got.Changed == before.Changed {
		t.Error("a rotation is a change and no revocation")
	}
	m.do(&RotateSecret{ID: id('c', 1), Digest: digest(2), Grace: 60})
	if c := m.client(); !bytes.Equal(c.PreviousDigest, digest(1)) {
		t.Errorf("after the second: %x", c.PreviousDigest)
	}
	update := m.client()
	update.PreviousDigest, update.PreviousUntil, update.PreviousHash = nil, 0, "planted"
	m.do(&UpdateClient{Client: update})
	if c := m.client(); c.PreviousDigest == nil || c.PreviousUntil == 0 || c.PreviousHash != "" {
		t.Error("an update changed the old secret")
	}
	m.do(&RotateSecret{ID: id('c', 1), Digest: digest(3)})
	if c := m.client(); c.PreviousDigest != nil || c.PreviousUntil != 0 {
		t.Errorf("without a grace an old secret is left: %+v", c)
	}
	got = decoded[iam.Client](m, m.do(&RotateSecret{ID: id('c', 2), Digest: digest(4), Grace: 60}))
	if got.PreviousHash != "phc" || got.SecretHash != "" || got.PreviousDigest != nil {
		t.Errorf("of an imported one: %+v", got)
	}
	m.refuse(&RotateSecret{ID: id('c', 1), Digest: digest(5), If: before.Changed}, iam.PreconditionFailed)
	m.refuse(&RotateSecret{ID: id('c', 9), Digest: digest(5)}, iam.NotFound)
}

// TestRecordUseChangesCountersAlone: a version that a writer has seen is good still.
func TestRecordUseChangesCountersAlone(t *testing.T) {
	m := peopled(t)
	before, lines := m.client(), len(m.audit())
	m.wait(time.Hour)
	use := func(n int64, last iam.Time) *RecordUse {
		return &RecordUse{Uses: []Use{{ID: id('c', 1), Requests: n, Last: last}, {ID: id('c', 9), Requests: 1, Last: last}}}
	}
	if n := decoded[int](m, m.do(use(3, m.now.Add(-time.Minute)))); n != 1 {
		t.Errorf("counted for %d clients, of which one exists", n)
	}
	m.do(use(4, m.now.Add(-time.Hour))) // from a node that was slower
	want := before
	want.TotalRequests, want.LastUsed = 7, m.now.Add(-time.Minute)
	if diff := cmp.Diff(want, m.client()); diff != "" {
		t.Error(diff)
	}
	m.do(use(0, m.now.Add(time.Hour)))
	if last := m.client().LastUsed; last > m.now {
		t.Error("a clock that is ahead says when a client will be used")
	}
	if len(m.audit()) != lines {
		t.Error("uses are no events")
	}
}

func TestClientIsNotCalledLikeAUser(t *testing.T) {
	m := peopled(t)
	m.refuse(&CreateClient{Client: program(2, ann.String())}, iam.Conflict)
	m.do(&CreateClient{Client: program(2, id('u', 77).String())})
}

func TestAdminKeepsItsRights(t *testing.T) {
	m := peopled(t)
	keys := iam.Scope{ID: id('p', 90), Name: iam.ScopeAdminKeys}
	m.do(&PutScope{Scope: keys})
	role := iam.Role{ID: roleAdmin, Name: iam.RoleAdmin, Scopes: []iam.ID{scopeRead, keys.ID}}
	m.do(&PutRole{Role: role})
	role.Scopes = []iam.ID{scopeRead}
	m.refuse(&PutRole{Role: role}, iam.Conflict)
	role.Scopes = []iam.ID{keys.ID}
	m.do(&PutRole{Role: role})
	other := iam.Role{ID: id('r', 90), Name: "other", Scopes: []iam.ID{keys.ID}}
	m.do(&PutRole{Role: other})
	other.Scopes = nil
	m.do(&PutRole{Role: other})
}

func TestKeyThatStandsAlone(t *testing.T) {
	m := peopled(t)
	key := func(kid string) iam.Key {
		return iam.Key{ID: kid, Algorithm: "ES256", Sealed: []byte("sealed"), SignFrom: m.now}
	}
	m.do(&AddKey{Key: key("a")})
	waiting := key("b")
	waiting.SignFrom = m.now.Add(time.Hour)
	m.do(&AddKey{Key: waiting})
	m.do(&AddKey{Key: key("c"), Alone: true})
	keys := m.dump().Keys
	if len(keys) != 1 || keys[0].ID != "c" || keys[0].SignFrom != m.now || keys[0].VerifyUntil != 0 {
		t.Errorf("left are %+v", keys)
	}
	if m.lastAudit() != "key.replaced success" || !(&AddKey{Alone: true}).Denies() {
		t.Error("that tokens died is an event, and known everywhere before it is answered")
	}
}
