package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/importer"
)

// syncPatience is how long a sync waits for a source or a cluster that has gone away. Its slot is guarded meanwhile.
const syncPatience = 10 * time.Minute

func syncCommand() *cobra.Command {
	var run syncRun
	cmd := sourceFlags(operatorCommand(&cobra.Command{
		Use:   "sync",
		Short: "Keep the cluster following a PostgreSQL database after an import",
		Long: `Follows the database that keystone import has read until it is stopped: what is inserted, updated or deleted
there comes here, with roles and scopes, while what was changed here stays as long as the source does not
change the same. Stopped or killed, run again from anywhere, it goes on from where the cluster is.

Where the source allows it (wal_level = logical, a role with REPLICATION, primary keys), sync follows its log by
logical replication. It makes a publication of the tables and a replication slot first, then reads all of the
source once more, whatever an import has read before, and then follows the log from the slot's beginning: so
nothing is lost in between. Rows that are the same cost little. Each step brings the cluster to what the source was
after some transaction; what is rolled back there never comes. TRUNCATE is not repeated, but ends the sync.

Otherwise it asks every few seconds (--every) for rows whose updated_at is new, and compares everything now and
then (--full-every), which finds what was deleted, and roles that were given or taken.

A slot makes the source keep its log until the cluster has it, also while no sync runs. Over --max-slot-bytes
the sync drops its slot, before the disk of the source is full, and ends with an error. The limit is for your
disk: a gigabyte is a few million changed rows. When the cluster is moved to, end with keystone sync --drop.`,
		Example: `  DATABASE_URL=postgres://app@db.example.org/app keystone sync
  keystone sync --from postgres://app@db.example.org/app --until-idle && keystone verify --from postgres://app@db.example.org/app
  keystone sync --method polling --every 10s --full-every 30m
  keystone sync --drop`,
		Args: cobra.NoArgs,
	}))
	run.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := run.check(); err != nil {
			return err
		}
		return run.do(cmd)
	}
	return cmd
}

// syncRun is one run of keystone sync.
type syncRun struct {
	importRun
	s           importer.SyncOptions
	drop, json  bool
	batch, most string
	slotBytes   string
	every, full string
	overlap     string
}

func (r *syncRun) flags(cmd *cobra.Command) {
	cmd.Flags().Lookup("url").Usage = "ask the nodes at these addresses, with commas between them, with the token in " + tokenVariable + " or --token-file"
	f := jsonFlag(cmd).Flags()
	f.StringVar(&r.s.Method, "method", importer.SyncAuto, "auto, logical (replication) or polling (by updated_at)")
	f.StringVar(&r.s.Slot, "slot", "", "name of the replication slot (default: keystone_ and the name of the import)")
	f.StringVar(&r.s.Publication, "publication", importer.DefaultPublication, "publication of the tables; another one than the default must be there already")
	f.StringVar(&r.slotBytes, "max-slot-bytes", "1GiB", "drop the slot and stop when the source keeps more of its log for it")
	f.BoolVar(&r.s.UntilIdle, "until-idle", false, "end when the cluster has caught up")
	f.BoolVar(&r.drop, "drop", false, "remove slot and publication from the source, and do nothing else")
	f.StringVar(&r.every, "every", "5s", "when polling: how often to ask for new rows")
	f.StringVar(&r.full, "full-every", "10m", "when polling: how often to compare everything")
	f.StringVar(&r.overlap, "overlap", "1m", "when polling: how much later than its updated_at a change may be committed")
	f.StringVar(&r.most, "most-deleted", "0", "stop when more rows of a kind are found to be gone, 0 = a twentieth of them, or 100")
	f.BoolVar(&r.s.Sessions, "sessions", false, "bring in refresh tokens that are alive, for a cluster that takes the old system's tokens")
	f.StringVar(&r.s.OnConflict, "on-conflict", api.ConflictSkip, "what happens to a row whose username, e-mail address or client_id is another's: skip, rename or fail")
	f.StringVar(&r.s.Name, "name", "", "name of the import, as it was given to keystone import (default: made from the database)")
	f.StringVar(&r.batch, "batch", "1000", "rows of one request, 1 to 2000")
	f.StringVar(&r.notes, "report", "", "file to which what is to be said of single rows is appended, a JSON object on each line")
}

