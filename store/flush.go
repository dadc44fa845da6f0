package store

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What was applied lies in memory for a moment, over the file, and goes into the file together with all that came
// meanwhile: one sync of the disk for many batches. So the file is always some earlier state as a whole, its Meta
// says which, and after a crash the log, which holds everything that was acknowledged, is applied again from there.

const (
	flushPause  = 50 * time.Millisecond // from a change to its way into the file
	mostEntries = 16 << 10              // of a layer, before Update waits for the disk
	mostBytes   = 32 << 20
)

// state is what was applied and is not in the file yet. It is published as a whole and never changed.
type state struct {
	active *layer // what Update adds to
	frozen *layer // what is on its way into the file; nil: nothing
	// flushes is how many ways into the file were begun. It is counted up before the file changes.
	flushes uint64
	trouble error // why frozen did not get into the file
}

// over is the state on top of the file.
func (s *state) over(file *bolt.Tx) stack {
	if s.frozen == nil {
		return stack{file: file, layers: []*layer{s.active}}
	}
	return stack{file: file, layers: []*layer{s.active, s.frozen}}
}

// crowded tells whether the disk is far behind.
func (s *state) crowded() bool { return s.active.holds(mostEntries, mostBytes) }

// filling tells whether it would be, were nothing written for another while.
func (s *state) filling() bool { return s.active.holds(mostEntries/2, mostBytes/2) }

// broken is the trouble that does not pass.
func (s *state) broken() error {
	if IsFull(s.trouble) {
		return nil
	}
	return s.trouble
}

// begin opens the file together with what lies over it. Where no way into the file was begun meanwhile, it holds
// nothing that is newer than the frozen layer; that it may hold that one already is no harm.
func (s *Store) begin() (*state, *bolt.Tx, error) {
	for {
		now := s.state.Load()
		file, err := s.db.Begin(false)
		if err != nil {
			return nil, nil, err
		}
		if s.state.Load().flushes == now.flushes {
			return now, file, nil
		}
		if err := file.Rollback(); err != nil {
			return nil, nil, err
		}
	}
}

// publish puts a state in the place of the present one.
func (s *Store) publish(change func(*state)) {
	next := *s.state.Load()
	change(&next)
	s.state.Store(&next)
}

// awaitRoom waits for the disk when it is far behind. On one that is full or broken nothing more is applied.
func (s *Store) awaitRoom() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		now := s.state.Load()
		if now.trouble != nil || !now.crowded() {
			return now.trouble
		}
		s.room.Wait()
	}
}

// keepFlushed brings the file up to date until the store is closed.
func (s *Store) keepFlushed() {
	for {
		select {
		case <-s.dirty:
		case <-s.closing:
			return
		}
		if !s.rest() {
			return
		}
		if IsFull(s.Flush()) {
			signal(s.dirty)
		}
	}
}

// rest lets changes come together, and returns false when the store is closed.
func (s *Store) rest() bool {
	if s.Full() {
		return wait(roomPause, nil, s.closing)
	}
	return wait(flushPause, s.filled, s.closing)
}

// wake tells the flusher that there is something to do, and whether it presses.
func (s *Store) wake() {
	signal(s.dirty)
	if s.state.Load().filling() {
		signal(s.filled)
	}
}

// signal leaves word for whoever looks next; once is enough.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Flush returns when everything that was applied before is in the file for good.
func (s *Store) Flush() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	return s.flush()
}

// flush is Flush for those who hold flushing.
func (s *Store) flush() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.state.Load()
	if err := now.broken(); err != nil {
		return err // nobody knows what the disk has kept, so it is not tried again
	}
	if now.frozen != nil { // left by a try that found no room
		if err := s.writeFrozen(); err != nil {
			return err
		}
	}
	s.freeze()
	return s.writeFrozen()
}

func (s *Store) freeze() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if now := s.state.Load(); now.frozen != nil || now.active.entries.Len() == 0 {
		return
	}
	s.publish(func(next *state) {
		next.active, next.frozen = newLayer(), next.active
		next.flushes++
	})
}

func (s *Store) writeFrozen() error {
	frozen := s.state.Load().frozen
	if frozen == nil {
		return nil
	}
	err := s.db.Update(frozen.writeTo)
	if err != nil {
		err = fmt.Errorf("the state file %s cannot be written: %w", s.path, err)
	}
	s.writing.Lock()
	s.publish(func(next *state) {
		if next.trouble = err; err == nil {
			next.frozen = nil
		}
	})
	s.room.Broadcast()
	broken := s.state.Load().broken()
	tell := s.onBroken
	s.writing.Unlock()
	if broken != nil && tell != nil {
		tell(broken)
	}
	return err
}

// OnBroken has fn told when the file can no longer follow what is applied, for another reason than that the disk
// is full. It is told once, and must not use the store.
func (s *Store) OnBroken(fn func(error)) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.onBroken = fn
}

// Full tells whether the disk has no room for what was applied.
func (s *Store) Full() bool { return IsFull(s.state.Load().trouble) }
