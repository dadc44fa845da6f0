package store

// Stats is how much room the state takes on disk.
type Stats struct {
	Bytes     int64 // of the file
	FreePages int   // pages of the file that hold nothing
	Readers   int   // transactions that read; old ones keep pages from being free
}

// Stats looks at the file without reading any row.
func (s *Store) Stats() (stats Stats, err error) {
	err = s.View(func(r *Reader) error {
		db := r.file.DB().Stats()
		stats = Stats{Bytes: r.file.Size(), FreePages: db.FreePageN + db.PendingPageN, Readers: db.OpenTxN - 1}
		return nil
	})
	return stats, err
}
