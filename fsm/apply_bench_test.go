package fsm

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/iam"
)

// BenchmarkApply is what a batch of the log costs the state machine, on the disk of the temporary folder.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m := newMachine(b, b.TempDir())
			batch := make([]*raft.Log, size)
			for b.Loop() {
				for i := range batch {
					batch[i] = m.entry(Origin{RequestID: iam.NewID()}, &RevokeToken{Jti: iam.NewID().String()})
				}
				m.fsm.ApplyBatch(batch)
				m.changes = nil
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}
