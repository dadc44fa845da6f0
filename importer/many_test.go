package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// howMany is 5,000 users, a million under torture, or what KEYSTONE_EXPORT_USERS says.
func howMany() int {
	if n, err := strconv.Atoi(os.Getenv("KEYSTONE_EXPORT_USERS")); err == nil {
		return n
	}
	if os.Getenv("KEYSTONE_TORTURE") != "" {
		return 1_000_000
	}
	return 5_000
}

// TestMany exports as many users as a large cluster has, compares them, changes some and writes what differs. The
// memory that it takes must not grow with their number.
func TestMany(t *testing.T) {
	n, s, url := howMany(), newState(t), testpostgres.Database(t)
	s.fill()
	for from := 0; from < n; from += 5000 {
		s.update(func(tx *store.Tx) {
			for i := from; i < min(n, from+5000); i++ {
				u := someUser(i)
				u.ID = iam.ID{0x02, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
				u.Username, u.Email = fmt.Sprintf("many%d", i), fmt.Sprintf("many%d@example.org", i)
				u.PasswordHash = "$argon2id$v=19$m=65536,t=3,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4"
				tx.PutUser(u)
			}
		})
	}
	before := many(t, s)
	var report *ExportReport
	peak := peakOf(func() { report = mustExport(t, url, before, ExportOptions{}) })
	t.Logf("export of %d users into an empty database: %.1f s, %d MiB of heap at most", n, report.Seconds, peak>>20)
	if peak > 100<<20 {
		t.Errorf("the export took %d MiB", peak>>20)
	}
	begun := time.Now()
	var v *Verification
	peak = peakOf(func() { v = verify(t, url, before, VerifyOptions{Strict: true}) })
	t.Logf("verify: %.1f s, %d MiB of heap at most", time.Since(begun).Seconds(), peak>>20)
	if !v.Same || peak > 100<<20 {
		t.Errorf("same %v, with %d MiB: %q", v.Same, peak>>20, v.told())
	}
	rewrite(s)
	after := many(t, s)
	report = mustExport(t, url, after, ExportOptions{Before: before})
	t.Logf("what differs: %.1f s", report.Seconds)
	if r := report.of("users"); r.Read != 5 || r.Updated != 4 {
		t.Errorf("%+v", r)
	}
	report = mustExport(t, url, after, ExportOptions{})
	t.Logf("comparing everything: %.1f s", report.Seconds)
	if report.Changed() {
		t.Errorf("%+v", report)
	}
	if v := verify(t, url, after, VerifyOptions{Strict: true}); !v.Same {
		t.Errorf("%q", v.told())
	}
}

// many is a snapshot that does not go through the memory.
func many(t *testing.T, s *state) *Snapshot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	opened, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return &Snapshot{Store: opened, ClusterID: "cluster-1"}
}

// peakOf is by how much the heap grew at most while fn ran, as far as looking at it now and then tells.
func peakOf(fn func()) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base := m.HeapAlloc
	var peak atomic.Uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > base {
				peak.Store(max(peak.Load(), m.HeapAlloc-base))
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	fn()
	close(done)
	<-ended
	return peak.Load()
}
