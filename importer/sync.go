package importer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/keystone-auth/keystone/api"
)

// The ways to follow a source.
const (
	SyncAuto    = "auto"    // logical where the source allows it, else polling
	SyncLogical = "logical" // by logical replication
	SyncPolling = "polling" // by updated_at, and by comparing everything from time to time
)

// SyncOptions say how a source is followed. DryRun, Restart and Progress mean nothing here.
type SyncOptions struct {
	Options
	Method       string
	Slot         string        // "" = made from Name
	Publication  string        // "" = DefaultPublication
	MaxSlotBytes int64         // of the source's log, that may wait for the cluster
	Every        time.Duration // between two polls
	FullEvery    time.Duration // between two comparisons of everything, when polling
	Overlap      time.Duration // how much later than its updated_at a change may be committed
	MostDeleted  int           // rows that a comparison may find gone before it is taken for a mistake; 0 = a twentieth of a kind, and 100
	UntilIdle    bool          // end when the cluster has caught up
	// Status is called whenever something has come of it, and once a second.
	Status func(SyncStatus)
}

// SyncStatus is how far the cluster follows its source.
type SyncStatus struct {
	Method       string    `json:"method"` // logical or polling
	Phase        string    `json:"phase"`  // copying or following
	At           time.Time `json:"at"`
	LagBytes     int64     `json:"lag_bytes"`            // of the source's log that the cluster has not got; 0 when polling
	LagSeconds   float64   `json:"lag_seconds"`          // since the oldest change that the cluster has not got, or since the last poll
	SlotBytes    int64     `json:"slot_bytes,omitempty"` // of its log that the source keeps
	LSN          string    `json:"lsn,omitempty"`        // up to which the cluster has everything
	Transactions int64     `json:"transactions"`         // of the source, in this run
	Created      int64     `json:"created"`
	Updated      int64     `json:"updated"`
	Unchanged    int64     `json:"unchanged"`
	Deleted      int64     `json:"deleted"`
	Refused      int64     `json:"refused"`
}

// guardEvery is how often the slot is looked at.
const guardEvery = time.Second

// syncer follows a source.
type syncer struct {
	source *Source
	o      SyncOptions
	send   *sender
	read   *reader
	system string    // id of the source's server
	kept   syncPlace // as the cluster has it
	part   int       // of requests, so that no two have the same cursor
	retry  map[rowKey]bool
	held   map[api.ImportDeleted]bool // roles and scopes that many held when they were to be deleted
	worked time.Time                  // when the source has answered last
	status statusBoard
	seen   *seen // when polling
}

// syncPlace is how far a sync has come, as the cluster keeps it beside the rows. An import of the same name has its own words
// for that, so that each knows what the other has done: see parsePlace.
type syncPlace struct {
	phase  string // copying, following or polling; "" = no sync has been
	lsn    pglogrepl.LSN
	slot   string
	system string
	copied position // when copying
}

const (
	copying   = "copying"
	following = "following"
	polling   = "polling"
)

// syncCursor begins the cursor of a sync.
const syncCursor = "sync "

func (p syncPlace) cursor(part int) string {
	text := fmt.Sprintf("%s%s %s %s %s %d", syncCursor, p.phase, p.lsn, dash(p.slot), dash(p.system), part)
	if p.phase == copying {
		text += " " + p.copied.String()
	}
	return text
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// parsePlace returns also the number of the last request, which the next one must not have.
func parsePlace(cursor string) (p syncPlace, part int) {
	rest, ok := strings.CutPrefix(cursor, syncCursor)
	words := strings.SplitN(rest, " ", 6)
	if !ok || len(words) < 5 {
		return syncPlace{}, 0
	}
	p = syncPlace{phase: words[0], slot: words[2], system: words[3]}
	lsn, err := pglogrepl.ParseLSN(words[1])
	part, problem := strconv.Atoi(words[4])
	if err != nil || problem != nil {
		return syncPlace{}, 0
	}
	if len(words) == 6 {
		p.copied, _ = parsePosition(words[5])
	}
	p.lsn = lsn
	return p, part
}

// SlotName is the slot of a sync that is told no other one.
func SlotName(source string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(source))
	return "keystone_" + plain[:min(len(plain), 54)] // names have 63 bytes
}

