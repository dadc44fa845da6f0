package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

const (
	contentBytes = "application/octet-stream"
	// backupPause is how long a reader of a backup may take for one part of it, before it is given up.
	backupPause = 30 * time.Second
)

// backup sends a copy of the whole state. Who may have it is told by a scope of its own: with the password
// hashes in it much can be tried elsewhere, which no other call allows.
func (s *Server) backup(x *exchange) error {
	if err := s.enter(x); err != nil {
		return err
	}
	x.http.SetContentType(contentBytes)
	if x.http.IsHead() {
		return nil
	}
	archive, size, err := s.Backup()
	if err != nil {
		return err
	}
	if err := s.recordBackup(x, "cluster.backup_read"); err != nil {
		return errors.Join(err, archive.Close())
	}
	// The rest of x dies before the last byte is sent.
	x.http.SetBodyStream(&sending{archive, x.http.Conn(), s.life}, int(size))
	return nil
}

// copyLog sends the log as far as this node has applied it. In it is what is in a backup.
func (s *Server) copyLog(x *exchange) error {
	if err := s.enter(x); err != nil {
		return err
	}
	x.http.SetContentType(contentBytes)
	if x.http.IsHead() {
		return nil
	}
	if s.CopyLog == nil {
		return iam.Errorf(iam.NotFound, "This node has no log.")
	}
	if err := s.recordBackup(x, "cluster.log_read"); err != nil {
		return err
	}
	// Without a length, for it grows meanwhile.
	x.http.SetBodyStream(&sending{s.CopyLog(), x.http.Conn(), s.life}, -1)
	return nil
}

// recordBackup writes down who takes a copy of everything, before the first byte of it is sent.
func (s *Server) recordBackup(x *exchange, event string) error {
	ctx, cancel := context.WithTimeout(s.life, requestTime)
	defer cancel()
	return s.recordAct(ctx, x, event, s.Node, iam.AuditSuccess)
}

// sending gives the reader of a long answer time for each part of it.
type sending struct {
	io.ReadCloser
	conn net.Conn
	life context.Context
}

// Read implements io.Reader.
func (r *sending) Read(p []byte) (int, error) {
	if err := r.life.Err(); err != nil {
		return 0, err
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(backupPause)); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}
