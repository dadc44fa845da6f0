package httpapi

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
)

// importBatch takes over rows of another system.
func (s *Server) importBatch(ctx context.Context, x *exchange, r api.ImportRequest) (api.ImportResponse, error) {
	in := readImport(r)
	out, index, err := s.Login.Import(ctx, login.Target{By: x.by(), Origin: x.origin()}, &in.batch, r.DryRun)
	if err != nil {
		return api.ImportResponse{}, err
	}
	x.reflects(index)
	return in.tell(r, out), nil
}

// tell is the answer about a batch.
func (in *importIn) tell(r api.ImportRequest, out fsm.ImportOutcome) api.ImportResponse {
	notes := in.notes
	for _, n := range out.Notes {
		if better, known := in.reasons[rowField{n.Kind, n.ID, n.Field}]; known && n.Outcome != iam.ImportRefused {
			n.Reason = better
		}
		notes = append(notes, api.ImportNote{Kind: n.Kind.String(), ID: n.ID.String(), Outcome: n.Outcome, Field: n.Field, Reason: n.Reason})
	}
	answer := api.ImportResponse{
		Cursor: r.Cursor, Created: out.Created, Updated: out.Updated, Unchanged: out.Unchanged, Deleted: out.Deleted, Refused: out.Refused, Notes: notes,
	}
	if r.DryRun {
		answer.Cursor = r.After
	}
	return answer
}

func (s *Server) importState(ctx context.Context, x *exchange, _ nothing) (api.ImportState, error) {
	i, err := s.Login.ImportState(ctx, x.param("id"))
	return api.ImportState{
		Source: i.Source, Cursor: i.Cursor, Created: i.Created, Updated: i.Updated, Unchanged: i.Unchanged, Deleted: i.Deleted, Refused: i.Refused,
		StartedAt: i.StartedAt.Std(), UpdatedAt: i.UpdatedAt.Std(),
	}, err
}

// importedRows tells which rows an import has brought, for a source that has no list of what it has deleted.
func (s *Server) importedRows(ctx context.Context, x *exchange, _ nothing) (api.ImportedRows, error) {
	kind := iam.ImportKind(max(0, slices.Index(iam.ImportKinds[:], x.query("kind"))))
	if kind == 0 {
		return api.ImportedRows{}, iam.Invalid("kind", "must be scope, role, user, client or session")
	}
	var after iam.ID
	if text := x.query("after"); text != "" {
		var err error
		if after, err = iam.ParseID(text); err != nil {
			return api.ImportedRows{}, iam.Invalid("after", "must be the member next of an answer before")
		}
	}
	ids, last, err := s.Login.ImportedRows(ctx, x.param("id"), kind, after)
	answer := api.ImportedRows{IDs: make([]string, len(ids))}
	for i, id := range ids {
		answer.IDs[i] = id.String()
	}
	if !last.IsZero() {
		answer.Next = last.String()
	}
	return answer, err
}

func (s *Server) forgetImport(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	index, err := s.Login.ForgetImport(ctx, login.Target{Ref: x.param("id"), Origin: x.origin()})
	x.reflects(index)
	return api.Message{Message: "Import forgotten successfully"}, err
}
