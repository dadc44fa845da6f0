package fsm

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// TestLock: one holds it at a time, for as long as was said; who is late takes nobody's away.
func TestLock(t *testing.T) {
	m := start(t)
	one, two := id('h', 1), id('h', 2)
	take := func(by iam.ID) *TakeLock { return &TakeLock{Name: "issue", Holder: by, Seconds: 60} }
	m.do(take(one))
	m.refuse(take(two), iam.Conflict)
	m.wait(40 * time.Second)
	m.do(take(one)) // for longer
	m.wait(40 * time.Second)
	m.refuse(take(two), iam.Conflict)
	m.do(&ReleaseLock{Name: "issue", Holder: two})
	m.refuse(take(two), iam.Conflict)
	m.wait(20 * time.Second)
	m.do(take(two))
	m.do(&ReleaseLock{Name: "issue", Holder: one})
	m.refuse(take(one), iam.Conflict)
	m.do(&ReleaseLock{Name: "issue", Holder: two})
	m.do(take(one))
	m.wait(time.Hour)
	m.do(&Expire{Most: 10})
	if left := m.dump().Locks; len(left) != 0 {
		t.Errorf("a lock whose time is over is kept: %v", left)
	}
}

// TestACMEItems: what is put is there, with all below it when it goes, and there is an end to it.
func TestACMEItems(t *testing.T) {
	m := start(t)
	put := func(key, value string) *PutACME { return &PutACME{Key: key, Sealed: []byte(value)} }
	for _, key := range []string{"a", "a/b", "a/b/c", "ab", "a.b"} {
		m.do(put(key, "first"))
	}
	m.do(put("a/b", "second"))
	was := sha256.Sum256([]byte("first"))
	again := put("a/b", "third")
	again.Was = was[:]
	m.refuse(again, iam.PreconditionFailed)
	now := sha256.Sum256([]byte("second"))
	again.Was = now[:]
	m.do(again)
	again.Key = "gone"
	m.refuse(again, iam.PreconditionFailed)
	m.do(&DeleteACME{Key: "a"})
	m.do(&DeleteACME{Key: "a"})
	left := m.dump().ACME
	if len(left) != 2 || left[0].Key != "a.b" || left[1].Key != "ab" {
		t.Errorf("after the removal of a there are %v", left)
	}
	for i := range maxACMEItems - len(left) {
		m.do(put(fmt.Sprint("n", i), "x"))
	}
	m.refuse(put("one more", "x"), iam.Conflict)
	m.do(put("ab", "changed"))

	for _, bad := range []Command{
		put("", "x"), put("k", ""), put(strings.Repeat("k", maxACMEKey+1), "x"), put("k", strings.Repeat("x", maxACMEValue+1)),
		&DeleteACME{}, &TakeLock{Name: "l", Holder: id('h', 1), Seconds: MaxLockSeconds + 1}, &TakeLock{Name: "l", Seconds: 1}, &ReleaseLock{Name: "l"},
	} {
		if bad.Validate() == nil {
			t.Errorf("%T is taken: %.80v", bad, bad)
		}
	}
	if n := len(m.audit()); n != 0 {
		t.Errorf("%d of this is in the audit log", n)
	}
	m.view(func(r *store.Reader) {
		if item, ok := r.ACMEItem("ab"); !ok || string(item.Sealed) != "changed" || item.ModifiedAt != m.now {
			t.Errorf("ab is %v", item)
		}
	})
}
