package store

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// table is one entity: its rows by primary key and the indexes that lead to them.
type table[V any] struct {
	bucket  string
	key     func(*V) []byte
	indexes []index[V]
}

// index leads from a value of the row to its primary key. A unique one has that value alone as its
// key; the others append the primary key, so that rows which share the value lie side by side.
// Values of a non-unique index all have the same length, or a scan for one would meet another.
type index[V any] struct {
	bucket string
	unique bool
	keys   func(*V) [][]byte
}

// anyTable is what can be said of a table without knowing its row.
type anyTable interface {
	buckets() []string
	check(tx *bolt.Tx, hash *stateHash) error
	each(tx *bolt.Tx, fn func(row any)) error
	expire(tx *Tx, before []byte, most int) int
	expired(tx *bolt.Tx, before []byte) bool
	count(tx *bolt.Tx) uint64
}

// count is how many rows the table has, by a walk over all of its pages.
func (t *table[V]) count(tx *bolt.Tx) uint64 {
	return uint64(tx.Bucket([]byte(t.bucket)).Stats().KeyN)
}

func (t *table[V]) buckets() []string {
	names := []string{t.bucket}
	for _, ix := range t.indexes {
		names = append(names, ix.bucket)
	}
	return names
}

func (ix *index[V]) entry(value, key []byte) []byte {
	if ix.unique {
		return value
	}
	return append(bytes.Clone(value), key...)
}

// get returns the row under the primary key.
func (t *table[V]) get(r *Reader, key []byte) (row V, ok bool) {
	data := r.tx.Bucket([]byte(t.bucket)).Get(key)
	if data == nil {
		return row, false
	}
	if err := Decode(data, &row); err != nil {
		r.fail(fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err))
		return row, false
	}
	return row, true
}

// by returns the row to which a unique index leads.
func (t *table[V]) by(r *Reader, bucket string, value []byte) (row V, ok bool) {
	key := r.tx.Bucket([]byte(bucket)).Get(value)
	if key == nil {
		return row, false
	}
	return t.get(r, key)
}

// under returns the rows to which a non-unique index leads from value, at most that many.
func (t *table[V]) under(r *Reader, bucket string, value []byte, most int) []V {
	var rows []V
	c := r.tx.Bucket([]byte(bucket)).Cursor()
	for k, key := c.Seek(value); k != nil && bytes.HasPrefix(k, value) && len(rows) < most; k, key = c.Next() {
		if row, ok := t.get(r, key); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

// page returns the rows after a primary key, in its order, at most that many.
func (t *table[V]) page(r *Reader, after []byte, most int) []V {
	var rows []V
	c := r.tx.Bucket([]byte(t.bucket)).Cursor()
	k, data := c.First()
	if after != nil {
		if k, data = c.Seek(after); k != nil && bytes.Equal(k, after) {
			k, data = c.Next()
		}
	}
	for ; k != nil && len(rows) < most; k, data = c.Next() {
		var row V
		if err := Decode(data, &row); err != nil {
			r.fail(fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err))
			return rows
		}
		rows = append(rows, row)
	}
	return rows
}

// put writes the row, moves its index entries and records the change.
func (t *table[V]) put(tx *Tx, row V) {
	key := t.key(&row)
	rows := dense(tx.tx.Bucket([]byte(t.bucket)))
	if old := rows.Get(key); old != nil {
		tx.hash.toggle(t.bucket, key, old)
		t.unindex(tx, key, old)
	} else {
		tx.counted(t.bucket, +1)
	}
	for i := range t.indexes {
		ix := &t.indexes[i]
		b := tx.tx.Bucket([]byte(ix.bucket))
		for _, value := range ix.keys(&row) {
			entry := ix.entry(value, key)
			if holder := b.Get(entry); ix.unique && holder != nil && !bytes.Equal(holder, key) {
				tx.fail(fmt.Errorf("BUG: two rows of %s share an entry of %s", t.bucket, ix.bucket))
				return
			}
			tx.fail(b.Put(entry, key))
		}
	}
	data := Encode(&row)
	tx.hash.toggle(t.bucket, key, data)
	tx.fail(rows.Put(key, data))
	tx.changes = append(tx.changes, Change{Row: row})
}

// clear deletes every row.
func (t *table[V]) clear(tx *Tx) {
	for {
		var some [][]byte // not while the cursor stands in them, which would make it skip
		c := tx.tx.Bucket([]byte(t.bucket)).Cursor()
		for k, _ := c.First(); k != nil && len(some) < 1000; k, _ = c.Next() {
			some = append(some, bytes.Clone(k))
		}
		if len(some) == 0 || tx.Err() != nil {
			return
		}
		for _, key := range some {
			t.remove(tx, key)
		}
	}
}

// remove deletes the row under the key, if there is one, with its index entries.
func (t *table[V]) remove(tx *Tx, key []byte) {
	rows := tx.tx.Bucket([]byte(t.bucket))
	old := rows.Get(key)
	if old == nil {
		return
	}
	tx.hash.toggle(t.bucket, key, old)
	row := t.unindex(tx, key, old)
	tx.fail(rows.Delete(key))
	tx.counted(t.bucket, -1)
	tx.changes = append(tx.changes, Change{Row: row, Deleted: true})
}

func (t *table[V]) unindex(tx *Tx, key, data []byte) (row V) {
	if err := Decode(data, &row); err != nil {
		tx.fail(fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err))
		return row
	}
	for i := range t.indexes {
		ix := &t.indexes[i]
		b := tx.tx.Bucket([]byte(ix.bucket))
		for _, value := range ix.keys(&row) {
			tx.fail(b.Delete(ix.entry(value, key)))
		}
	}
	return row
}

