package history_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// TestFenceCost compares, in turns, a revocation with another change that writes as much and waits for no
// fence, proposed on the leader and on a follower of a cluster that is all right.
func TestFenceCost(t *testing.T) {
	rounds := 30
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		rounds = 2000
	}
	c := testcluster.Start(t, 3)
	for what, n := range map[string]*testcluster.Node{"leader": c.Leader(), "follower": c.Followers()[0]} {
		var fenced, plain []time.Duration
		measure := func(into *[]time.Duration, cmd fsm.Command) {
			start := time.Now()
			result, err := n.Running().Cluster().Propose(t.Context(), fsm.Origin{Actor: "test"}, cmd)
			if err != nil {
				t.Fatal(err)
			}
			*into = append(*into, time.Since(start))
			if (result.Receipt != nil) != cmd.Denies() {
				t.Errorf("%T: the receipt is %+v", cmd, result.Receipt)
			}
		}
		for i := range rounds {
			measure(&fenced, &fsm.RevokeToken{Jti: fmt.Sprint(what, i)})
			measure(&plain, &fsm.RecordAudit{Entries: []iam.AuditEntry{
				{At: iam.Now(), Type: "login.failed", Target: fmt.Sprint(i), Result: "refused"}, {At: iam.Now(), Type: "login.failed", Target: fmt.Sprint(i), Result: "refused"},
			}})
		}
		at := func(all []time.Duration, p float64) time.Duration {
			slices.Sort(all)
			return all[min(int(p*float64(len(all))), len(all)-1)].Round(10 * time.Microsecond)
		}
		t.Logf("on the %s: with the fence p50 %s, p99 %s; without p50 %s, p99 %s", what, at(fenced, .5), at(fenced, .99), at(plain, .5), at(plain, .99))
	}
}
