package importer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/iam"
)

// Options say how a source is imported.
type Options struct {
	Nodes      []*client.Client // of one cluster; the next one is asked where one fails
	Name       string           // under which the cluster remembers how far the import has come
	OnConflict string           // skip, rename or fail
	Batch      int              // most rows of a request
	DryRun     bool             // ask what would come of it, and keep nothing
	Restart    bool             // begin anew, wherever the import was
	Sessions   bool             // bring in refresh tokens that are alive
	Patience   time.Duration    // how long the source or all nodes may be away

	Progress func(Progress)             // called after each batch
	Note     func(api.ImportNote) error // called with what is to be said of each row
	Say      func(string)               // called with a sentence for people
}

// ErrStopped says that the context ended before the import did. It goes on when it is run again.
var ErrStopped = errors.New("the import was stopped, and goes on from there when it is run again")

// errElsewhere says that the cursor is not where this run left it.
var errElsewhere = errors.New("another import of the same source is running: let one of them end; this one goes on from there when it is run again")

// sendWithin bounds how long one node may take for one batch.
const sendWithin = time.Minute

// atFirst is how long a cluster may take that has not answered yet: where there is none, nobody waits for long.
const atFirst = 5 * time.Second

// grace is how long a request that is on its way may take when the import is stopped.
const grace = 5 * time.Second

// Import reads the source and sends it to the cluster. Batches go one after another, since each says what cursor it
// comes after; the next ones are read meanwhile. The report is of what was kept until then, also beside an error.
func (s *Source) Import(ctx context.Context, o Options) (*Report, error) {
	began := time.Now()
	if o.Say == nil {
		o.Say = func(string) {}
	}
	report := &Report{Source: o.Name, Database: s.Where(), DryRun: o.DryRun, Notes: []api.ImportNote{}, Reasons: []Reason{}, Tables: []Counts{}}
	send := &sender{o: o, report: report, waits: min(o.Patience, atFirst)}
	from, err := send.begin(ctx)
	if err != nil {
		return report, err
	}
	send.waits = o.Patience
	read := &reader{source: s, sessions: o.Sessions, dryRun: o.DryRun, rows: o.Batch, patience: o.Patience, say: o.Say}
	passed, err := read.passed(ctx, from)
	if err != nil {
		read.disconnect(ctx)
		return report, stopped(ctx, err)
	}
	send.pace = pace{began: began, first: passed, done: passed}
	for shape, n := range s.counts {
		if shape != tokensShape || o.Sessions {
			send.pace.total += n
		}
	}
	batches := make(chan *batch, 2)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return read.run(groupCtx, from, batches)
	})
	group.Go(func() error { return send.all(groupCtx, batches) })
	err = group.Wait()
	report.Seconds = time.Since(began).Seconds()
	report.Finished = err == nil
	if report.Resumed {
		whole := send.state
		report.Whole = &whole
	}
	return report, stopped(ctx, err)
}

// stopped is ErrStopped in place of what the end of the context made of it.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ErrStopped
	}
	return err
}

// sender sends batches to the cluster, and knows where the cluster is.
type sender struct {
	o      Options
	node   int // that was good last
	waits  time.Duration
	state  api.ImportState
	report *Report
	pace   pace
}

// begin asks how far the import has come, and returns from where it goes on.
func (s *sender) begin(ctx context.Context) (from position, err error) {
	if s.state, err = s.ask(ctx); err != nil || s.o.DryRun {
		return from, err
	}
	again := s.o.Restart || s.state.Cursor == ended || strings.HasPrefix(s.state.Cursor, syncCursor)
	if from, err = parsePosition(s.state.Cursor); err != nil && !again {
		return from, err
	}
	if s.state.Cursor != "" && again {
		err = s.steadily(ctx, func(ctx context.Context, c *client.Client) error { return c.ForgetImport(ctx, s.o.Name) })
		s.state = api.ImportState{}
		return position{}, err
	}
	s.report.Resumed = from.table != ""
	return from, nil
}

// ask returns how far the import has come. One that never began is at the beginning.
func (s *sender) ask(ctx context.Context) (state api.ImportState, err error) {
	err = s.steadily(ctx, func(ctx context.Context, c *client.Client) error {
		state, err = c.ImportState(ctx, s.o.Name)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			state, err = api.ImportState{}, nil
		}
		return err
	})
	return state, err
}

