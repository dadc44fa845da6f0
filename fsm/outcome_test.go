package fsm

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

func TestRequestIDs(t *testing.T) {
	m := peopled(t)
	m.do(login(m, bob, 1))
	origin := Origin{RequestID: id('q', 1), Actor: "bob"}
	first := m.ask(origin, rotate(m, 1, 0))
	before := m.dump()
	lines := len(m.audit())

	// The retry made new tokens; what counts is the answer to the first.
	m.wait(OutcomeLifetime - time.Microsecond)
	retry := rotate(m, 1, 0)
	retry.Next = digest(77)
	if got := m.ask(origin, retry); !cmp.Equal(got, first) {
		t.Errorf("a retry is answered with %s", cmp.Diff(first, got))
	}
	if diff := cmp.Diff(before, m.dump()); diff != "" || len(m.audit()) != lines {
		t.Errorf("a retry changed the state: %s", diff)
	}
	conflict := func(what string, origin Origin, cmd Command) {
		t.Helper()
		if got := m.ask(origin, cmd); got.Refusal == nil || got.Refusal.Code != iam.Conflict || got.Result.Value != nil {
			t.Errorf("%s is answered with %+v", what, got)
		}
	}
	conflict("another command under the same id", origin, &RevokeToken{Jti: "j"})
	conflict("another's request under the same id", Origin{RequestID: origin.RequestID, Actor: "ann"}, rotate(m, 1, 0))
	if diff := cmp.Diff(before, m.dump()); diff != "" {
		t.Errorf("a conflict changed the state: %s", diff)
	}

	// After ten minutes of the state's time the id is free again, whether or not it was swept.
	m.wait(time.Microsecond)
	if got := m.ask(origin, &RevokeToken{Jti: "j"}); got.Refusal != nil || got.Result.Index != m.index {
		t.Errorf("after its time the id is still taken: %+v", got)
	}
	m.wait(OutcomeLifetime + time.Microsecond)
	m.do(&Expire{Most: 10})
	m.view(func(r *store.Reader) {
		if _, ok := r.Outcome(origin.RequestID); ok {
			t.Error("the outcome was not swept")
		}
	})
}

func TestRequestIDRemembersRefusals(t *testing.T) {
	m := peopled(t)
	origin := Origin{RequestID: id('q', 1)}
	first := m.ask(origin, &DeleteUser{ID: id('u', 9)})
	late := person(9, "late")
	m.do(&CreateUser{User: late})
	if got := m.ask(origin, &DeleteUser{ID: id('u', 9)}); first.Refusal == nil || !cmp.Equal(got, first) {
		t.Errorf("first %+v, then %+v", first, got)
	}
}
