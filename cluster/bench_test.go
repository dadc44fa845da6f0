package cluster_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
)

func TestTmpBench(t *testing.T) {
	nodes := three(t, []int{0, 1, 2})
	leader, _ := leaderOf(t, nodes)
	for _, c := range []int{1, 64} {
		per := 3000 / c
		if c == 1 {
			per = 300
		}
		var wg sync.WaitGroup
		begin := nowT()
		for i := range c {
			wg.Go(func() {
				for j := range per {
					_, err := leader.Propose(t.Context(), fsm.Origin{}, &fsm.PutScope{Scope: iam.Scope{ID: iam.NewID(), Name: fmt.Sprintf("s.%d.%d.%d", c, i, j)}})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		fmt.Println("BENCH", c, float64(c*per)/nowT().Sub(begin).Seconds())
	}
}
func nowT() time.Time { return time.Now() }
