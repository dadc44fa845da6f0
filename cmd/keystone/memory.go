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
	// largeHeap is how much must be in use for garbage to be collected at half of that, and not when there is as much again. To
	// go through it costs more then, but is due more rarely too. Without load a heap is that large nowhere.
	largeHeap = 32 << 20
	// worthwhile is how much must have been asked for since memory was given back before it is again.
	worthwhile = 4 << 20
)

// rest decides when to give back the memory that past work took. The runtime keeps it for the work to come
// and collects garbage when there is some: a node to which nobody speaks would keep 64 MiB for each password
// that was checked at once for minutes, and twice what it needs for ever.
//
// Under load nothing changes for the small heap that logins and introspection need: a smaller GOGC would have every request
// pay for it.
type rest struct {
	last  uint64 // asked for in the whole life of the process, as of the last look
	given uint64 // the same, as of the last time that memory was given back
}

// due tells whether to give memory back, of a process that has asked for so many bytes in its whole life, of
// which so many were in use at the last collection. To collect a large heap costs more, and must bring more.
func (r *rest) due(asked, live uint64) bool {
	rests := asked-r.last < restful
	r.last = asked
	if !rests || asked-r.given < max(worthwhile, live/4) {
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
			if p := pace(figures[1].Value.Uint64()); p != percent && os.Getenv("GOGC") == "" { // which the operator may have set
				percent = p
				debug.SetGCPercent(p)
			}
			if !r.due(figures[0].Value.Uint64(), figures[1].Value.Uint64()) {
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

// pace is how much garbage there may be, in percent of what is in use, where so many bytes are.
func pace(live uint64) int {
	if live > largeHeap {
		return 50
	}
	return 100
}
