package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"

	"github.com/keystone-auth/keystone/store"
)

// A log that is in use can be opened by nobody else, so its node hands out what is committed of it.

// copied is an entry on its way; the first one of a copy says whose log it is.
type copied struct {
	Place place        `cbor:"1,keyasint,omitzero"`
	Index uint64       `cbor:"2,keyasint,omitempty"`
	Term  uint64       `cbor:"3,keyasint,omitempty"`
	Type  raft.LogType `cbor:"4,keyasint,omitempty"`
	Data  []byte       `cbor:"5,keyasint,omitempty"`
}

// CopyLog sends the log up to what this node has applied. Reading it to its end, or closing it, ends the work.
func (n *Node) CopyLog() io.ReadCloser {
	from, to := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(to, 64<<10)
		err := n.sendLog(w)
		if err == nil {
			err = w.Flush()
		}
		_ = to.CloseWithError(err)
	}()
	return from
}

func (n *Node) sendLog(w io.Writer) error {
	last := n.Applied()
	first, err := n.log.FirstIndex()
	if err != nil {
		return err
	}
	if _, err := w.Write(store.Encode(copied{Place: n.self.dir.now()})); err != nil {
		return err
	}
	for i := max(1, first); i <= last; i++ {
		var entry raft.Log
		if err := n.log.GetLog(i, &entry); err != nil {
			return fmt.Errorf("the log entry %d cannot be read: %w", i, err)
		}
		if _, err := w.Write(store.Encode(copied{Index: entry.Index, Term: entry.Term, Type: entry.Type, Data: entry.Data})); err != nil {
			return err
		}
	}
	return nil
}

// PlantLog makes a folder that OpenStopped can open of what CopyLog has sent. No node is ever started on it.
func PlantLog(folder string, source io.Reader) (err error) {
	d := &dataDir{path: folder}
	if err := os.MkdirAll(filepath.Dir(d.logFile()), 0o700); err != nil {
		return err
	}
	log, err := openLog(d.logFile())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var batch []*raft.Log
	for decoder := cbor.NewDecoder(bufio.NewReaderSize(source, 64<<10)); ; {
		var c copied
		err := decoder.Decode(&c)
		switch {
		case errors.Is(err, io.EOF):
			if len(batch) > 0 {
				return log.StoreLogs(batch)
			}
			return nil
		case err != nil:
			return fmt.Errorf("the copy of the log broke off: %w", err)
		case c.Index == 0:
			err = d.write(c.Place)
		default:
			batch = append(batch, &raft.Log{Index: c.Index, Term: c.Term, Type: c.Type, Data: c.Data})
		}
		if len(batch) >= mostRecent {
			err, batch = log.StoreLogs(batch), nil
		}
		if err != nil {
			return err
		}
	}
}
