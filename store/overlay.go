package store

import (
	"bytes"

	"github.com/tidwall/btree"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// entry is one key of a bucket with what was put there. A nil value says that it was deleted: no row and no
// entry of an index is empty.
type entry struct {
	bucket     string
	key, value []byte
}

func before(a, b entry) bool {
	if a.bucket != b.bucket {
		return a.bucket < b.bucket
	}
	return bytes.Compare(a.key, b.key) < 0
}

// layer is changes that lie over something older. One that was published does not change any more: who goes on
// from it makes a copy, which costs what is changed in it and not what it holds.
type layer struct {
	entries *btree.BTreeG[entry]
	bytes   int
}

func newLayer() *layer {
	return &layer{entries: btree.NewBTreeGOptions(before, btree.Options{NoLocks: true})}
}

// holds tells whether it has so many entries or bytes.
func (l *layer) holds(entries, bytes int) bool { return l.entries.Len() >= entries || l.bytes >= bytes }

func (l *layer) copy() *layer { return &layer{l.entries.Copy(), l.bytes} }

// set keeps copies of both: what comes out of the file dies with its transaction.
func (l *layer) set(bucket string, key, value []byte) {
	e := entry{bucket, bytes.Clone(key), bytes.Clone(value)}
	old, _ := l.entries.Set(e)
	l.bytes += len(e.key) + len(e.value) - len(old.key) - len(old.value)
}

// writeTo puts everything into the file, in the order of its pages.
func (l *layer) writeTo(file *bolt.Tx) (err error) {
	var b *bolt.Bucket
	name := ""
	l.entries.Scan(func(e entry) bool {
		if e.bucket != name {
			name, b = e.bucket, pack(file.Bucket([]byte(e.bucket)), e.bucket)
		}
		if e.value == nil {
			err = b.Delete(e.key)
		} else {
			err = b.Put(e.key, e.value)
		}
		return err == nil
	})
	return err
}

// stack is one consistent state: the file, and over it what the file does not hold yet.
type stack struct {
	file   *bolt.Tx
	layers []*layer // the newest first, which is the one that is written to

	opened []opened
}

// opened is a bucket of the file. A transaction that only reads remembers none itself: each look-up of a bucket would cost
// as much as that of the key in it.
type opened struct {
	name string
	*bolt.Bucket
}

func (s *stack) bucket(name string) bucket { return bucket{s, name} }

// inFile is the part of a bucket that lies in the file.
func (s *stack) inFile(name string) *bolt.Bucket {
	for _, o := range s.opened { // a dozen mostly, and a list is the fastest there
		if o.name == name {
			return o.Bucket
		}
	}
	b := s.file.Bucket([]byte(name))
	s.opened = append(s.opened, opened{name, b})
	return b
}

// bucket is a bucket of a stack. What it gives out is to be read only, and dies with the stack.
type bucket struct {
	*stack
	name string
}

// get returns the value under the key, nil when there is none.
func (b bucket) get(key []byte) []byte {
	for _, l := range b.layers {
		if e, ok := l.entries.Get(entry{bucket: b.name, key: key}); ok {
			return e.value
		}
	}
	return b.inFile(b.name).Get(key)
}

// put refuses what the file would refuse later, when nobody could be told any more.
func (b bucket) put(key, value []byte) error {
	switch {
	case len(key) == 0:
		return bolterrors.ErrKeyRequired
	case len(key) > bolt.MaxKeySize:
		return bolterrors.ErrKeyTooLarge
	}
	b.layers[0].set(b.name, key, value)
	return nil
}

func (b bucket) delete(key []byte) { b.layers[0].set(b.name, key, nil) }

// each calls fn with every key in order, until it returns an error.
func (b bucket) each(fn func(key, value []byte) error) error {
	c := b.cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// count is how many keys there are, by a walk over all of them.
func (b bucket) count() (n int) {
	c := b.cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}

func (b bucket) cursor() *cursor {
	c := &cursor{heads: make([]head, 0, len(b.layers)+1)}
	for _, l := range b.layers {
		c.heads = append(c.heads, head{source: &layerCursor{l.entries.Iter(), b.name}})
	}
	c.heads = append(c.heads, head{source: b.inFile(b.name).Cursor()})
	return c
}

// source is a cursor of bbolt, or one that is like it.
type source interface {
	First() (key, value []byte)
	Last() (key, value []byte)
	Seek(key []byte) (k, value []byte)
	Next() (key, value []byte)
	Prev() (key, value []byte)
}

// cursor merges the layers of a bucket with the file: of equal keys the newest counts, and what was deleted is
// passed over. It does not bear a change of its bucket. After an end it has to be placed anew.
type cursor struct {
	heads []head // the newest first
	at    []byte // the key that was given out last; nil: none
	back  bool   // the heads stand at the key or before it, else at it or behind
}

// head is where one of the sources stands; a nil key is an end.
type head struct {
	source
	key, value []byte
}

// First goes to the first key. The key is nil where there is none, here and below.
func (c *cursor) First() (key, value []byte) { return c.place(false, source.First) }

// Last goes to the last key.
func (c *cursor) Last() (key, value []byte) { return c.place(true, source.Last) }

// Seek goes to the first key that is not before the one given.
func (c *cursor) Seek(key []byte) (k, value []byte) {
	return c.place(false, func(s source) ([]byte, []byte) { return s.Seek(key) })
}

// Next goes to the key behind.
func (c *cursor) Next() (key, value []byte) { return c.step(false) }

// Prev goes to the key before.
func (c *cursor) Prev() (key, value []byte) { return c.step(true) }

func (c *cursor) place(back bool, to func(source) (key, value []byte)) ([]byte, []byte) {
	c.back = back
	for i := range c.heads {
		h := &c.heads[i]
		h.key, h.value = to(h.source)
	}
	return c.settle()
}

func (c *cursor) step(back bool) (key, value []byte) {
	if c.at == nil {
		return nil, nil
	}
	if c.back == back {
		c.pass()
		return c.settle()
	}
	at := c.at
	return c.place(back, func(s source) (key, value []byte) {
		key, value = s.Seek(at)
		switch {
		case !back && bytes.Equal(key, at):
			return s.Next()
		case back && key == nil:
			return s.Last() // which is before it
		case back:
			return s.Prev()
		}
		return key, value
	})
}

// settle stands at the nearest key of all heads that was not deleted.
func (c *cursor) settle() (key, value []byte) {
	for {
		var nearest *head
		for i := range c.heads {
			if h := &c.heads[i]; h.key != nil && (nearest == nil || c.nearer(h.key, nearest.key)) {
				nearest = h
			}
		}
		if nearest == nil {
			c.at = nil
			return nil, nil
		}
		c.at = nearest.key
		if nearest.value != nil {
			return nearest.key, nearest.value
		}
		c.pass()
	}
}

func (c *cursor) nearer(a, b []byte) bool {
	if c.back {
		a, b = b, a
	}
	return bytes.Compare(a, b) < 0
}

// pass moves on the heads that stand at the key.
func (c *cursor) pass() {
	for i := range c.heads {
		h := &c.heads[i]
		switch {
		case h.key == nil || !bytes.Equal(h.key, c.at):
		case c.back:
			h.key, h.value = h.Prev()
		default:
			h.key, h.value = h.Next()
		}
	}
}

// layerCursor walks over one bucket of a layer.
type layerCursor struct {
	iter   btree.IterG[entry]
	bucket string
}

func (c *layerCursor) item(ok bool) (key, value []byte) {
	if e := c.iter.Item(); ok && e.bucket == c.bucket {
		return e.key, e.value
	}
	return nil, nil
}

// First implements source.
func (c *layerCursor) First() (key, value []byte) { return c.Seek(nil) }

// Last implements source.
func (c *layerCursor) Last() (key, value []byte) {
	if c.iter.Seek(entry{bucket: c.bucket + "\x00"}) { // the first name after this one
		return c.item(c.iter.Prev())
	}
	return c.item(c.iter.Last())
}

// Seek implements source.
func (c *layerCursor) Seek(key []byte) (k, value []byte) {
	return c.item(c.iter.Seek(entry{bucket: c.bucket, key: key}))
}

// Next implements source.
func (c *layerCursor) Next() (key, value []byte) { return c.item(c.iter.Next()) }

// Prev implements source.
func (c *layerCursor) Prev() (key, value []byte) { return c.item(c.iter.Prev()) }
