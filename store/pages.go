package store

import bolt "go.etcd.io/bbolt"

// pack has the pages of a table filled nearly up when they are split. New rows come last, since ids begin
// with the time and audit entries are counted; the half of a page that bbolt leaves free for rows in between
// would stay empty. Indexes are in no such order.
func pack(b *bolt.Bucket, name string) *bolt.Bucket {
	for _, t := range tables {
		if t.buckets()[0] == name {
			b.FillPercent = 0.9
		}
	}
	return b
}

// keepFreePages has the file say which of its pages are free, as no other transaction does. Whoever opens
// it next need not walk over all pages for that, which took 15 seconds where a million users had to be read
// from the disk. A file that cannot be written is as good without.
func keepFreePages(db *bolt.DB) {
	db.NoFreelistSync = false
	_ = db.Update(func(*bolt.Tx) error { return nil })
}

// Mapped calls fn with where in memory the file lies. It lies there for as long as fn runs.
func (s *Store) Mapped(fn func(address, size uintptr) error) error {
	return s.View(func(r *Reader) error {
		return fn(r.file.DB().Info().Data, uintptr(r.file.Size()))
	})
}
