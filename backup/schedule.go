package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Schedule says where and how often backups are made unasked. The zero value makes none.
type Schedule struct {
	Folder string // exists already: what belongs there may be not mounted
	Every  time.Duration
	Keep   int // of those that it has made, the latest
	Lock   Lock
}

const (
	// lookEvery is how often the folder is looked at, in which another node may have put a backup.
	lookEvery = time.Minute
	// ahead is how far in the future a backup may have been made, by a clock that is ahead.
	ahead = time.Hour
)

// Keeper makes backups by a schedule, on whichever node leads. Each is proven before it is encrypted: the
// keys that open it are not on the node.
type Keeper struct {
	Schedule
	Source *Source
	Leads  func() bool
	Now    func() time.Time
	Log    *slog.Logger

	last, verified atomic.Int64  // in seconds since 1970; 0: none
	said           string        // the last complaint, which is made once
	wake           chan struct{} // this node leads from now on
}

// NewKeeper returns a Keeper that does nothing yet.
func NewKeeper(s Schedule, source *Source, leads func() bool, log *slog.Logger) *Keeper {
	return &Keeper{Schedule: s, Source: source, Leads: leads, Now: time.Now, Log: log, wake: make(chan struct{}, 1)}
}

// Wake has it look at once, for a node that has begun to lead.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Last is when the latest backup in the folder was made, and when it was read back, in seconds since 1970; both
// are 0 where there is none.
func (k *Keeper) Last() (made, verified int64) { return k.last.Load(), k.verified.Load() }

// Run makes backups until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for {
		pause := k.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-time.After(pause):
		}
	}
}

// round makes a backup if it is time for one, and says when to look again.
func (k *Keeper) round(ctx context.Context) time.Duration {
	due, err := k.due()
	if err == nil && due <= 0 && k.Leads() {
		if err = k.make(ctx); err == nil {
			due, err = k.due()
		}
	}
	if ctx.Err() != nil {
		return 0
	}
	k.tell(err)
	if due <= 0 || err != nil {
		due = lookEvery // not this node's turn, or it failed
	}
	return min(due, lookEvery)
}

// tell complains once about what goes on failing.
func (k *Keeper) tell(err error) {
	switch {
	case err == nil && k.said != "":
		k.said = ""
		k.Log.Info("scheduled backups work again", "folder", k.Folder)
	case err != nil && err.Error() != k.said:
		k.said = err.Error()
		k.Log.Error("a scheduled backup failed and is tried again every minute", "folder", k.Folder, "error", err)
	}
}

// due looks for the latest backup, and says in how long the next one is to be made.
func (k *Keeper) due() (time.Duration, error) {
	all, err := List(k.Folder)
	if err != nil {
		return 0, fmt.Errorf("%w: make it, or mount what belongs there", err)
	}
	for _, f := range all {
		if f.Created.After(k.Now().Add(ahead)) {
			continue // it would put all others off for as long
		}
		k.last.Store(f.Created.Unix())
		k.verified.Store(f.Verified.Unix())
		return f.Created.Add(k.Every).Sub(k.Now()), nil
	}
	return 0, nil
}

func (k *Keeper) make(ctx context.Context) error {
	a, err := k.Source.OpenProven()
	if err != nil {
		return err
	}
	path := filepath.Join(k.Folder, nameOf(a.Meta))
	meta, err := Keep(path, k.Lock, false, func(w io.Writer) error {
		_, err := io.Copy(w, &interruptible{ctx, a})
		return err
	})
	if err = errors.Join(err, a.Close()); err != nil {
		return err
	}
	k.Log.Info("a backup was made", "file", path, "index", meta.Index)
	return retain(k.Folder, k.Keep)
}

// interruptible is a reader that ends with its context: a node that stops must not be kept by a slow disk.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
