package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/store"
)

func (s *Server) createScope(ctx context.Context, x *exchange, r api.CreateScopeRequest) (api.Scope, error) {
	res, err := s.Proposer.Propose(ctx, x.origin(), &fsm.PutScope{Scope: iam.Scope{
		ID: iam.NewID(), Name: r.Name, Description: r.Description, Resource: r.Resource, Action: r.Action,
	}})
	if err != nil {
		return api.Scope{}, err
	}
	var scope iam.Scope
	if err := res.Decode(&scope); err != nil {
		return api.Scope{}, err
	}
	x.reflects(res.Index)
	x.version(scope.Version())
	return scopeOf(scope), nil
}

func scopeOf(scope iam.Scope) api.Scope {
	return api.Scope{
		ID: scope.ID.String(), Name: scope.Name, Description: scope.Description,
		Resource: scope.Resource, Action: scope.Action,
	}
}

// scopes lists the scopes, by name unless another order is asked for.
func (s *Server) scopes(_ context.Context, x *exchange, _ nothing) (out api.Scopes, err error) {
	query, err := x.listUp("name", "created_at")
	if err != nil {
		return out, err
	}
	place := func(scope iam.Scope) place {
		return placeOf(query, scope.ID, map[string]string{"name": iam.Fold(scope.Name), "created_at": byTime(scope.CreatedAt)})
	}
	err = s.Store.View(func(r *store.Reader) error {
		var shown []iam.Scope
		shown, out.Page = pageOf(query, r.Scopes, r.Scope, place, func(scope iam.Scope) bool {
			return query.finds(scope.Name, scope.Description, scope.Resource)
		})
		out.Scopes = each(shown, scopeOf)
		return nil
	})
	return out, err
}

func (s *Server) scope(_ context.Context, x *exchange, _ nothing) (out api.Scope, err error) {
	err = s.Store.View(func(r *store.Reader) error {
		scope, known := oauth.ScopeByKey(r, x.key("id"))
		if !known {
			return errNothingThere()
		}
		x.version(scope.Version())
		out = scopeOf(scope)
		return nil
	})
	return out, err
}

func (s *Server) replaceScope(ctx context.Context, x *exchange, r api.CreateScopeRequest) (api.Scope, error) {
	return s.changeScope(ctx, x, func(scope *iam.Scope) {
		scope.Name, scope.Description, scope.Resource, scope.Action = r.Name, r.Description, r.Resource, r.Action
	})
}

func (s *Server) patchScope(ctx context.Context, x *exchange, r api.PatchScopeRequest) (api.Scope, error) {
	return s.changeScope(ctx, x, func(scope *iam.Scope) {
		r.Name.Apply(&scope.Name)
		r.Description.Apply(&scope.Description)
		r.Resource.Apply(&scope.Resource)
		r.Action.Apply(&scope.Action)
	})
}

func (s *Server) changeScope(ctx context.Context, x *exchange, change func(*iam.Scope)) (api.Scope, error) {
	scope, index, err := s.OAuth.UpdateScope(ctx, x.edit(), x.key("id"), change)
	if err != nil {
		return api.Scope{}, err
	}
	x.reflects(index)
	x.version(scope.Version())
	return scopeOf(scope), nil
}

func (s *Server) deleteScope(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	index, err := s.OAuth.DeleteScope(ctx, x.edit(), x.key("id"))
	x.reflects(index)
	return api.Message{Message: "Scope deleted successfully"}, err
}
