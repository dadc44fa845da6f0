package store

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strconv"
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
	check(r *Reader, hash *stateHash) error
	each(r *Reader, fn func(row any)) error
	expire(tx *Tx, before []byte, most int) int
	expired(r *Reader, before []byte) bool
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
	data := r.bucket(t.bucket).get(key)
	if data == nil {
		return row, false
	}
	return t.read(r, data)
}

// read decodes a row.
func (t *table[V]) read(r *Reader, data []byte) (row V, ok bool) {
	if err := Decode(data, &row); err != nil {
		r.fail(fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err))
		return row, false
	}
	return row, true
}

// by returns the row to which a unique index leads.
func (t *table[V]) by(r *Reader, bucket string, value []byte) (row V, ok bool) {
	key := r.bucket(bucket).get(value)
	if key == nil {
		return row, false
	}
	return t.get(r, key)
}

// under returns the rows to which a non-unique index leads from value, at most that many.
func (t *table[V]) under(r *Reader, bucket string, value []byte, most int) []V {
	var rows []V
	c := r.bucket(bucket).cursor()
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
	c := r.bucket(t.bucket).cursor()
	k, data := c.First()
	if after != nil {
		if k, data = c.Seek(after); k != nil && bytes.Equal(k, after) {
			k, data = c.Next()
		}
	}
	for ; k != nil && len(rows) < most; k, data = c.Next() {
		row, ok := t.read(r, data)
		if !ok {
			return rows
		}
		rows = append(rows, row)
	}
	return rows
}

// put writes the row, moves its index entries and records the change.
func (t *table[V]) put(tx *Tx, row V) {
	key := t.key(&row)
	rows := tx.bucket(t.bucket)
	var was *V
	if old := rows.get(key); old != nil {
		tx.hash.toggle(t.bucket, key, old)
		before, ok := t.read(&tx.Reader, old)
		if !ok {
			return
		}
		was = &before
	} else {
		tx.counted(t.bucket, +1)
	}
	for i := range t.indexes {
		if err := t.indexes[i].move(tx, key, was, &row); err != nil {
			tx.fail(err)
			return
		}
	}
	data := Encode(&row)
	tx.hash.toggle(t.bucket, key, data)
	tx.fail(rows.put(key, data))
	tx.changes = append(tx.changes, Change{Row: row})
}

// move brings the index from a row, nil for none, to another one under the same primary key. Most changes of a row
// leave most of its values as they are, and what is not written is not copied, ordered and synced either.
func (ix *index[V]) move(tx *Tx, key []byte, was, now *V) error {
	b := tx.bucket(ix.bucket)
	var before, after [][]byte
	if was != nil {
		before = ix.keys(was)
	}
	if now != nil {
		after = ix.keys(now)
	}
	for _, value := range before {
		if !holds(after, value) {
			b.delete(ix.entry(value, key))
		}
	}
	for _, value := range after {
		if holds(before, value) {
			continue
		}
		entry := ix.entry(value, key)
		if holder := b.get(entry); ix.unique && holder != nil && !bytes.Equal(holder, key) {
			return fmt.Errorf("BUG: two rows share an entry of %s", ix.bucket)
		}
		if err := b.put(entry, key); err != nil {
			return err
		}
	}
	return nil
}

func holds(values [][]byte, value []byte) bool {
	return slices.ContainsFunc(values, func(one []byte) bool { return bytes.Equal(one, value) })
}

// clear deletes every row.
func (t *table[V]) clear(tx *Tx) {
	var last []byte // from there on, for what is deleted lies in the way of a cursor until it is in the file
	for {
		var some [][]byte // not while the cursor stands in them, which would make it skip
		c := tx.bucket(t.bucket).cursor()
		for k, _ := c.Seek(last); k != nil && len(some) < 1000; k, _ = c.Next() {
			some = append(some, bytes.Clone(k))
		}
		if len(some) == 0 || tx.Err() != nil {
			return
		}
		for _, key := range some {
			t.remove(tx, key)
		}
		last = some[len(some)-1]
	}
}

// remove deletes the row under the key, if there is one, with its index entries.
func (t *table[V]) remove(tx *Tx, key []byte) {
	rows := tx.bucket(t.bucket)
	old := rows.get(key)
	if old == nil {
		return
	}
	tx.hash.toggle(t.bucket, key, old)
	row, ok := t.read(&tx.Reader, old)
	if !ok {
		return
	}
	for i := range t.indexes {
		tx.fail(t.indexes[i].move(tx, key, &row, nil))
	}
	rows.delete(key)
	tx.counted(t.bucket, -1)
	tx.changes = append(tx.changes, Change{Row: row, Deleted: true})
}

// expiry is the name of the index by which rows expire.
func (t *table[V]) expiry() string { return t.bucket + "_by_expiry" }

// expires tells whether the table has that index.
func (t *table[V]) expires() bool { return slices.Contains(t.buckets(), t.expiry()) }

// expire removes rows whose entry in the table's expiry index lies before the given time.
func (t *table[V]) expire(tx *Tx, before []byte, most int) int {
	if !t.expires() {
		return 0
	}
	var due [][]byte // collected first: a cursor must not outlive a change of its bucket
	c := tx.bucket(t.expiry()).cursor()
	for k, key := c.First(); k != nil && bytes.Compare(k[:8], before) < 0 && len(due) < most; k, key = c.Next() {
		due = append(due, bytes.Clone(key))
	}
	for _, key := range due {
		t.remove(tx, key)
	}
	return len(due)
}

// expired tells whether the first entry of the table's expiry index lies before the given time.
func (t *table[V]) expired(r *Reader, before []byte) bool {
	if !t.expires() {
		return false
	}
	first, _ := r.bucket(t.expiry()).cursor().First()
	return first != nil && bytes.Compare(first[:8], before) < 0
}

func (t *table[V]) each(r *Reader, fn func(row any)) error {
	return r.bucket(t.bucket).each(func(_, data []byte) error {
		var row V
		if err := Decode(data, &row); err != nil {
			return fmt.Errorf("a row of %s cannot be read: %w", t.bucket, err)
		}
		fn(row)
		return nil
	})
}

// check compares the table with its indexes both ways and adds its rows to the hash.
func (t *table[V]) check(r *Reader, hash *stateHash) error {
	want := map[string]int{}
	err := r.bucket(t.bucket).each(func(key, data []byte) error {
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
				if got := r.bucket(ix.bucket).get(ix.entry(value, key)); !bytes.Equal(got, key) {
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
		if n := r.bucket(name).count(); n != want[name] {
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
	var room [1024]byte // on the stack, for most rows: each change comes by here twice
	text := append(append(room[:0], bucket...), '/')
	text = append(strconv.AppendInt(text, int64(len(key)), 10), '/')
	sum := sha256.Sum256(append(append(text, key...), data...))
	subtle.XORBytes(h[:], h[:], sum[:])
}
