package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

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

// BenchmarkRefresh is what a batch of refreshes costs the state machine of each node, of a thousand people who refresh in no
// order.
func BenchmarkRefresh(b *testing.B) {
	const people, size = 1000, 64
	m := newMachine(b, b.TempDir())
	m.do(initialize())
	m.do(&CreateUser{User: person(1, "ann", roleAdmin)})
	sessions := make([]iam.ID, people)
	digests := make([]uint64, people) // of the token that is good now
	sum := func(n uint64) []byte { d := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)); return d[:] }
	for i := range sessions {
		sessions[i], digests[i] = iam.NewID(), uint64(i)<<32
		if i%MaxSessions == 0 {
			m.do(&CreateUser{User: person(2+i/MaxSessions, fmt.Sprint("person-", i), roleUser)})
		}
		c := login(m, id('u', 2+i/MaxSessions), i)
		c.Session.ID, c.Session.Family, c.Session.Refresh = sessions[i], sum(uint64(i)), sum(digests[i])
		c.Session.IP, c.Session.UserAgent = "192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
		m.do(c)
	}
	batch := make([]*raft.Log, size)
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range batch {
			n := next * 7 % people
			next++
			m.wait(time.Millisecond)
			batch[i] = m.entry(Origin{RequestID: iam.NewID(), IP: "192.0.2.1", Trace: iam.NewID().String()}, &RotateSession{
				ID: sessions[n], Family: sum(uint64(n)), Presented: sum(digests[n]), Next: sum(digests[n] + 1),
				Replay: make([]byte, 140), TokenID: iam.NewID().String(), ExpiresAt: m.now.Add(time.Hour),
			})
			digests[n]++
		}
		b.StartTimer()
		for _, r := range m.fsm.ApplyBatch(batch) {
			if refused := r.(Response).Refusal; refused != nil {
				b.Fatal(refused)
			}
		}
		m.changes = nil
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/refresh")
}

// BenchmarkImport is what rows of an import cost one node's state machine: new ones, and the same ones again.
func BenchmarkImport(b *testing.B) {
	m := newMachine(b, b.TempDir())
	m.do(initialize())
	const size = 500
	cursor, next := "", 0
	batch := func(from int) *ImportBatch {
		c := &ImportBatch{Source: "bench", After: cursor, Cursor: fmt.Sprint(next, "/", from), OnConflict: iam.ConflictSkip, Users: make([]ImportedUser, size)}
		cursor, next = c.Cursor, next+1
		for i := range c.Users {
			id := iam.ID{0: byte((from + i) * 31)} // uuid4 in no order
			binary.BigEndian.PutUint32(id[8:], uint32(from+i)+1)
			binary.BigEndian.PutUint32(id[1:], uint32(from+i)*2654435761)
			name := fmt.Sprint("person-", from+i)
			sum := sha256.Sum256([]byte(name))
			c.Users[i] = ImportedUser{Hash: sum[:], Roles: []string{"user"}, User: iam.User{
				ID: id, Username: name, Email: name + "@example.org", FirstName: "First", LastName: "Last", Active: true,
				PasswordHash: "$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4",
				CreatedAt:    epoch, UpdatedAt: epoch, PasswordChangedAt: epoch,
			}}
		}
		return c
	}
	apply := func(b *testing.B, c *ImportBatch) {
		if r := m.fsm.ApplyBatch([]*raft.Log{m.entry(Origin{RequestID: iam.NewID()}, c)})[0].(Response); r.Refusal != nil {
			b.Fatal(r.Refusal)
		}
		m.changes = nil
	}
	from := 0
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			apply(b, batch(from))
			from += size
		}
		b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("same", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			apply(b, batch(i*size%from))
		}
		b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
	})
}
