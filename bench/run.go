package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// lateWithin is how long after its end an open loop still sends what was due before.
const lateWithin = 5 * time.Second

// Moment is how a run is going, once a second.
type Moment struct {
	Round  int // 0: it warms up
	Rounds int
	Second
}

// load is a scenario that is ready to be run.
type load struct {
	operations []string
	step       func(w *worker) // asks once, or a few times in a row
	// beside runs while requests are measured, until ctx ends; nil: nothing does.
	beside func(ctx context.Context)
	notes  []string
}

// worker is one connection and who uses it.
type worker struct {
	number int
	ctx    context.Context
	conn   *conn
	other  *conn // to another node than conn, where there is one
	tapes  *tapes
	random *rand.Rand
	due    time.Time // when the next request should have been sent; zero: now
}

// check judges an answer. A kind that is not empty says what is wrong with it.
type check func(status int, body []byte) (o outcome, kind string)

// call sends a request of an operation and counts it. The body is good until the next call.
func (w *worker) call(operation int, r *request, judge check) (body []byte, ok bool) {
	return w.callBy(w.conn, operation, r, judge)
}

func (w *worker) callBy(c *conn, operation int, r *request, judge check) (body []byte, ok bool) {
	start := w.due
	w.due = time.Time{}
	if start.IsZero() {
		start = time.Now()
	}
	status, body, err := c.do(w.ctx, r)
	took := time.Since(start)
	if err != nil {
		if w.ctx.Err() == nil { // else it was broken off by whoever ended the run
			w.tapes.add(w.number, operation, failed, took, kindOf(err))
			w.pause()
		}
		return nil, false
	}
	o, kind := judge(status, body)
	w.tapes.add(w.number, operation, o, took, kind)
	if o != answered {
		if status == 503 {
			c.leave()
		}
		w.pause()
	}
	return body, o == answered
}

// pause keeps a loop of errors from filling the machine: a client that is refused waits a little, too.
func (w *worker) pause() {
	select {
	case <-time.After(time.Duration(1+w.random.IntN(10)) * time.Millisecond):
	case <-w.ctx.Done():
	}
}

// run warms up and measures every round.
func run(ctx context.Context, nodes []node, plan Plan, l *load, progress func(Moment)) ([]Round, error) {
	workers := make([]*worker, plan.Connections)
	tapes := newTapes(plan.Connections, len(l.operations))
	for i := range workers {
		workers[i] = &worker{
			number: i, ctx: ctx, conn: newConn(nodes, i), other: newConn(nodes, i+1), tapes: tapes,
			random: rand.New(rand.NewPCG(plan.Seed, uint64(i))), //nolint:gosec // which token is asked about is no secret
		}
		defer workers[i].conn.close()
		defer workers[i].other.close()
	}
	if l.beside != nil {
		var beside sync.WaitGroup
		ctx, stop := context.WithCancel(ctx)
		beside.Go(func() { l.beside(ctx) })
		defer beside.Wait()
		defer stop()
	}
	p := phase{plan: plan, load: l, workers: workers, tapes: tapes}
	var rounds []Round
	for n := range plan.Rounds + 1 {
		duration := plan.Duration
		if n == 0 {
			duration = plan.Warmup
		}
		if duration == 0 {
			continue
		}
		round := p.run(ctx, duration, func(s Second) { progress(Moment{n, plan.Rounds, s}) })
		if ctx.Err() != nil {
			return rounds, errors.New("the bench was interrupted")
		}
		if n > 0 {
			rounds = append(rounds, round)
		}
	}
	return rounds, nil
}

// phase is the warm-up or one round.
type phase struct {
	plan    Plan
	load    *load
	workers []*worker
	tapes   *tapes
}

func (p *phase) run(ctx context.Context, duration time.Duration, progress func(Second)) (r Round) {
	usage := startUsage()
	start := time.Now()
	p.tapes.start = start
	end := start.Add(duration)
	var arrivals atomic.Int64
	var all sync.WaitGroup
	for _, w := range p.workers {
		all.Go(func() {
			if p.plan.Rate > 0 {
				p.open(ctx, w, &arrivals, start, end)
			} else {
				p.closed(ctx, w, end)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for at, running := 0, true; running; at++ {
		select {
		case <-tick.C:
		case <-done:
			running = false
		}
		s := p.tapes.second(at)
		if running || s.Requests+s.Errors > 0 && len(r.Series) == 0 {
			r.Series = append(r.Series, s) // the rest of a second at the end would look like a slump
		}
		progress(s)
	}
	took := time.Since(start)
	r.Seconds = took.Seconds()
	r.OwnCPU, r.AllCPU = usage.shares()
	r.Operations = p.tapes.operations(p.load.operations, took)
	return r
}

// closed asks again as soon as it is answered.
func (p *phase) closed(ctx context.Context, w *worker, end time.Time) {
	for ctx.Err() == nil && time.Now().Before(end) {
		p.load.step(w)
	}
}

// sleepUntil returns false when ctx ends first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// open takes the next arrival of those that are fixed in advance, and waits for its time. Where all
// connections are late, the requests are still sent, and their latency counts from when they were due:
// otherwise the worst moments of a server would be those with the fewest measurements.
func (p *phase) open(ctx context.Context, w *worker, arrivals *atomic.Int64, start, end time.Time) {
	apart := float64(time.Second) / p.plan.Rate
	for ctx.Err() == nil {
		due := start.Add(time.Duration(float64(arrivals.Add(1)-1) * apart))
		if !due.Before(end) {
			return
		}
		if !sleepUntil(ctx, due) {
			return
		}
		if late := time.Since(due); time.Since(end) > lateWithin {
			w.tapes.add(w.number, 0, unsent, late, "")
			continue
		}
		w.due = due
		p.load.step(w)
	}
}