// expire removes rows whose entry in the table's expiry index lies before the given time.
func (t *table[V]) expire(tx *Tx, before []byte, most int) int {
	b := tx.tx.Bucket([]byte(t.bucket + "_by_expiry"))
	if b == nil {
		return 0
	}
	var due [][]byte // collected first: a bbolt cursor must not outlive a change of its bucket
	c := b.Cursor()
	for k, key := c.First(); k != nil && bytes.Compare(k[:8], before) < 0 && len(due) < most; k, key = c.Next() {
		due = append(due, bytes.Clone(key))
	}
	for _, key := range due {
		t.remove(tx, key)
	}
	return len(due)
}

// expired tells whether the first entry of the table's expiry index lies before the given time.
func (t *table[V]) expired(tx *bolt.Tx, before []byte) bool {
	b := tx.Bucket([]byte(t.bucket + "_by_expiry"))
	if b == nil {
		return false
	}
	first, _ := b.Cursor().First()
	return first != nil && bytes.Compare(first[:8], before) < 0
}

func (t *table[V]) each(tx *bolt.Tx, fn func(row any)) error {
	return tx.Bucket([]byte(t.bucket)).ForEach(func(_, data []byte) error {
		var row V
		if err := Decode(data, &row); err != nil {
			return fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err)
		}
		fn(row)
		return nil
	})
}

// check compares the table with its indexes both ways and adds its rows to the hash.
func (t *table[V]) check(tx *bolt.Tx, hash *stateHash) error {
	want := map[string]int{}
	err := tx.Bucket([]byte(t.bucket)).ForEach(func(key, data []byte) error {
		hash.toggle(t.bucket, key, data)
		var row V
		if err := Decode(data, &row); err != nil {
			return fmt.Errorf("%s: row %x cannot be read: %w", t.bucket, key, err)
		}
		if !bytes.Equal(t.key(&row), key) {
			return fmt.Errorf("%s: row %x lies under a key that is not its own", t.bucket, key)
		}
		for i := range t.indexes {
			ix := &t.indexes[i]
			for _, value := range ix.keys(&row) {
				want[ix.bucket]++
				if got := tx.Bucket([]byte(ix.bucket)).Get(ix.entry(value, key)); !bytes.Equal(got, key) {
					return fmt.Errorf("%s: row %x is missing from %s", t.bucket, key, ix.bucket)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range t.indexes {
		name := t.indexes[i].bucket
		if n := tx.Bucket([]byte(name)).Stats().KeyN; n != want[name] {
			return fmt.Errorf("%s: %d entries for %d rows: some lead nowhere", name, n, want[name])
		}
	}
	return nil
}

// stateHash is the exclusive or of the SHA-256 of every row. It depends on the state alone, not on
// the way that led there, so that two nodes, or a row-by-row walk and the running value, can be
// compared; and a change costs as much as the rows it touches. It finds divergence; it is no
// defence against somebody who may write the file.
type stateHash [sha256.Size]byte

func (h *stateHash) toggle(bucket string, key, data []byte) {
	d := sha256.New()
	fmt.Fprintf(d, "%s/%d/", bucket, len(key))
	d.Write(key)
	d.Write(data)
	var sum stateHash
	d.Sum(sum[:0])
	for i := range h {
		h[i] ^= sum[i]
	}
}
