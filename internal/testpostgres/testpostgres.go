// Package testpostgres gives tests a real PostgreSQL: Debian's binaries, a data folder of its own, a Unix
// socket in a folder that nobody else may enter, and no TCP port.
//
// The databases of one test binary share a server, which a watcher ends and removes with the binary,
// however that came to its end. A test that stops or kills its server takes one of its own from [New].
package testpostgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// oldest is the first version that Keystone supports.
	oldest = 15
	// patience bounds every wait on a busy machine; nothing is expected to take that long.
	patience = time.Minute
	// superuser owns everything on the server.
	superuser = "keystone"
)

// missing says what to do where there is no PostgreSQL. The tests that need one fail: skipped tests are
// not noticed.
const missing = "PostgreSQL 15 or later is missing, which this test runs: install it with `apt-get install postgresql`"

// Server is a PostgreSQL that may be stopped, killed and started again on its data.
type Server struct {
	dir     string // holds the data, the socket and the log
	bin     string
	as      *syscall.SysProcAttr
	watcher io.Writer

	mu   sync.Mutex
	run  *exec.Cmd     // nil while it is stopped
	done chan struct{} // closed when the process of run is gone
	made atomic.Int64  // databases
}

// Database makes an empty database on the server of this test binary and returns its URL. The database
// goes when the test ends.
func Database(t testing.TB) (url string) {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name, url := s.database(t)
	t.Cleanup(func() {
		if err := s.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("the database of the test was not dropped: %v", err)
		}
	})
	return url
}

var shared = sync.OnceValues(open)

// New starts a server for this test alone.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(syscall.SIGQUIT) })
	return s
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) (url string) {
	t.Helper()
	_, url = s.database(t)
	return url
}

// Stop ends the server cleanly, which breaks every connection.
func (s *Server) Stop() { s.stop(syscall.SIGINT) }

// Kill ends the server as a crash of it would.
func (s *Server) Kill() { s.stop(syscall.SIGKILL) }

// Start starts the server on its data, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) database(t testing.TB) (name, address string) {
	t.Helper()
	name = fmt.Sprintf("test_%d", s.made.Add(1))
	if err := s.execute(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return name, s.url(name)
}

func (s *Server) url(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {s.dir}, "user": {superuser}}.Encode()}
	return u.String()
}

func (s *Server) execute(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// open makes the data of a server and starts it.
func open() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "keystone-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, as: &syscall.SysProcAttr{Setsid: true}} // Ctrl-C is for the test, and the watcher follows it
	if os.Geteuid() == 0 {                                                   // as whom initdb and postgres refuse to run
		if s.as.Credential, err = ordinary(); err == nil {
			err = os.Chown(dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid))
		}
	}
	if err == nil {
		err = s.watch()
	}
	if err == nil {
		err = s.initialise()
	}
	if err == nil {
		err = s.start()
	}
	return s, err
}

// binaries returns the folder of the newest PostgreSQL on this machine.
func binaries() (dir string, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	newest := oldest - 1
	for _, path := range found {
		bin := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > newest {
			newest, dir = version, bin
		}
	}
	if dir == "" {
		return "", errors.New(missing)
	}
	return dir, nil
}

// ordinary returns the user as whom root runs the server.
func ordinary() (*syscall.Credential, error) {
	var problem error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			problem = err
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other user to run it as: %w", problem)
}

// watch starts the process that ends the server and removes its data when this process is gone: a test
// binary that panics or is killed runs no clean-up. It reads the id of the server's process, 0 for none, whenever that
// changes; the end of this process ends the input.
func (s *Server) watch() error {
	const script = `
while read -r pid; do last=$pid; done
if [ "${last:-0}" != 0 ]; then
	kill -QUIT "$last"
	while [ -e "$1/data/postmaster.pid" ] && kill -0 "$last"; do sleep 0.1; done
fi
rm -rf -- "$1"`
	watcher := exec.Command("/bin/sh", "-c", script, "watcher", s.dir)
	watcher.Dir = "/"
	watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := watcher.StdinPipe()
	if err != nil {
		return err
	}
	s.watcher = input
	return watcher.Start()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	return cmd
}

func (s *Server) initialise() error {
	cmd := s.command("initdb", "--pgdata", s.data(), "--username", superuser, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// start tries until the server answers: what a killed one left behind may hold its memory for a moment.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return errors.New("PostgreSQL runs already")
	}
	deadline := time.Now().Add(patience)
	for {
		err := s.launch(deadline)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not start: %w: %s", err, s.lastWords())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// launch starts the process once and waits for an answer, or for its end.
func (s *Server) launch(deadline time.Time) error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := s.command("postgres", "-D", s.data())
	for _, setting := range []string{
		"listen_addresses=", "unix_socket_directories=" + s.dir, "unix_socket_permissions=0700",
		"wal_level=logical", "max_wal_senders=10", "max_replication_slots=10", "timezone=UTC",
		"fsync=off", "full_page_writes=off", // the machine stays up as long as the data is wanted
	} {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.run, s.done = cmd, make(chan struct{})
	s.tell(cmd.Process.Pid)
	go func(done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.done)
	for {
		err := s.execute(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			s.run = nil
			s.tell(0)
			return err
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (s *Server) stop(how syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return
	}
	_ = s.run.Process.Signal(how)
	<-s.done
	s.run = nil
	s.tell(0)
}

func (s *Server) tell(pid int) { _, _ = fmt.Fprintln(s.watcher, pid) }

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// lastWords returns the end of the server's log.
func (s *Server) lastWords() string {
	text, _ := os.ReadFile(s.log())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " / ")
}
