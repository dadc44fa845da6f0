package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/keystone-auth/keystone/secret"
)

// What lies in a data folder beside what the cluster keeps there.
const (
	lockName   = "keystone.lock"
	secretName = "secret"
	socketName = "keystone.sock"
	stateName  = "state.db"
	// snapshotName is of the folder for copies of the state on their way in or out.
	snapshotName = "snapshots"
	// LogName is where keystone dev lets a node write its log.
	LogName = "log"
)

// longestSocketPath is what every system takes: the field of the address has 104 to 108 bytes.
const longestSocketPath = 100

// Socket is the operator's way in to the node whose data lies in the folder.
func Socket(folder string) string { return filepath.Join(folder, socketName) }

// SecretFile is where a node keeps the cluster secret that it made, or finds the one it was given.
func SecretFile(folder string) string { return filepath.Join(folder, secretName) }

// IsUsed tells whether a node has ever been started on the folder.
func IsUsed(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, lockName))
	return err == nil
}

// folder is a data folder that this process alone has open.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder when it is missing, closes it to other users and locks it. A folder
// that holds something else is refused before anything in it, or its mode, is touched: a mistyped
// --data / must not lock everybody out of the machine.
func openFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w: choose another one with --data", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if i := slices.IndexFunc(entries, foreign); i >= 0 && !IsUsed(path) {
		return nil, fmt.Errorf("the folder %s is no data folder, for it holds %s: choose an empty one, or one that Keystone made", path, entries[i].Name())
	}
	lock, err := Lock(filepath.Join(path, lockName))
	if err != nil {
		return nil, fmt.Errorf("the data folder %s: %w", path, err)
	}
	f := &folder{path: path, lock: lock}
	if err := f.closeToOthers(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func unreadable(err error) error {
	return fmt.Errorf("the data folder cannot be read: %w: run this as the user that owns it, or choose another one with --data", err)
}

// foreign tells whether an entry shows that a folder without a lock file is not ours. A new node may
// find its secret there, a log that is being written, and what a file system puts into its root.
func foreign(e fs.DirEntry) bool {
	return !slices.Contains([]string{lockName, secretName, LogName, "lost+found"}, e.Name()) &&
		!strings.HasPrefix(e.Name(), secretName+"-") // a WriteFile that a crash cut short
}

// Lock takes the lock file, making it when missing, until the process ends or the file is closed.
func Lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("it cannot be locked: %w: run this as the user that owns it, or choose another folder", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := os.ReadFile(path)
		file.Close()
		return nil, fmt.Errorf("in use by another Keystone process (pid %s): stop that one, or choose another folder", strings.TrimSpace(string(holder)))
	}
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("it cannot be locked: %w: run this as the user that owns it, or choose another folder", err)
	}
	return file, nil
}

// closeToOthers makes the folder readable for its owner alone. Where the folder belongs to somebody
// else, as volumes of containers do, a group may read it, but never everybody.
func (f *folder) closeToOthers() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return unreadable(err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	err = os.Chmod(f.path, 0o700) //nolint:gosec // a folder needs the right to enter it
	if err != nil && info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("the data folder %s is open to every user of this machine, and that cannot be changed: %w: close it with chmod o-rwx, or choose another one with --data", f.path, err)
	}
	return nil
}

// clusterSecret returns the secret that was given, else those in the folder, of which the first counts, else makes
// one where the node is the first of its cluster.
func (f *folder) clusterSecret(given secret.ClusterSecret, first bool) (current secret.ClusterSecret, others []secret.ClusterSecret, err error) {
	if !given.IsZero() {
		return given, nil, nil
	}
	path := SecretFile(f.path)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		current, others, err := secret.ParseClusterSecrets(string(text))
		if err != nil {
			return given, nil, fmt.Errorf("%s: %w; put the right file back, or copy it from another node of the cluster", path, err)
		}
		return current, others, nil
	case !errors.Is(err, fs.ErrNotExist):
		return given, nil, fmt.Errorf("the cluster secret cannot be read: %w: run this as the user that owns the file", err)
	case !first:
		return given, nil, fmt.Errorf("a node needs the secret of the cluster that it is to be part of: set KEYSTONE_SECRET or KEYSTONE_SECRET_FILE, or put the file into %s", path)
	}
	current, err = f.makeSecret()
	return current, nil, err
}

// makeSecret makes the secret of a new cluster. Where there is state already the secret was lost,
// and a new one would open nothing in it.
func (f *folder) makeSecret() (secret.ClusterSecret, error) {
	if _, err := os.Stat(f.statePath()); err == nil {
		return secret.ClusterSecret{}, fmt.Errorf("the data folder %s has data but its secret file is gone: put %s back, or set KEYSTONE_SECRET", f.path, secretName)
	}
	s := secret.NewClusterSecret()
	return s, f.keepSecret(s)
}

func (f *folder) keepSecret(s secret.ClusterSecret) error {
	if err := WriteFile(SecretFile(f.path), []byte(s.Reveal()+"\n")); err != nil {
		return fmt.Errorf("the cluster secret cannot be kept: %w: make room for it, or choose another folder with --data", err)
	}
	return nil
}

// WriteFile replaces a private file in one step: after a crash there is the old one or the new one,
// never half of it.
func WriteFile(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

func (f *folder) statePath() string { return f.join(stateName) }

func (f *folder) snapshotPath() string { return f.join(snapshotName) }

// listen opens the operator's socket. A socket that a crash left behind is in the way and answers
// nobody: it may go because the lock says that no other process is behind it.
func (f *folder) listen() (net.Listener, error) {
	path := Socket(f.path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the socket that was left at %s cannot be removed: %w: remove it, or choose another folder with --data", path, err)
	}
	dir, err := os.Open(f.path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer dir.Close()
	name := path
	if len(path) > longestSocketPath {
		name = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName) // Linux; elsewhere Listen fails
	}
	l, err := net.Listen("unix", name)
	if err != nil && name != path {
		return nil, fmt.Errorf("the path of the data folder %s is too long for a socket in it: choose one of at most %d characters", f.path, longestSocketPath-len(socketName)-1)
	}
	if err != nil {
		return nil, fmt.Errorf("the operator's socket cannot be opened: %w: choose a folder on another file system with --data", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name may be gone by then; close removes the file
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("the operator's socket cannot be made private: %w: choose a folder on another file system with --data", err), l.Close())
	}
	return l, nil
}

// close gives the folder up for the next process.
func (f *folder) close() error {
	_ = os.Remove(Socket(f.path))
	return f.lock.Close()
}
