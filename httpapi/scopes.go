package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
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
	return api.Scope{
		ID: scope.ID.String(), Name: scope.Name, Description: scope.Description,
		Resource: scope.Resource, Action: scope.Action,
	}, nil
}
