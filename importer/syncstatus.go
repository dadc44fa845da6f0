package importer

import (
	"errors"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// statusBoard is where those who follow and those who guard write what is to be shown.
type statusBoard struct {
	mu     sync.Mutex
	status SyncStatus
	lsn    pglogrepl.LSN // up to which the cluster has everything
	oldest time.Time     // when the oldest change was committed that it has not got; zero = there is none
}

func (b *statusBoard) set(change func(*SyncStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}

func (b *statusBoard) get(now time.Time) SyncStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.At = now.UTC().Truncate(time.Millisecond)
	return s
}

// behind notes what the cluster has and what it has not.
func (b *statusBoard) behind(lsn pglogrepl.LSN, oldest time.Time) {
	b.set(func(s *SyncStatus) {
		b.lsn, b.oldest = lsn, oldest
		s.LSN = lsn.String()
		if oldest.IsZero() {
			s.LagSeconds = 0
		}
	})
}

// mayReturn tells whether what failed may work after a while: the source was away, or another connection still has the slot,
// as that of a sync that was killed.
func mayReturn(err error) bool {
	var here *clusterError
	if errors.As(err, &here) {
		return false
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "55006" {
		return true
	}
	return lost(err)
}