func (r *syncRun) check() (err error) {
	if r.s.Batch, err = wholeNumber("batch", r.batch, 1, 2000); err != nil {
		return err
	}
	if r.s.MostDeleted, err = wholeNumber("most-deleted", r.most, 0, 1_000_000_000); err != nil {
		return err
	}
	if r.s.MaxSlotBytes, err = byteCount(r.slotBytes); err != nil {
		return fmt.Errorf("--max-slot-bytes %w", err)
	}
	for _, d := range []struct {
		flag, text string
		into       *time.Duration
	}{{"every", r.every, &r.s.Every}, {"full-every", r.full, &r.s.FullEvery}, {"overlap", r.overlap, &r.s.Overlap}} {
		if *d.into, err = time.ParseDuration(d.text); err != nil || *d.into < 100*time.Millisecond || *d.into > 24*time.Hour {
			return fmt.Errorf("--%s must be a time from 100ms to 24h, such as 30s", d.flag)
		}
	}
	if !slices.Contains([]string{api.ConflictSkip, api.ConflictRename, api.ConflictFail}, r.s.OnConflict) {
		return errors.New("--on-conflict must be skip, rename or fail")
	}
	if !slices.Contains([]string{importer.SyncAuto, importer.SyncLogical, importer.SyncPolling}, r.s.Method) {
		return errors.New("--method must be auto, logical or polling")
	}
	if strings.Trim(r.s.Slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(r.s.Slot) > 63 {
		return errors.New("--slot must be up to 63 lower-case letters, digits and underscores")
	}
	return nil
}

// byteCount reads a number of bytes, such as 512MiB.
func byteCount(text string) (int64, error) {
	number, unit := text, int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = strings.TrimSpace(rest), bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > (1<<50)/unit || n*unit < 1<<20 {
		return 0, errors.New("must be a number of bytes from 1MiB, such as 512MiB or 2GiB")
	}
	return n * unit, nil
}

func (r *syncRun) do(cmd *cobra.Command) (err error) {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	r.json, _ = cmd.Flags().GetBool("json")
	url, mapping, err := sourceOf(cmd)
	if err != nil {
		return err
	}
	if !r.drop {
		if r.s.Nodes, err = importNodes(cmd); err != nil {
			return err
		}
	}
	source, err := importer.Open(ctx, url, mapping)
	if err != nil {
		return err
	}
	if r.s.Name == "" {
		r.s.Name = source.Name()
	}
	if r.s.Slot == "" {
		r.s.Slot = importer.SlotName(r.s.Name)
	}
	if r.drop {
		return r.remove(ctx, cmd, source)
	}
	closeNotes, err := r.openNotes()
	if err != nil {
		return err
	}
	defer closeNotes()
	live := newLiveLine(cmd.ErrOrStderr())
	show := &syncProgress{cmd: cmd, live: live, json: r.json}
	r.s.Note, r.s.Patience, r.s.Say, r.s.Status = r.o.Note, syncPatience, live.say, show.status
	err = source.Sync(ctx, r.s)
	live.end()
	show.last(err == nil)
	if err == nil && show.method() == importer.SyncLogical {
		live.say("The source keeps its log for the slot " + r.s.Slot + " until sync runs again, or keystone sync --drop removes it.")
	}
	return err
}

// remove is keystone sync --drop.
func (r *syncRun) remove(ctx context.Context, cmd *cobra.Command, source *importer.Source) error {
	slot, publication, err := source.DropSync(ctx, r.s.Slot, r.s.Publication)
	if err != nil {
		return err
	}
	if r.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"slot": r.s.Slot, "slot_dropped": slot, "publication": r.s.Publication, "publication_dropped": publication})
	}
	for _, one := range []struct {
		what    string
		dropped bool
	}{{"slot " + r.s.Slot, slot}, {"publication " + r.s.Publication, publication}} {
		outcome := "was dropped"
		if !one.dropped {
			outcome = "is not there, or not ours to drop"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "The %s %s.\n", one.what, outcome)
	}
	return nil
}

// logEvery is how often a sync that nobody watches says how far it is.
const logEvery = 30 * time.Second

// syncProgress shows how a sync goes: on a terminal in a line that is written over, for scripts as JSON, and otherwise in lines
// for a log.
type syncProgress struct {
	cmd  *cobra.Command
	live *liveLine
	json bool

	now  importer.SyncStatus
	told importer.SyncStatus
}

func (p *syncProgress) status(s importer.SyncStatus) {
	p.now = s
	if p.live.terminal && !p.json {
		p.live.end()
		fmt.Fprintf(p.live.out, "\r\033[K%s", syncLine(s))
		p.live.open = true
		return
	}
	// Whatever has changed is told after a second; that nothing has, less often.
	since := s.At.Sub(p.told.At)
	if since >= logEvery || since >= time.Second && (s.Phase != p.told.Phase || sumOf(s) != sumOf(p.told)) {
		p.tell()
	}
}

func sumOf(s importer.SyncStatus) int64 {
	return s.Transactions + s.Created + s.Updated + s.Unchanged + s.Deleted + s.Refused
}

func (p *syncProgress) tell() {
	p.told = p.now
	if p.json {
		_ = json.NewEncoder(p.cmd.OutOrStdout()).Encode(p.now)
		return
	}
	fmt.Fprintf(p.live.out, "%s  %s\n", p.now.At.Format(time.RFC3339), syncLine(p.now))
}

// last tells how it ended.
func (p *syncProgress) last(well bool) {
	if p.now.Method == "" {
		return
	}
	if p.json {
		p.tell()
		return
	}
	if well {
		fmt.Fprintln(p.cmd.OutOrStdout(), "Stopped; "+syncLine(p.now)+".")
	}
}

func (p *syncProgress) method() string { return p.now.Method }

func syncLine(s importer.SyncStatus) string {
	lag := fmt.Sprintf("%.1f s", s.LagSeconds)
	if s.Method == importer.SyncLogical {
		lag = fmt.Sprintf("%d bytes, %s", s.LagBytes, lag)
	}
	return fmt.Sprintf("%s (%s), behind by %s; %d created, %d updated, %d unchanged, %d deleted, %d refused",
		s.Phase, s.Method, lag, s.Created, s.Updated, s.Unchanged, s.Deleted, s.Refused)
}
