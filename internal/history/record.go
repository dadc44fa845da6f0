package history

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Recorder keeps what clients did and saw. It is safe for concurrent use.
type Recorder struct {
	start time.Time

	mu        sync.Mutex
	all       []porcupine.Operation
	refreshed map[string][]string // refresh token → the idempotency keys under which it was good
	events    []string            // what was done to the nodes
}

// NewRecorder returns an empty one, whose clock starts now.
func NewRecorder() *Recorder { return &Recorder{start: time.Now(), refreshed: map[string][]string{}} }

// question is what was done to one access token, which was good before.
type question struct {
	token string
	node  string
	kind  kind
}

type kind uint8

const (
	asked   kind = iota // whether it is good
	doomed              // somebody began to take it away
	settled             // and was told of a success
)

// A token's states. Between the question to take it away and the answer nodes may differ, and a node may
// do so on its own: the promise begins with the answer. So this is a register that is regular, and atomic
// for those alone who have waited (Lamport, On Interprocess Communication, 1986).
const (
	good = iota
	dying
	dead
)

// Now is the time on the recorder's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Asked notes that a node said of a token whether it is active.
func (r *Recorder) Asked(client int, token, node string, call int64, active bool) {
	r.add(porcupine.Operation{ClientId: client, Input: question{token, node, asked}, Call: call, Output: active, Return: r.Now()})
}

// Killed notes that a token was taken away with success, or that nobody knows whether it was: then it may
// have been at any time after the call.
func (r *Recorder) Killed(client int, token, node string, call int64, known bool) {
	now := r.Now()
	r.add(porcupine.Operation{ClientId: client, Input: question{token, node, doomed}, Call: call, Return: call})
	if known {
		r.add(porcupine.Operation{ClientId: client, Input: question{token, node, settled}, Call: now, Return: now})
	}
}

func (r *Recorder) add(op porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, op)
}

// Refreshed notes that a refresh token was good under an idempotency key.
func (r *Recorder) Refreshed(token, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refreshed[token] = append(r.refreshed[token], key)
}

// Event notes what was done to the nodes, for people.
func (r *Recorder) Event(format string, args ...any) {
	at := time.Duration(r.Now()).Round(time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%8s  %s", at, fmt.Sprintf(format, args...)))
}

// model is one access token, which is good until something takes it away.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byToken := map[string][]porcupine.Operation{}
		for _, op := range all {
			token := op.Input.(question).token
			byToken[token] = append(byToken[token], op)
		}
		parts := make([][]porcupine.Operation, 0, len(byToken))
		for _, part := range byToken {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return good },
	Step: func(state, input, output any) (bool, any) {
		is := state.(int)
		switch input.(question).kind {
		case doomed:
			return true, max(is, dying)
		case settled:
			return true, dead
		}
		return is == dying || output == (is == good), is
	},
	DescribeOperation: func(input, output any) string {
		q := input.(question)
		name := q.token[max(0, len(q.token)-6):]
		switch q.kind {
		case doomed:
			return fmt.Sprintf("%s is to take …%s away", q.node, name)
		case settled:
			return fmt.Sprintf("%s says that …%s is taken away", q.node, name)
		}
		return fmt.Sprintf("%s says …%s active: %t", q.node, name, output)
	},
}

// Count is how much there is to check.
func (r *Recorder) Count() (answers, kills int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range r.all {
		switch op.Input.(question).kind {
		case asked:
			answers++
		case settled:
			kills++
		}
	}
	return answers, kills
}

// Check returns what no order of events explains, and nil when one explains it all. A picture of it goes
// into a file that the error names.
func (r *Recorder) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, keys := range r.refreshed {
		for _, key := range keys {
			if key != keys[0] {
				return fmt.Errorf("the refresh token …%s was good for two requests: %s and %s", token[len(token)-6:], keys[0], key)
			}
		}
	}
	var wrong []string
	for _, part := range model.Partition(r.all) {
		result, info := porcupine.CheckOperationsVerbose(model, part, time.Minute)
		if result == porcupine.Ok {
			continue
		}
		for _, op := range part {
			wrong = append(wrong, fmt.Sprintf("%9s to %9s  %s", time.Duration(op.Call).Round(100*time.Microsecond), time.Duration(op.Return).Round(100*time.Microsecond), model.DescribeOperation(op.Input, op.Output)))
		}
		if f, err := os.CreateTemp("", "history-*.html"); err == nil {
			_ = porcupine.Visualize(model, info, f)
			_ = f.Close()
			wrong = append(wrong, "a picture is in "+f.Name())
		}
		return fmt.Errorf("no order of events explains what was seen of a token (%s):\n%s\nwhat was done to the nodes:\n%s",
			result, strings.Join(wrong, "\n"), strings.Join(r.events, "\n"))
	}
	return nil
}
