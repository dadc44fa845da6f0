package fsm

import (
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// plantRow writes into a state file behind the back of the store.
func plantRow(t *testing.T, path, bucket string, key, value []byte) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(key, value) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
