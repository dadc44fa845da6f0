package steward

import (
	"context"
	"errors"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

const (
	// signAfter and signEvery bound what of the audit log is not signed yet: so much can be written anew
	// by somebody who can change the files of all nodes.
	signAfter = 1000
	signEvery = time.Hour
	// trimSlack is how much older than it may be the oldest entry becomes before what is too old is
	// removed, so that entries go by the thousand and not one by one.
	trimSlack = time.Hour
	// trimSteps bounds the commands of one round, which other duties wait for.
	trimSteps = 20
)

// keepAudit removes what of the audit log is kept no longer, and signs the rest.
func (s *Steward) keepAudit(ctx context.Context) error {
	if s.Notary == nil {
		return nil
	}
	return errors.Join(s.signAgain(ctx), s.trimAudit(ctx), s.signAudit(ctx))
}

// trimAudit removes the oldest entries, by the settings that all nodes share.
func (s *Steward) trimAudit(ctx context.Context) error {
	for range trimSteps {
		var last iam.AuditEntry
		if err := s.Store.View(func(r *store.Reader) error {
			settings, _ := r.Settings()
			last = s.surplus(r, settings)
			return nil
		}); err != nil || last.Sequence == 0 {
			return err
		}
		checkpoint := iam.AuditCheckpoint{Sequence: last.Sequence, Hash: last.Hash, At: s.Now(), Removed: true}
		if err := s.propose(ctx, &fsm.TrimAudit{Checkpoint: s.Notary.Sign(checkpoint)}); err != nil {
			return err
		}
	}
	return nil
}

// surplus is the last entry that the next command is to remove; the zero entry where there is none. The
// newest one always stays.
func (s *Steward) surplus(r *store.Reader, settings iam.Settings) (upTo iam.AuditEntry) {
	first, last := r.AuditRange()
	if most := uint64(settings.AuditKeepCount); most > 0 && last-first+1 >= most+fsm.MaxTrim {
		upTo, _ = r.AuditEntry(first + fsm.MaxTrim - 1)
		return upTo
	}
	now, keep := s.Now(), time.Duration(settings.AuditKeepDays)*24*time.Hour
	oldest, found := r.AuditEntry(first)
	if !found || keep == 0 || now.Sub(oldest.At) < keep+trimSlack {
		return upTo
	}
	r.WalkAudit(first, false, func(e iam.AuditEntry) bool {
		old := now.Sub(e.At) > keep && e.Sequence < last && e.Sequence-first < fsm.MaxTrim
		if old {
			upTo = e
		}
		return old
	})
	return upTo
}

// signAudit signs the newest entry when enough came since the last time.
func (s *Steward) signAudit(ctx context.Context) error {
	var head iam.AuditEntry
	var signed iam.AuditCheckpoint
	if err := s.Store.View(func(r *store.Reader) error {
		_, last := r.AuditRange()
		head, _ = r.AuditEntry(last)
		signed, _ = r.LastCheckpoint()
		return nil
	}); err != nil {
		return err
	}
	fresh := head.Sequence - signed.Sequence
	if head.Sequence == signed.Sequence || fresh < signAfter && s.Now().Sub(signed.At) < signEvery {
		return nil
	}
	checkpoint := iam.AuditCheckpoint{Sequence: head.Sequence, Hash: head.Hash, At: s.Now()}
	return s.propose(ctx, &fsm.SignAudit{Checkpoints: []iam.AuditCheckpoint{s.Notary.Sign(checkpoint)}})
}

// signAgain brings checkpoints under the cluster secret that counts now. It goes from the newest to the
// oldest, so that as long as it is not done the oldest one says so.
func (s *Steward) signAgain(ctx context.Context) error {
	var stale []iam.AuditCheckpoint
	if err := s.Store.View(func(r *store.Reader) error {
		if oldest := r.Checkpoints(0, 1); len(oldest) == 0 || s.Notary.Current(oldest[0]) {
			return nil
		}
		for page := r.Checkpoints(0, 1000); len(page) > 0; page = r.Checkpoints(page[len(page)-1].Sequence, 1000) {
			for _, c := range page {
				if !s.Notary.Current(c) {
					stale = append(stale, c)
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for len(stale) > 0 {
		part := stale[max(0, len(stale)-fsm.MaxSign):]
		stale = stale[:len(stale)-len(part)]
		for i, c := range part {
			// What somebody else has put there must not become good by our signature.
			if err := s.Notary.Check(c); err != nil {
				return &iam.AuditBreak{Sequence: c.Sequence, What: "its checkpoint does not count: " + err.Error()}
			}
			part[i] = s.Notary.Sign(c)
		}
		if err := s.propose(ctx, &fsm.SignAudit{Checkpoints: part}); err != nil {
			return err
		}
	}
	return nil
}