// Sync keeps the cluster following the source until the context ends, which is no error, or until it has caught up if that
// is asked for.
func (s *Source) Sync(ctx context.Context, o SyncOptions) error {
	if o.Slot == "" {
		o.Slot = SlotName(o.Name)
	}
	if o.Publication == "" {
		o.Publication = DefaultPublication
	}
	// They come from those who follow and from those who guard.
	var one sync.Mutex
	if say := o.Say; say != nil {
		o.Say = func(text string) {
			one.Lock()
			defer one.Unlock()
			say(text)
		}
	}
	if status := o.Status; status != nil {
		o.Status = func(s SyncStatus) {
			one.Lock()
			defer one.Unlock()
			status(s)
		}
	}
	y := &syncer{
		source: s, o: o, retry: map[rowKey]bool{}, held: map[api.ImportDeleted]bool{},
		send: &sender{o: o.Options, report: &Report{}, waits: min(o.Patience, atFirst)},
		read: &reader{source: s, sessions: o.Sessions, rows: o.Batch, patience: o.Patience, say: o.Say},
	}
	err := y.begin(ctx)
	if err == nil {
		err = y.run(ctx)
	}
	y.read.disconnect(ctx)
	y.tell()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // what the end of the context broke off goes on from there
	}
	return err
}

// begin asks the cluster where the last sync or import has ended.
func (y *syncer) begin(ctx context.Context) (err error) {
	if y.send.state, err = y.send.ask(ctx); err != nil {
		return err
	}
	y.send.waits = y.o.Patience
	cursor := y.send.state.Cursor
	if y.kept, y.part = parsePlace(cursor); y.kept.phase == "" && cursor != "" && cursor != ended {
		return errors.New("an import of this source has not come to its end: run keystone import until it has, and then keystone sync")
	}
	return nil
}

func (y *syncer) run(ctx context.Context) error {
	why := "it was asked for"
	if y.o.Method != SyncPolling {
		fresh, err := y.prepare(ctx)
		if err == nil {
			return y.logical(ctx, fresh)
		}
		var cannot *unfit
		if !errors.As(err, &cannot) {
			return err
		}
		if y.o.Method == SyncLogical {
			return fmt.Errorf("the source cannot be followed by logical replication: %w", err)
		}
		why = cannot.why
	}
	y.o.Say("Following by updated_at, every " + y.o.Every.String() + ": " + why + ". Deleted rows and changed links are found by comparing everything, every " + y.o.FullEvery.String() + ".")
	return y.poll(ctx)
}

// prepare sees that there are a publication and a slot. A slot from which the cluster cannot go on is fresh: all of the
// source is read once more before it is followed.
func (y *syncer) prepare(ctx context.Context) (fresh string, err error) {
	err = y.steadily(ctx, func() error {
		conn, err := pgx.ConnectConfig(ctx, y.source.config)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if y.system, err = y.source.fit(ctx, conn, y.o.Sessions); err != nil {
			return err
		}
		changed, err := y.source.publish(ctx, conn, y.o.Publication, y.o.Sessions)
		if err != nil {
			return err
		}
		fresh, err = y.slot(ctx, conn, changed)
		return err
	})
	return fresh, err
}

// slot sees that there is a slot, and says why the cluster cannot go on from where it was, if it cannot.
func (y *syncer) slot(ctx context.Context, conn *pgx.Conn, republished bool) (fresh string, err error) {
	is, err := slotOf(ctx, conn, y.o.Slot)
	if err != nil {
		return "", err
	}
	if is.exists && !is.ours {
		return "", fmt.Errorf("there is a replication slot %s that is not one of keystone sync: name another one with --slot", y.o.Slot)
	}
	if why := is.endangered(y.o.MaxSlotBytes); is.exists && why != "" {
		return "", y.giveUp(ctx, &slotError{why})
	}
	if is.exists && republished { // it knows nothing of what was published since
		if _, err := y.source.dropSlot(ctx, y.o.Slot); err != nil {
			return "", err
		}
		is.exists = false
	}
	if !is.exists {
		y.o.Say("Making the replication slot " + y.o.Slot + ", which waits for the transactions that run at the source.")
		if err := y.makeSlot(ctx, conn); err != nil {
			return "", err
		}
		if is, err = slotOf(ctx, conn, y.o.Slot); err != nil {
			return "", err
		}
		fresh = "the slot is new"
	}
	same := y.kept.slot == y.o.Slot && y.kept.system == y.system
	switch {
	case fresh != "":
	case y.kept.phase == copying && same && y.kept.lsn == is.confirmed:
		return "an earlier copy goes on", nil
	case y.kept.phase != following || !same:
		fresh = "the cluster has not followed it from this slot"
	case is.confirmed > y.kept.lsn:
		fresh = "somebody else has read from the slot"
	default:
		return "", nil
	}
	y.kept, y.part = syncPlace{phase: copying, lsn: is.confirmed, slot: y.o.Slot, system: y.system}, 0
	return fresh, nil
}

