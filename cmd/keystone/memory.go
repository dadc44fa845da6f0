package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

const (
	// restCheck is how often the process looks whether it is at rest.
	restCheck = 2 * time.Second
	// pageCheck is how often it looks how much of its files it has in memory.
	pageCheck = 100 * time.Millisecond
	// restful is how much memory a process at rest may ask for between two looks. Raft and gossip ask for a
	// third of that, one login asks for 64 MiB.
	restful = 8 << 20
	// mostMapped is how much of mapped files may be in memory before it is let go of under load too. Whoever imports a
	// million people would else see the whole state there. What is looked at again comes back from the kernel's
	// cache, in a fraction of a microsecond a page.
	mostMapped = 64 << 20
	// spareHeap is how much garbage there may be before it is collected, at least. With as much again as is in use, which is
	// what the runtime allows, the 10 MiB of a busy node were gone through many times a second, and a twelfth of each
	// refresh and of each service token was that.
	spareHeap = 48 << 20
	// worthwhile is how much must have been asked for since memory was given back before it is again.
	worthwhile = 4 << 20
)

// rest decides when to give back the memory that past work took. The runtime keeps it for the work to come
// and collects garbage when there is some: a node to which nobody speaks would keep 64 MiB for each password
// that was checked at once for minutes, and twice what it needs for ever.
type rest struct {
	last  uint64 // asked for in the whole life of the process, as of the last look
	given uint64 // the same, as of the last time that memory was given back
	busy  bool   // more was asked for between the last two looks than by a process at rest
}

// due tells whether to give memory back, of a process that has asked for so many bytes in its whole life, of
// which so many were in use at the last collection. To collect a large heap costs more, and must bring more.
func (r *rest) due(asked, live uint64) bool {
	r.busy = asked-r.last >= restful
	r.last = asked
	if r.busy || asked-r.given < max(worthwhile, live/4) {
		return false
	}
	r.given = asked
	return true
}

// giveBack runs until ctx ends. The files of a node count too: after a crash bbolt walks over the whole file when it
// is opened, and a page that was looked at once stays with the process.
func giveBack(ctx context.Context, n *node.Node, log *slog.Logger) {
	var r rest
	percent := 100
	figures := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	rests, pages := time.NewTicker(restCheck), time.NewTicker(pageCheck)
	defer rests.Stop()
	defer pages.Stop()
	for {
		select {
		case <-rests.C:
			metrics.Read(figures)
			live := figures[1].Value.Uint64()
			due := r.due(figures[0].Value.Uint64(), live)
			if p := pace(live, r.busy); p != percent && os.Getenv("GOGC") == "" { // which the operator may have set
				percent = p
				debug.SetGCPercent(p)
			}
			if !due {
				continue
			}
			debug.FreeOSMemory()
		case <-pages.C:
			if mapped() <= mostMapped {
				continue
			}
		case <-ctx.Done():
			return
		}
		if err := errors.Join(n.Store().Mapped(unmap), n.Cluster().MappedLog(unmap)); err != nil {
			log.Debug("the files could not be let go of", "error", err)
		}
	}
}

// pace is how much garbage there may be, in percent of what is in use, where so many bytes are. Under load that is spareHeap,
// or half of what is in use where that is more. The steps are large, for each change stops the process for a moment.
func pace(live uint64, busy bool) int {
	const step, least, usual, most = 25, 50, 100, 400
	percent := 100 * max(spareHeap, live/2) / max(live, 1)
	if !busy {
		percent = min(percent, usual)
	}
	return min(max(int(percent)/step*step, least), most)
}
