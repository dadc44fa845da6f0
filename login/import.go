package login

import (
	"context"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// Import takes over rows of another system, or only tells what would come of them, and returns the log
// index at which they hold. Whoever brings in users may give them any right, so this takes all rights over
// Keystone; and superusers are the business of superusers and the operator alone.
func (s *Service) Import(ctx context.Context, t Target, batch *fsm.ImportBatch, dryRun bool) (out fsm.ImportOutcome, index uint64, err error) {
	if !t.By.Everything() {
		return out, 0, iam.Errorf(iam.Forbidden, "An import takes all rights over Keystone: ask a superuser, or use the operator's socket.")
	}
	if err := s.Store.View(func(r *store.Reader) error {
		batch.Superusers = maySuperuser(r, t.By) == nil
		return nil
	}); err != nil {
		return out, 0, err
	}
	notes := batch.Sift()
	if dryRun {
		if err := s.CatchUp(ctx); err != nil {
			return out, 0, err
		}
		out, err = fsm.Rehearse(s.Store, s.Now(), batch)
	} else {
		var res fsm.Result
		if res, err = s.Proposer.Propose(ctx, t.Origin, batch); err == nil {
			index, err = res.Index, res.Decode(&out)
		}
	}
	out.Refused += batch.Refused
	out.Notes = append(notes, out.Notes...)
	return out, index, err
}

// ImportState tells how far an import has come, as of all that was acknowledged.
func (s *Service) ImportState(ctx context.Context, source string) (state iam.Import, err error) {
	if err := s.CatchUp(ctx); err != nil {
		return state, err
	}
	err = s.Store.View(func(r *store.Reader) error {
		known := false
		if state, known = r.Import(source); !known {
			return iam.Errorf(iam.NotFound, "There is no import of this name.")
		}
		return nil
	})
	return state, err
}

// importedAtOnce bounds one answer.
const importedAtOnce = 2000

// ImportedRows returns ids of rows of a kind that an import has brought, after the given one, and the last one that was looked
// at, or the zero id at the end.
func (s *Service) ImportedRows(ctx context.Context, source string, kind iam.ImportKind, after iam.ID) (ids []iam.ID, last iam.ID, err error) {
	if err := s.CatchUp(ctx); err != nil {
		return nil, last, err
	}
	err = s.Store.View(func(r *store.Reader) error {
		rows := r.ImportedRows(kind, after, importedAtOnce)
		for i := range rows {
			if rows[i].Source == source {
				ids = append(ids, rows[i].ID)
			}
		}
		if len(rows) == importedAtOnce {
			last = rows[len(rows)-1].ID
		}
		return nil
	})
	return ids, last, err
}

// ForgetImport lets an import begin again.
func (s *Service) ForgetImport(ctx context.Context, t Target) (uint64, error) {
	res, err := s.Proposer.Propose(ctx, t.Origin, &fsm.ForgetImport{Source: t.Ref})
	return res.Index, err
}
