package node

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/httpapi"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/view"
)

// clusterView is what the API tells of the cluster. As long as a new cluster has no settings or no
// key that signs, it counts as one that is forming: a node of it could not log anybody in.
func clusterView(n *cluster.Node, memory *view.View, current, settled func() bool) httpapi.Cluster {
	formed := func() bool {
		_, _, signs := memory.Keys().Signer(iam.Now())
		return signs && memory.Issuer() != ""
	}
	return httpapi.Cluster{
		Role: n.Role,
		Leader: func() string {
			if !formed() {
				return ""
			}
			return n.Leader()
		},
		Applied: n.Applied,
		Current: current,
		Trouble: n.Trouble,
		Fresh:   n.Fresh,
		Read:    n.Read,
		Remove:  n.Remove, Promote: n.Promote, Demote: n.Demote, Transfer: n.TransferTo,
		Status: func(ctx context.Context) api.Cluster {
			status := statusOf(n.Status(ctx))
			status.SecretSettled = settled()
			if e := memory.Epoch(); e.Number > 0 {
				status.Epoch = &api.Epoch{Number: e.Number, RaisedAt: e.At.Std(), Reason: e.Reason}
			}
			return status
		},
	}
}

func statusOf(s cluster.Status) api.Cluster {
	out := api.Cluster{ClusterID: s.ClusterID, Leader: s.Leader, Term: s.Term, Commands: s.Commands, Mixed: s.Mixed, Nodes: []api.Node{}}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, api.Node{
			Name: n.Name, ID: n.ID, Address: n.Address, HTTP: n.HTTP, Role: n.Role, State: n.State, Version: n.Version, Commands: n.Commands, Format: n.Format,
			AppliedIndex: n.Applied, Lag: n.Lag, StateHash: n.Hash, StateHashIndex: n.HashIndex, Agrees: n.Agrees, Secrets: n.Secrets,
		})
	}
	return out
}
