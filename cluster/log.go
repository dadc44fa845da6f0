package cluster

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// repeatAfter is how long the same complaint about the same peer is not repeated: raft tries a node
// that is away many times a second, and says so each time.
const repeatAfter = 30 * time.Second

// raftLogger lets raft speak into our log. Only warnings and errors: the rest tells raft's authors
// more than an operator.
func raftLogger(to *slog.Logger, closed <-chan struct{}) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Output: io.Discard, Level: hclog.Warn})
	logger.RegisterSink(&logSink{to: to.With("part", "raft"), closed: closed})
	return logger
}

type logSink struct {
	to     *slog.Logger
	closed <-chan struct{}
	said   repetition
}

// Accept implements hclog.SinkAdapter. What raft calls an error is one failed attempt among many: a
// vote, a heartbeat, a dial. So all are warnings, and connections that break while this node stops
// are none.
func (s *logSink) Accept(_ string, level hclog.Level, message string, args ...any) {
	if level < hclog.Warn || isClosed(s.closed) || s.said.before(message+peerIn(args)) {
		return
	}
	s.to.Log(context.Background(), slog.LevelWarn, message, args...)
}

// repetition remembers what was said a short time ago.
type repetition struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (r *repetition) before(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(r.at, func(_ string, at time.Time) bool { return now.Sub(at) >= repeatAfter })
	if _, said := r.at[what]; said {
		return true
	}
	if r.at == nil {
		r.at = map[string]time.Time{}
	}
	r.at[what] = now
	return false
}

// peerIn finds the peer among the key-value pairs of a log line.
func peerIn(args []any) string {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "peer" {
			return fmt.Sprint(args[i+1])
		}
	}
	return ""
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// gossipLogger does the same for memberlist, which marks its lines with a level in brackets.
func gossipLogger(to *slog.Logger, closed <-chan struct{}) *log.Logger {
	return log.New(&gossipWriter{to: to.With("part", "gossip"), closed: closed}, "", 0)
}

type gossipWriter struct {
	to     *slog.Logger
	closed <-chan struct{}
	said   repetition
}

// Write implements io.Writer. Gossip's warnings are about single packets; whether a node is away is
// told by the status. Its errors begin alike, and end with the addresses of one attempt.
func (w *gossipWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	about, isError := strings.CutPrefix(text, "[ERR] memberlist: ")
	beginning, _, _ := strings.Cut(about, ":")
	if !isError || isClosed(w.closed) || w.said.before(beginning) {
		w.to.Debug(text)
		return len(line), nil
	}
	w.to.Warn(about)
	return len(line), nil
}
