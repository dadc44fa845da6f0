package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testpostgres"
)

// command is a run of the program.
type command struct {
	*exec.Cmd
	out, err bytes.Buffer
	done     chan error
}

func run(t *testing.T, database string, args ...string) *command {
	t.Helper()
	c := &command{Cmd: exec.CommandContext(t.Context(), program, args...), done: make(chan error, 1)}
	c.Env = append(os.Environ(), "DATABASE_URL="+database)
	c.Stdout, c.Stderr = &c.out, &c.err
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.Wait() }()
	return c
}

// TestImportIsKilled kills the importer, the leader and the database in turn, each as a power cut would, while
// people are imported. In the end both sides are compared row by row.
func TestImportIsKilled(t *testing.T) {
	users, patience := 2_000, 5*time.Minute
	if torture {
		users, patience = 1_000_000, time.Hour
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, server := startFleet(t), testpostgres.New(t)
	database := server.Database(t)
	if _, err := fill.Into(ctx, database, fill.Options{Users: users, Roles: 200, Clients: users / 200, Seed: 6}); err != nil {
		t.Fatal(err)
	}
	importing := func(node int) *command {
		return run(t, database, "import", "--data", f.folder(node), "--name", "killed", "--batch", "50", "--json")
	}
	// until waits for so many of a hundred users to be there, which a running import brings.
	until := func(node int, percent int64, c *command) {
		t.Helper()
		for ctx.Err() == nil {
			state, err := f.operator(node).ImportState(ctx, "killed")
			if err == nil && state.Created >= int64(users)*percent/100 {
				return
			}
			select {
			case err := <-c.done:
				t.Fatalf("the import ended before %d %% was there: %v\n%s", percent, err, c.err.String())
			case <-time.After(50 * time.Millisecond):
			}
		}
		t.Fatalf("%d %% never came", percent)
	}

	first := importing(0)
	until(0, 15, first)
	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.done

	leader := f.leader()
	on := (leader + 1) % len(f.Nodes)
	second := importing(on)
	until(on, 40, second)
	f.kill(leader)
	until(on, 60, second)
	f.revive(leader)
	server.Kill()
	server.Start(t)
	if err := <-second.done; err != nil {
		t.Fatalf("the import did not get to its end: %v\n%s", err, second.err.String())
	}
	var report struct {
		Finished bool `json:"finished"`
		Whole    struct {
			Created, Updated, Refused int
		} `json:"whole"`
	}
	if err := json.Unmarshal(second.out.Bytes(), &report); err != nil || !report.Finished {
		t.Errorf("the report of the import: %v\n%s", err, second.out.String())
	}
	if report.Whole.Updated != 0 || report.Whole.Refused != 0 || report.Whole.Created < users {
		t.Errorf("of %d users and what belongs to them: %+v", users, report.Whole)
	}
	compare := run(t, database, "verify", "--data", f.folder(leader), "--json")
	if err := <-compare.done; err != nil {
		t.Errorf("the two sides differ: %v\n%s%s", err, compare.out.String(), compare.err.String())
	}
	var compared struct {
		Same  bool
		Kinds []struct {
			Kind         string
			Source, Same int
		}
	}
	if err := json.Unmarshal(compare.out.Bytes(), &compared); err != nil || !compared.Same {
		t.Fatalf("the comparison says %s: %v", compare.out.String(), err)
	}
	for _, kind := range compared.Kinds {
		if kind.Kind == "user" && (kind.Source != users || kind.Same != users) {
			t.Errorf("of %d users %d are the same, and %d at the source", users, kind.Same, kind.Source)
		}
	}
}
