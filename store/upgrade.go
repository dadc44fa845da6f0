package store

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// count is how many rows the table has, by a walk over all of its pages.
func (t *table[V]) count(tx *bolt.Tx) uint64 {
	return uint64(tx.Bucket([]byte(t.bucket)).Stats().KeyN)
}

// reindex makes the buckets of the table that are missing, and fills the indexes among them from the
// rows, which is how a file of an earlier format comes to this one. The state hash is about rows alone
// and stays what it was, so that nodes of two versions can still be compared.
func (t *table[V]) reindex(tx *bolt.Tx) error {
	rows, err := tx.CreateBucketIfNotExists([]byte(t.bucket))
	if err != nil {
		return err
	}
	var missing []index[V]
	for _, ix := range t.indexes {
		if tx.Bucket([]byte(ix.bucket)) != nil {
			continue
		}
		if _, err := tx.CreateBucket([]byte(ix.bucket)); err != nil {
			return err
		}
		missing = append(missing, ix)
	}
	if len(missing) == 0 {
		return nil
	}
	return rows.ForEach(func(key, data []byte) error {
		var row V
		if err := Decode(data, &row); err != nil {
			return fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err)
		}
		for i := range missing {
			ix := &missing[i]
			for _, value := range ix.keys(&row) {
				if err := tx.Bucket([]byte(ix.bucket)).Put(ix.entry(value, key), key); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
