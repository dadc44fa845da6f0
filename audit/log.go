package audit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

const (
	// Every is how long refusals wait for others.
	Every = 2 * time.Second
	// slowest is how much longer they wait while batches are crowded, so that whoever floods a node adds
	// less than one entry a second to the log.
	slowest = 64
	// flushWithin bounds one try to record a batch.
	flushWithin = 5 * time.Second
)

// Config is what a Log is made of.
type Config struct {
	Store    *store.Store
	Proposer fsm.Proposer
	Now      func() iam.Time
	Logger   *slog.Logger
	Every    time.Duration // between two batches; 0 = the usual
}

// Log is the audit log as the rooms above the state machine see it.
type Log struct {
	Config
	life context.Context // ends with Close
	end  context.CancelFunc
	done chan struct{} // closed when run has returned
	wake chan struct{} // has room for one: there is something to record

	mu      sync.Mutex
	waiting batch

	sending sync.Mutex // held while a batch is proposed
	unsent  []iam.AuditEntry
	request iam.ID // of unsent: if the first try took effect after all, the second does not
}

// New returns a Log that records until Close.
func New(c Config) *Log {
	if c.Every == 0 {
		c.Every = Every
	}
	l := &Log{Config: c, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	l.life, l.end = context.WithCancel(context.Background())
	go l.run()
	return l
}

// Refused notes a refusal. It never waits, neither for a disk nor for another node. The entry must not
// hold what a caller typed in: people type passwords where names belong.
func (l *Log) Refused(e iam.AuditEntry) {
	if e.At == 0 {
		e.At = l.Now()
	}
	e.Result = iam.AuditRefused
	// The texts may share memory with a request that is much larger.
	for _, text := range []struct {
		of   *string
		most int
	}{{&e.Type, 64}, {&e.Actor, 255}, {&e.Target, 255}, {&e.Reason, 64}, {&e.IP, 64}, {&e.UserAgent, 256}, {&e.RequestID, 64}} {
		*text.of = strings.Clone((*text.of)[:min(len(*text.of), text.most)])
	}
	l.mu.Lock()
	l.waiting.add(e)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run records what waits, a moment after it came. A node that refuses nothing does nothing.
func (l *Log) run() {
	defer close(l.done)
	pause := l.Every
	for {
		select {
		case <-l.wake:
		case <-l.life.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-l.life.Done():
			return
		}
		ctx, cancel := context.WithTimeout(l.life, flushWithin)
		crowded, err := l.flush(ctx)
		cancel()
		if err != nil && l.life.Err() == nil {
			l.Logger.Warn("refusals could not be recorded in the audit log and wait", "error", err)
		}
		if pause = l.Every; crowded || err != nil {
			pause = min(2*pause, slowest*l.Every)
		}
	}
}

// Flush records what waits, now.
func (l *Log) Flush(ctx context.Context) error {
	_, err := l.flush(ctx)
	return err
}

// flush proposes the batch that could not be proposed before, and then the one that waits. A batch is
// crowded when something did not fit in.
func (l *Log) flush(ctx context.Context) (crowded bool, err error) {
	l.sending.Lock()
	defer l.sending.Unlock()
	if err := l.send(ctx); err != nil {
		l.again()
		return false, err
	}
	l.mu.Lock()
	taken := l.waiting
	l.waiting = batch{}
	l.mu.Unlock()
	l.unsent, l.request = taken.entries(l.Now()), iam.NewID()
	if err := l.send(ctx); err != nil {
		l.again()
		return taken.crowded(), err
	}
	return taken.crowded(), nil
}

// send proposes unsent. What is refused for good would be refused again: it is given up and counted.
func (l *Log) send(ctx context.Context) error {
	if len(l.unsent) == 0 {
		return nil
	}
	_, err := l.Proposer.Propose(ctx, fsm.Origin{Actor: "system", RequestID: l.request}, &fsm.RecordAudit{Entries: l.unsent})
	if code := iam.CodeOf(err); err != nil && code != iam.TemporarilyUnavailable && code != iam.InternalError {
		l.Logger.Error("refusals are lost for the audit log", "count", len(l.unsent), "error", err)
		l.mu.Lock()
		l.waiting.lost += uint64(len(l.unsent))
		l.mu.Unlock()
		err = nil
	}
	if err == nil {
		l.unsent = nil
	}
	return err
}

// again makes sure that there is another try.
func (l *Log) again() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close records what waits, as long as ctx allows, and ends the Log.
func (l *Log) Close(ctx context.Context) error {
	l.end()
	<-l.done
	return l.Flush(ctx)
}
