package limit

import (
	"sync"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// maxStreaks bounds the memory; it takes that many accounts under attack at once to reach it.
const maxStreaks = 100_000

// Streaks counts what happens in a row, such as failed logins by account. The zero value is ready.
type Streaks struct {
	mu     sync.Mutex
	counts map[string]streak
}

type streak struct {
	length int
	last   iam.Time
}

// Add counts one more and returns how many they are now. Those further apart than gap do not add up.
func (s *Streaks) Add(key string, gap time.Duration, now iam.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]streak{}
	}
	k, known := s.counts[key]
	if now.Sub(k.last) > gap {
		k.length = 0
	}
	k.length++
	k.last = max(k.last, now)
	if !known && len(s.counts) >= maxStreaks {
		s.drop(now.Add(-gap))
	}
	s.counts[key] = k
	return k.length
}

// Forget ends a streak.
func (s *Streaks) Forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counts, key)
}

// drop forgets what is too old to count; if that frees nothing, any: a lock that comes late is better
// than a node without memory.
func (s *Streaks) drop(before iam.Time) {
	for key, k := range s.counts {
		if k.last < before {
			delete(s.counts, key)
		}
	}
	for key := range s.counts {
		if len(s.counts) < maxStreaks {
			return
		}
		delete(s.counts, key)
	}
}
