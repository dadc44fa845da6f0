package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keystone-auth/keystone/store"
)

// Keep makes a backup file of the archive that fetch writes. The file has its name only when the whole of the
// archive came, its sum was right, and it is on disk for good; after an error nothing is left of it. One that
// exists is replaced where that is allowed, and never touched otherwise.
func Keep(path string, l Lock, replace bool, fetch func(io.Writer) error) (meta Meta, err error) {
	if _, err := os.Lstat(path); err == nil && !replace {
		return meta, errExists(path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return meta, fmt.Errorf("the backup cannot be written: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing, once it has its name
	meta, err = fill(file, l, fetch)
	if err = errors.Join(err, file.Close()); err != nil {
		return meta, err
	}
	return meta, give(file.Name(), path, replace)
}

func errExists(path string) error {
	return fmt.Errorf("%s exists already: choose another name, or replace it with --force", path)
}

// fill writes the archive into the file and looks at it while it passes. Then it reads the file back.
func fill(file *os.File, l Lock, fetch func(io.Writer) error) (Meta, error) {
	written := sha256.New()
	sealed, err := seal(io.MultiWriter(file, written), l)
	if err != nil {
		return Meta{}, err
	}
	from, to := io.Pipe()
	fetched := make(chan error, 1)
	go func() {
		err := fetch(to)
		_ = to.CloseWithError(err)
		fetched <- err
	}()
	u, err := readArchive(io.TeeReader(from, sealed), io.Discard)
	_ = from.CloseWithError(errors.New("the backup cannot be written"))
	if failed := <-fetched; failed != nil && err != nil && (errors.Is(err, failed) || errors.Is(err, errCut)) {
		err = failed // the archive is bad because the fetching failed
	}
	if err = errors.Join(err, sealed.Close(), file.Sync()); err != nil {
		return Meta{}, err
	}
	back := sha256.New()
	if _, err := io.Copy(back, io.NewSectionReader(file, 0, 1<<62)); err != nil {
		return Meta{}, fmt.Errorf("the backup cannot be read back: %w", err)
	}
	if !bytes.Equal(written.Sum(nil), back.Sum(nil)) {
		return Meta{}, errors.New("the backup reads back as something else than was written: do not trust that disk")
	}
	return u.Meta, nil
}

// give names a finished file. A link, other than a rename, does not replace what came there meanwhile.
func give(from, to string, replace bool) error {
	var err error
	if replace {
		err = os.Rename(from, to)
	} else {
		err = os.Link(from, to)
	}
	if errors.Is(err, fs.ErrExist) {
		return errExists(to)
	}
	if err != nil {
		return fmt.Errorf("the backup cannot get its name: %w", err)
	}
	return store.SyncDir(filepath.Dir(to))
}
