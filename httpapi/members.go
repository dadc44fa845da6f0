package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

func (s *Server) removeNode(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	err := s.changeNode(ctx, x, "cluster.node_removed", s.Cluster.Remove)
	return api.Message{Message: "Node removed successfully"}, err
}

func (s *Server) promoteNode(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	err := s.changeNode(ctx, x, "cluster.node_promoted", s.Cluster.Promote)
	return api.Message{Message: "Node promoted successfully"}, err
}

func (s *Server) demoteNode(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	err := s.changeNode(ctx, x, "cluster.node_demoted", s.Cluster.Demote)
	return api.Message{Message: "Node demoted successfully"}, err
}

func (s *Server) transferLeadership(ctx context.Context, x *exchange, r api.TransferRequest) (api.Leadership, error) {
	if err := s.recordAct(ctx, x, "cluster.leadership_transferred", r.To, iam.AuditSuccess); err != nil {
		return api.Leadership{}, err
	}
	leader, err := s.Cluster.Transfer(ctx, r.To)
	return api.Leadership{Leader: leader}, s.refusedAct(ctx, x, "cluster.leadership_transferred", r.To, err)
}

// changeNode writes down what is done before it is done: a node that removes itself could not afterwards.
func (s *Server) changeNode(ctx context.Context, x *exchange, event string, change func(context.Context, string) error) error {
	name := x.key("id")
	if err := s.recordAct(ctx, x, event, name, iam.AuditSuccess); err != nil {
		return err
	}
	return s.refusedAct(ctx, x, event, name, change(ctx, name))
}

// refusedAct writes down that it came to nothing, and returns why.
func (s *Server) refusedAct(ctx context.Context, x *exchange, event, target string, err error) error {
	if err != nil {
		_ = s.recordAct(ctx, x, event, target, iam.AuditRefused) // the caller hears of the refusal itself
	}
	return err
}

func (s *Server) recordAct(ctx context.Context, x *exchange, event, target, result string) error {
	o := x.origin()
	_, err := s.Proposer.Propose(ctx, o, &fsm.RecordAudit{Entries: []iam.AuditEntry{{
		At: iam.Now(), Type: event, Target: target, Result: result,
		Actor: o.Actor, IP: o.IP, UserAgent: o.UserAgent, RequestID: o.Trace,
	}}})
	return err
}
