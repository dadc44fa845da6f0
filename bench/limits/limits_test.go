package limits

import (
	"testing"

	"github.com/keystone-auth/keystone/bench"
)

func TestVerdicts(t *testing.T) {
	f := func(least, median, most float64, atLeast bool, want string) {
		t.Helper()
		r := Row{Target: 0.8, AtLeast: atLeast, Figure: bench.Spread{Least: least, Median: median, Most: most}}
		if got := r.judge(); got != want {
			t.Errorf("%v–%v–%v against 0.8 is %s, want %s", least, median, most, got, want)
		}
	}
	f(0.7, 0.8, 0.9, true, Met)
	f(0.7, 0.79, 0.8, true, Nearly)
	f(0.7, 0.75, 0.79, true, Missed)
	f(0.1, 0.8, 0.9, false, Met)
	f(0.8, 0.9, 1, false, Nearly)
	f(0.81, 0.9, 1, false, Missed)
}

// TestEveryRowHasANameOfItsOwn: --only finds rows by it.
func TestEveryRowHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range measurements() {
		if m.row.Name == "" || seen[m.row.Name] || m.take == nil || m.row.What == "" {
			t.Errorf("a row is incomplete or there twice: %+v", m.row)
		}
		seen[m.row.Name] = true
	}
}

// TestInside measures what needs no cluster, for a moment.
func TestInside(t *testing.T) {
	l := &lab{options: Options{Rounds: 1}, folder: t.TempDir()}
	figures, _, err := hitAllocations(t.Context(), l)
	if err != nil || len(figures) != 1 || figures[0] != 0 && !raceDetector {
		t.Errorf("a hit makes %v allocations, %v", figures, err)
	}
	figures, _, err = firstSight(t.Context(), l)
	if err != nil || len(figures) != 1 || figures[0] <= 0 {
		t.Errorf("first sight costs %v verifications, %v", figures, err)
	}
}
