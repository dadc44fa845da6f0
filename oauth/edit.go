package oauth

import (
	"context"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// Match says which version of the row with that id the caller has seen, and 0 where none was named: then
// the change is made to whatever the row is.
type Match func(iam.ID) (uint64, error)

// Edit is who changes a row, and under which conditions.
type Edit struct {
	Origin fsm.Origin
	By     iam.Permissions
	Match  Match
}

// row is one that has versions.
type row interface {
	Version() (iam.ID, uint64)
}

// editTries bounds how often a change is made anew because somebody else was faster.
const editTries = 10

// edit changes one row and never undoes what somebody else changes meanwhile: the command that change
// makes of a row is for that version of it alone. Who named a version is refused when there is another;
// for who named none the change is made to the newest. A row may be older on this node than on the one
// where its version was seen, so the node catches up before it refuses.
func edit[R row](ctx context.Context, s *Service, e Edit, find func(*store.Reader) (R, bool), change func(R) (fsm.Command, error)) (fsm.Result, error) {
	refusal := iam.Errorf(iam.NotFound, "There is nothing of this name.")
	for try := range editTries {
		if try > 0 {
			if err := s.Login.CatchUp(ctx); err != nil {
				return fsm.Result{}, err
			}
		}
		old, known, err := read(s, find)
		switch {
		case err != nil:
			return fsm.Result{}, err
		case !known && try > 0:
			return fsm.Result{}, refusal
		case !known:
			continue
		}
		id, version := old.Version()
		seen, err := e.Match(id)
		switch {
		case err != nil:
			return fsm.Result{}, err
		case seen != 0 && seen != version && try > 0:
			return fsm.Result{}, errChanged()
		case seen != 0 && seen != version:
			continue
		}
		cmd, err := change(old)
		if err != nil {
			return fsm.Result{}, err
		}
		res, err := s.Proposer.Propose(ctx, e.Origin, cmd)
		if iam.CodeOf(err) != iam.PreconditionFailed || seen != 0 {
			return res, err
		}
	}
	return fsm.Result{}, iam.Unavailable(time.Second, "Others change the same thing all the time: try again.")
}

func errChanged() error {
	return iam.Errorf(iam.PreconditionFailed, "It was changed by somebody else meanwhile: read it again.")
}

func read[R any](s *Service, find func(*store.Reader) (R, bool)) (out R, known bool, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		out, known = find(r)
		return nil
	})
	return out, known, err
}
