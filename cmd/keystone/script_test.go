package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testca"
	"github.com/keystone-auth/keystone/internal/testpostgres"
	"github.com/keystone-auth/keystone/store"
)

// TestMain lets the test binary be the program, for scripts and for keystone dev, which starts itself.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keystone": main})
}

// within bounds every wait of the tests: long enough for a busy machine, so that only a real fault
// takes it.
const within = 3 * time.Minute

// TestScript runs the command line as a person would; see testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("KEYSTONE_ARGON2_MEMORY_KIB", "64")
			e.Setenv("KEYSTONE_ARGON2_PASSES", "1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the detector would keep each process for a second
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"occupy":        occupy,
			"freeport":      freeport,
			"serving":       serving,
			"newerstate":    newerState,
			"longfolder":    longFolder,
			"check":         check,
			"acme":          func(ts *testscript.TestScript, _ bool, args []string) { startACME(t, ts, args) },
			"certified":     certified,
			"certificate":   func(ts *testscript.TestScript, _ bool, args []string) { issue(t, ts, args) },
			"private":       private,
			"unreadabledir": unreadable,

			"forgeaudit":     forgeAudit,
			"forgebeginning": forgeBeginning,
			"faillogin":      failLogin,

			"emptydatabase": func(ts *testscript.TestScript, _ bool, args []string) { emptyDatabase(ts, t, args) },
			"sql":           runSQL,
			"waitsql":       waitSQL,
			"database":      func(ts *testscript.TestScript, _ bool, args []string) { makeDatabase(t, ts, args) },
		},
	})
}

// occupy NAME listens on a free port until the script ends and puts host:port into the variable.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// database NAME makes a database with people in it, and puts its URL into the variable.
func makeDatabase(t *testing.T, ts *testscript.TestScript, args []string) {
	url := testpostgres.Database(t)
	_, err := fill.Into(context.Background(), url, fill.Options{Users: 300, Roles: 10, Clients: 20, Messy: true, Seed: 1})
	ts.Check(err)
	ts.Setenv(args[0], url)
}

// freeport NAME... puts a free host:port into each variable.
func freeport(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Setenv(name, freeAddress(ts))
	}
}

func freeAddress(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// serving FOLDER waits until the node on the folder is ready.
func serving(ts *testscript.TestScript, _ bool, args []string) {
	c, err := client.New("unix:" + node.Socket(ts.MkAbs(args[0])))
	ts.Check(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		if ready, _ := c.Ready(ctx); ready {
			return
		}
		if ctx.Err() != nil {
			ts.Fatalf("no node serves on %s", args[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// newerstate FOLDER makes the state look as if a later version had written it.
func newerState(ts *testscript.TestScript, _ bool, args []string) {
	s, err := store.Open(filepath.Join(ts.MkAbs(args[0]), "state.db"))
	ts.Check(err)
	_, err = s.Update(func(tx *store.Tx) error {
		tx.Meta.Format = store.Format + 1
		return nil
	})
	ts.Check(err)
	ts.Check(s.Close())
}

// issue FOLDER writes a certificate for 127.0.0.1, its key and the certificate of its authority.
func issue(t *testing.T, ts *testscript.TestScript, args []string) {
	ca := testca.New(t)
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(folder, 0o700))
	ca.Issue(folder, time.Hour)
	ts.Check(os.Rename(ca.File, filepath.Join(folder, "ca.pem")))
}

// check FOLDER opens the state and proves that it is sound.
func check(ts *testscript.TestScript, _ bool, args []string) {
	s, err := store.Open(filepath.Join(ts.MkAbs(args[0]), "state.db"))
	ts.Check(err)
	ts.Check(s.Check())
	ts.Check(s.Close())
}

// private FILE... fails when anybody but the owner may do anything with one of the files.
func private(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s has mode %v", name, info.Mode())
		}
	}
}

// longfolder NAME makes a folder whose path is too long for the address of a socket.
func longFolder(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(filepath.Join("a-folder-with-a-very-long-name-in-which-there-is-another-one", "which-has-a-name-that-is-quite-as-long-as-the-first-one"))
	ts.Check(os.MkdirAll(path, 0o700))
	ts.Setenv(args[0], path)
}

// unreadabledir FOLDER takes all rights to it away.
func unreadable(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.Chmod(path, 0))
	ts.Defer(func() { _ = os.Chmod(path, 0o700) })
}

// writeFile makes a file for a test.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