func (s *sender) all(ctx context.Context, batches <-chan *batch) error {
	for b := range batches {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Rows that cannot be represented are told of when their batch is kept: one that is sent again would tell of them twice.
		if err := s.one(ctx, b); err != nil {
			return err
		}
		if s.o.Progress != nil && b.kind != "" {
			s.o.Progress(s.pace.progress(b.kind, time.Now()))
		}
	}
	return nil
}

func (s *sender) one(ctx context.Context, b *batch) error {
	var answer api.ImportResponse
	// Whether a refresh token is good depends on its user, whom a dry run does not bring.
	tried := !s.o.DryRun || b.rows > 0 && b.kind != tokensShape.kind
	if b.request.Cursor != "" && tried {
		var err error
		if answer, err = s.send(ctx, b.request); err != nil {
			return err
		}
	}
	if b.kind != "" {
		s.report.add(b, answer)
	}
	s.pace.done += int64(b.rows)
	for _, notes := range [][]api.ImportNote{b.notes, answer.Notes} {
		for _, n := range notes {
			s.report.note(n)
			if s.o.Note != nil {
				if err := s.o.Note(n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// send has a batch kept exactly once: it names the cursor that it comes after, and under its idempotency key each attempt
// gets the answer of the first one that was kept.
func (s *sender) send(ctx context.Context, r api.ImportRequest) (answer api.ImportResponse, err error) {
	r.Source, r.After, r.OnConflict, r.DryRun = s.o.Name, s.state.Cursor, s.o.OnConflict, s.o.DryRun
	if r.Cursor == r.After && !r.DryRun {
		return answer, nil // nothing but rows that cannot be represented, before the first id that can
	}
	key := iam.NewID().String()
	err = s.steadily(ctx, func(ctx context.Context, c *client.Client) (err error) {
		answer, err = c.WithIdempotencyKey(key).Import(ctx, r)
		return err
	})
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		if now, problem := s.ask(ctx); problem == nil && now.Cursor != r.After && !r.DryRun {
			return answer, errElsewhere
		}
	}
	if err != nil {
		return answer, s.refusal(err)
	}
	if r.DryRun {
		answer.Notes = slices.DeleteFunc(answer.Notes, premature)
		return answer, nil
	}
	s.state.Cursor = r.Cursor
	s.state.Created += int64(answer.Created)
	s.state.Updated += int64(answer.Updated)
	s.state.Unchanged += int64(answer.Unchanged)
	s.state.Deleted += int64(answer.Deleted)
	s.state.Refused += int64(answer.Refused)
	return answer, nil
}

// premature tells of notes that are there in a dry run alone: the roles and scopes that a row holds would have come before
// it. Those that the source itself lacks are noted where it is read.
func premature(n api.ImportNote) bool {
	return n.Outcome != api.ImportRefused && (n.Field == "roles" || n.Field == "scopes")
}

func (s *sender) refusal(err error) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return fmt.Errorf("the access token is not good, or no longer: log in, and run the command again, which goes on from there: %w", err)
	}
	return err
}

// steadily asks one node after another until one answers, or the patience is at its end. A request that is on its way when
// the context ends may take a little longer, so that its answer is not lost.
func (s *sender) steadily(ctx context.Context, use func(context.Context, *client.Client) error) error {
	var since time.Time
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
		forget := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
		err := use(limited, s.o.Nodes[s.node])
		forget()
		cancel()
		if err == nil || ctx.Err() != nil || !mayPass(err) {
			return err
		}
		if since.IsZero() {
			since = time.Now()
			s.o.Say("The cluster does not answer; it is asked again.")
		}
		if time.Since(since) > s.waits {
			return fmt.Errorf("the cluster does not answer, run the command again when it does: %w", err)
		}
		s.node = (s.node + 1) % len(s.o.Nodes)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayPass tells whether the same request may succeed at another node, or later.
func mayPass(err error) bool {
	var answer *client.Error
	if !errors.As(err, &answer) {
		return true // no answer at all
	}
	switch answer.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	}
	return answer.Status >= http.StatusInternalServerError
}
