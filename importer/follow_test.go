package importer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// A follower brings what changed to the copy, through a restart of the database, until it is ended.
func TestFollower(t *testing.T) {
	server := testpostgres.New(t)
	url := server.Database(t)
	s := newState(t)
	s.fill()
	ctx, stop := context.WithCancel(t.Context())
	reports, troubles, ended := make(chan *ExportReport, 100), make(chan error, 100), make(chan error)
	f := &Follower{
		URL: url, Every: 10 * time.Millisecond,
		Moved: func(_ context.Context, since *Snapshot) (bool, error) {
			now, err := s.Meta()
			then, failed := since.Store.Meta()
			if err == nil {
				err = failed
			}
			return now.Index != then.Index, err
		},
		Take: func(context.Context) (*Snapshot, error) { return s.snapshot(), nil },
		Done: func(r *ExportReport) { reports <- r }, Trouble: func(err error) { troubles <- err },
	}
	go func() { ended <- f.Run(ctx) }()
	if r := await(t, reports); r.Changes || !r.Changed() {
		t.Errorf("the first export: %+v", r)
	}
	rewrite(s)
	if r := await(t, reports); !r.Changes || r.of("users").Updated != 4 {
		t.Errorf("the second export: %+v", r)
	}
	server.Kill()
	s.update(func(tx *store.Tx) {
		u := someUser(7)
		u.LastLogin = instant * 2
		tx.PutUser(u)
	})
	if err := await(t, troubles); !strings.Contains(err.Error(), "does not answer") && !strings.Contains(err.Error(), "lost") {
		t.Errorf("while the database is away: %v", err)
	}
	server.Start(t)
	if r := await(t, reports); !r.Changes || r.of("users").Updated != 1 {
		t.Errorf("the third export: %+v", r)
	}
	fresh := testpostgres.Database(t)
	mustExport(t, fresh, s.snapshot(), ExportOptions{})
	if diff := cmp.Diff(contents(t, fresh), contents(t, url)); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	stop()
	if err := await(t, ended); err != nil {
		t.Errorf("it was ended: %v", err)
	}
}

// A first export that fails ends it at once, and so does what a second try does not mend.
func TestFollowerEnds(t *testing.T) {
	s, url := newState(t), testpostgres.Database(t)
	s.fill()
	f := &Follower{
		URL: url, Every: time.Millisecond,
		Moved:   func(context.Context, *Snapshot) (bool, error) { return true, nil },
		Take:    func(context.Context) (*Snapshot, error) { return s.snapshot(), nil },
		Trouble: func(err error) { t.Errorf("told of %v", err) },
	}
	f.Done = func(*ExportReport) { // somebody else exports a later state
		s.update(func(tx *store.Tx) { tx.PutScope(iam.Scope{ID: id(9), Name: "late", CreatedAt: instant}) })
		mustExport(t, url, s.snapshot(), ExportOptions{})
		exec(t, url, "UPDATE keystone_export SET log_index = log_index + 100")
	}
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "a later state") {
		t.Errorf("got %v", err)
	}
	f.URL = strings.Replace(url, "/test_", "/missing_", 1)
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v", err)
	}
}

func await[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came in a minute")
		panic("unreachable")
	}
}
