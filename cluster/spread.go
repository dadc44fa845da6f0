package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/fsm"
)

// spreadTimeout is how long a success waits for members that are slow or gone.
const spreadTimeout = time.Second

// spread holds back the success of a command that takes something away until the other members have
// applied it, so that a token is dead everywhere when its revocation is confirmed.
//
// What it does not promise: a member that is cut off from this node, or slower than the limit, is
// not waited for and may go on accepting what was taken away until it hears of it. Leases that end
// by themselves would close that gap; this type is the place where they take over.
type spread struct {
	nodeID  string
	members *members
	client  *rpcClient
	fsm     *fsm.FSM
}

// waitRequest asks a member to answer when it has applied the index.
type waitRequest struct {
	Index uint64 `cbor:"1,keyasint"`
}

type waitReply struct{}

func (s *spread) wait(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range s.members.servers() {
		if string(m.ID) == s.nodeID {
			continue
		}
		all.Go(func() {
			var reply waitReply
			_ = s.client.call(ctx, target{string(m.Address), string(m.ID)}, "/wait-applied", waitRequest{index}, &reply)
		})
	}
	all.Wait()
}

// receive is the member's side of wait.
func (s *spread) receive(ctx context.Context, _ caller, request waitRequest) (waitReply, error) {
	return waitReply{}, s.fsm.WaitApplied(ctx, request.Index)
}
