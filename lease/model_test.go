package lease_test

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// rules are what the simulation leaves out or does wrong, one at a time.
type rules struct {
	noWait        bool // a new leader does not wait for the leases of earlier ones
	fromReceipt   bool // a lease counts from when its node hears of it
	leaderServes  bool // a leader answers as long as it believes that it leads
	unbounded     bool // a lease may outlast that of the leader who gives it
	noRequired    bool // a lease counts, however old the state is
	lastContact   bool // a node answers while it has heard from a leader a moment ago
	wildClocks    bool // clocks differ by more than the margin
	readFirst     bool // the state is read before the lease is looked at
	noDrain       bool // a node is removed while it holds a lease
	uncommitted   bool // a node gets a lease before its membership is committed
	forgetful     bool // a node that drops its lease forgets what it has promised to a fence
	unfencedRetry bool // who asks again is told that it is done, without waiting for anybody
}

const lifetime = 40 * time.Second // of a simulated world

// runs is how many worlds a test looks at.
func runs(t *testing.T, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("KEYSTONE_LEASE_RUNS")); err == nil {
		return n
	}
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		return 50 * usual
	}
	return usual
}

// TestNoAnswerBeforeWhatWasConfirmed is the promise: in no world does a node answer by a state that is
// older than what was confirmed to be known everywhere.
func TestNoAnswerBeforeWhatWasConfirmed(t *testing.T) {
	confirmed, reads, empty := 0, 0, 0
	worlds := runs(t, 3000/slower)
	for seed := range worlds {
		w := newWorld(uint64(seed), []int{3, 3, 5, 1}[seed%4], rules{})
		w.run(lifetime)
		if w.violation != "" {
			t.Fatalf("seed %d: %s", seed, w.violation)
		}
		confirmed, reads = confirmed+w.confirmed, reads+w.reads
		if w.reads == 0 || w.confirmed == 0 {
			empty++
		}
	}
	t.Logf("%d worlds, %d confirmed, %d answers", worlds, confirmed, reads)
	if 100*empty > worlds {
		t.Errorf("in %d of %d worlds nobody answered, or nothing was confirmed: they show nothing", empty, worlds)
	}
}

// TestEachRuleIsNeeded takes away one rule after the other: if the simulation missed none, it could not
// be trusted with the whole.
func TestEachRuleIsNeeded(t *testing.T) {
	for name, broken := range map[string]rules{
		"no wait of a new leader":            {noWait: true},
		"leases that count from the receipt": {fromReceipt: true},
		"a leader that just answers":         {leaderServes: true},
		"leases longer than the leader's":    {unbounded: true},
		"no required index":                  {noRequired: true},
		"last contact instead of a lease":    {lastContact: true},
		"clocks beyond the margin":           {wildClocks: true},
		"reading before looking":             {readFirst: true},
		"removal without waiting":            {noDrain: true},
		"leases for uncommitted members":     {uncommitted: true},
		"dropping promises with the lease":   {forgetful: true},
		"retries that wait for nobody":       {unfencedRetry: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most := runs(t, 3000)
			for seed := range most {
				w := newWorld(uint64(seed), []int{3, 3, 5}[seed%3], broken)
				w.run(lifetime)
				if w.violation != "" {
					t.Logf("seed %d: %s", seed, w.violation)
					return
				}
			}
			t.Errorf("%d worlds without this rule are all right", most)
		})
	}
}
