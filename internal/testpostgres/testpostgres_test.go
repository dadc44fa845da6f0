package testpostgres

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func query(t *testing.T, url, sql string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestDatabasesAreApart(t *testing.T) {
	a, b := Database(t), Database(t)
	if nameA, nameB := query(t, a, "SELECT current_database()"), query(t, b, "SELECT current_database()"); nameA == nameB {
		t.Fatalf("both are %s", nameA)
	}
	if level := query(t, a, "SHOW wal_level"); level != "logical" {
		t.Errorf("wal_level is %s", level)
	}
	if ports := query(t, a, "SHOW listen_addresses"); ports != "" {
		t.Errorf("it listens on %s", ports)
	}
}

// What was committed is there after a kill and after a clean stop.
func TestStopKillStart(t *testing.T) {
	s := New(t)
	url := s.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'row' AS v"); err != nil {
		t.Fatal(err)
	}

	for _, end := range []func(){s.Kill, s.Stop} {
		end()
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("a stopped server answers")
		}
		s.Start(t)
		if v := query(t, url, "SELECT v FROM kept"); v != "row" {
			t.Fatalf("got %q", v)
		}
	}
}

// A test binary that dies without its clean-up leaves neither a process nor a folder.
func TestNothingIsLeftBehind(t *testing.T) {
	if dir := os.Getenv("TESTPOSTGRES_DIE"); dir != "" {
		s, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/place", []byte(s.dir), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Exit(3)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestNothingIsLeftBehind$")
	cmd.Env = append(os.Environ(), "TESTPOSTGRES_DIE="+dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	place, err := os.ReadFile(dir + "/place")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		_, err := os.Stat(string(place))
		if os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is there still: %v", place, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if out, _ := exec.Command("ps", "-e", "-o", "args").Output(); strings.Contains(string(out), string(place)) {
		t.Errorf("a process runs still: %s", out)
	}
}
