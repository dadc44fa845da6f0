package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/oauth"
)

// authzCheck answers whether somebody may do something.
func (s *Server) authzCheck(ctx context.Context, x *exchange, r api.AuthzCheck) (api.AuthzVerdict, error) {
	if err := s.enterClient(ctx, x, "", ""); err != nil {
		return api.AuthzVerdict{}, err
	}
	verdicts, err := s.OAuth.Check(x.caller, []oauth.Check{oauth.Check(r)})
	if err != nil {
		return api.AuthzVerdict{}, err
	}
	return api.AuthzVerdict(verdicts[0]), nil
}

// authzCheckBulk answers many questions at once, out of one state.
func (s *Server) authzCheckBulk(ctx context.Context, x *exchange, r api.AuthzBulkRequest) (api.AuthzBulkResponse, error) {
	if err := s.enterClient(ctx, x, "", ""); err != nil {
		return api.AuthzBulkResponse{}, err
	}
	verdicts, err := s.OAuth.Check(x.caller, each(r.Checks, func(c api.AuthzCheck) oauth.Check { return oauth.Check(c) }))
	return api.AuthzBulkResponse{
		Results: each(verdicts, func(v oauth.Verdict) api.AuthzVerdict { return api.AuthzVerdict(v) }),
	}, err
}