// makeSlot makes the slot. The source keeps its log from the first moment on, so that is guarded as well.
func (y *syncer) makeSlot(ctx context.Context, conn *pgx.Conn) error {
	return y.guarded(ctx, func(ctx context.Context) error { return createSlot(ctx, conn, y.o.Slot) })
}

// guarded does something while the disk of the source is guarded.
func (y *syncer) guarded(ctx context.Context, do func(context.Context) error) error {
	done := errors.New("done")
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := do(groupCtx); err != nil {
			return err
		}
		return done // ends the guard
	})
	group.Go(func() error { return y.guard(groupCtx) })
	err := group.Wait()
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// giveUp drops the slot for the sake of the source's disk.
func (y *syncer) giveUp(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*dropWithin)
	defer cancel()
	if _, failed := y.source.dropSlot(ctx, y.o.Slot); failed != nil {
		return fmt.Errorf("%w; and the slot could not be dropped, do it by hand: %w", why, failed)
	}
	return why
}

// logical follows the slot, and guards the disk of the source meanwhile.
func (y *syncer) logical(ctx context.Context, fresh string) error {
	y.o.Say(fmt.Sprintf("Following by logical replication: slot %s, publication %s.", y.o.Slot, y.o.Publication))
	y.status.set(func(s *SyncStatus) { s.Method, s.Phase, s.LSN = SyncLogical, following, y.kept.lsn.String() })
	err := y.guarded(ctx, func(ctx context.Context) error {
		if fresh != "" {
			y.o.Say("Reading all of the source once: " + fresh + ".")
			if err := y.copy(ctx); err != nil {
				return err
			}
		}
		return y.follow(ctx)
	})
	var full *slotError
	if errors.As(err, &full) {
		return y.giveUp(ctx, err)
	}
	return err
}

// slotError says that the slot had to go.
type slotError struct{ why string }

// Error implements error.
func (e *slotError) Error() string {
	return "the sync has stopped and dropped its slot, before it fills the disk of the source: " + e.why + "; see that the cluster keeps up, then run keystone import and keystone sync again"
}

// guard looks at the slot until the context ends. A source that is away fills no disk; whoever follows it notices.
func (y *syncer) guard(ctx context.Context) error {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for ; ; y.tell() {
		var is slotState
		var err error
		if conn == nil {
			conn, err = pgx.ConnectConfig(ctx, y.source.config)
		}
		if err == nil {
			is, err = slotOf(ctx, conn, y.o.Slot)
		}
		if err != nil && conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
			conn = nil
		}
		if err == nil {
			if why := is.endangered(y.o.MaxSlotBytes); why != "" && is.exists {
				return &slotError{why}
			}
			y.lag(is)
		}
		select {
		case <-time.After(guardEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lag notes how far the cluster is behind, by the clock and the log of the source.
func (y *syncer) lag(is slotState) {
	y.status.set(func(s *SyncStatus) {
		s.SlotBytes, s.LagSeconds = is.retained, 0
		s.LagBytes = int64(is.lsn) - int64(max(y.status.lsn, is.confirmed))
		if s.LagBytes < 0 {
			s.LagBytes = 0
		}
		if !y.status.oldest.IsZero() {
			s.LagSeconds = max(0, is.now.Sub(y.status.oldest).Seconds())
		}
	})
}

func (y *syncer) tell() {
	if y.o.Status != nil {
		y.o.Status(y.status.get(time.Now()))
	}
}

// count adds up what came of a request.
func (y *syncer) count(answer api.ImportResponse, refused int) {
	y.status.set(func(s *SyncStatus) {
		s.Created += int64(answer.Created)
		s.Updated += int64(answer.Updated)
		s.Unchanged += int64(answer.Unchanged)
		s.Deleted += int64(answer.Deleted)
		s.Refused += int64(answer.Refused + refused)
	})
}

// steadily does something with the source, again and again while it is away and the patience lasts.
func (y *syncer) steadily(ctx context.Context, use func() error) error {
	var since time.Time
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := use()
		var cannot *unfit
		if err == nil || ctx.Err() != nil || errors.As(err, &cannot) {
			return err
		}
		if !mayReturn(err) {
			return y.source.explain(ctx, err)
		}
		if since.IsZero() || y.worked.After(since) { // it was there in between
			since = time.Now()
			y.o.Say("The source does not answer; it is asked again.")
		}
		if time.Since(since) > y.o.Patience {
			return y.source.explain(ctx, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
