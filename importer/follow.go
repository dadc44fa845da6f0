package importer

import (
	"context"
	"errors"
	"time"
)

// Follower keeps an export current: whenever the cluster's state is another one, it takes a snapshot and writes what
// differs from the one before.
type Follower struct {
	URL   string
	Every time.Duration
	// Moved tells whether the state is another one than that of the snapshot.
	Moved func(ctx context.Context, since *Snapshot) (bool, error)
	Take  func(ctx context.Context) (*Snapshot, error)
	// Done is told of each export, and Trouble of what went wrong with one that is tried again.
	Done    func(*ExportReport)
	Trouble func(error)
	Options ExportOptions
}

// Run exports until the context ends, which is no error. One that the first export meets, or that no second try can
// mend, ends it as well; others pass, as a database or node that is started again.
func (f *Follower) Run(ctx context.Context) error {
	last, err := f.once(ctx, nil)
	defer func() {
		if last != nil {
			_ = last.Store.Close()
		}
	}()
	var told string
	for err == nil || told != "" {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.Every):
		}
		var moved bool
		if moved, err = f.Moved(ctx, last); err == nil && moved {
			last, err = f.once(ctx, last)
		}
		var refused *refusal
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused):
			return err
		case err == nil:
			told = ""
		default:
			if told != err.Error() { // once, and not every few seconds
				f.Trouble(err)
			}
			told = err.Error()
		}
	}
	return err
}

// once takes a snapshot and writes what differs from the last one. It returns which one the database has then.
func (f *Follower) once(ctx context.Context, last *Snapshot) (*Snapshot, error) {
	next, err := f.Take(ctx)
	if err != nil {
		return last, err
	}
	o := f.Options
	o.Before = last
	if last != nil {
		o.Overwrite = false // that was about what was there at first
	}
	report, err := Export(ctx, f.URL, next, o)
	if err != nil {
		return last, errors.Join(err, next.Store.Close())
	}
	f.Done(report)
	if last != nil {
		err = last.Store.Close()
	}
	return next, err
}

// refusal is an error of an export that trying again does not mend.
type refusal struct{ text string }

// Error implements error.
func (r *refusal) Error() string { return r.text }
