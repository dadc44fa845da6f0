package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	bolt "go.etcd.io/bbolt"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/store"
)

// forgeAudit FOLDER SEQUENCE makes another actor of the operator in one audit entry.
func forgeAudit(ts *testscript.TestScript, _ bool, args []string) {
	sequence, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	db, err := bolt.Open(filepath.Join(ts.MkAbs(args[0]), "state.db"), 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	ts.Check(err)
	ts.Check(db.Update(func(tx *bolt.Tx) error {
		b, key := tx.Bucket([]byte("audit")), binary.BigEndian.AppendUint64(nil, sequence)
		forged := bytes.Replace(bytes.Clone(b.Get(key)), []byte("operator"), []byte("nobody!!"), 1)
		if bytes.Equal(forged, b.Get(key)) {
			ts.Fatalf("entry %d has no operator", sequence)
		}
		return b.Put(key, forged)
	}))
	ts.Check(db.Close())
}

// forgeBeginning FOLDER SEQUENCE removes the audit entries up to that one and makes a checkpoint for it of
// the one that the node has signed last.
func forgeBeginning(ts *testscript.TestScript, _ bool, args []string) {
	sequence, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	s, err := store.Open(filepath.Join(ts.MkAbs(args[0]), "state.db"))
	ts.Check(err)
	_, err = s.Update(func(tx *store.Tx) error {
		signed, ok := tx.LastCheckpoint()
		e, found := tx.AuditEntry(sequence)
		if !ok || !found {
			ts.Fatalf("there is no entry %d, or no checkpoint", sequence)
		}
		tx.TrimAudit(sequence)
		signed.Sequence, signed.Hash, signed.Removed = sequence, e.Hash, true
		tx.PutCheckpoint(signed)
		return nil
	})
	ts.Check(err)
	ts.Check(s.Check()) // for those without the secret it is whole
	ts.Check(s.Close())
}

// failLogin FOLDER NAME PASSWORD logs in in vain and waits until that is in the audit log.
func failLogin(ts *testscript.TestScript, _ bool, args []string) {
	c, err := client.New("unix:" + node.Socket(ts.MkAbs(args[0])))
	ts.Check(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if _, err := c.Login(ctx, api.TokenRequest{Username: args[1], Password: args[2]}); client.CodeOf(err) != "invalid_grant" {
		ts.Fatalf("the login is answered %v", err)
	}
	for {
		found, err := c.AuditEvents(ctx, client.AuditQuery{Type: "login.failed"})
		ts.Check(err)
		if found.Total > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
