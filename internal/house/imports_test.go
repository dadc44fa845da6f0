package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	root = "../.."
	tags = "hashicorpmetrics"
)

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	Imports    []string
}

// goList runs go list in the root of the module.
func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-tags", tags}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the build, whose compiled packages are there already
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &complaint)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("what go list says cannot be read: %v", err)
		}
		packages = append(packages, p)
	}
}

// TestWhoMayKnowWhom compares the imports of all code but tests with the table.
func TestWhoMayKnowWhom(t *testing.T) {
	for _, p := range goList(t, "-e", "-json=ImportPath,Imports", "./...") {
		folder := strings.TrimPrefix(p.ImportPath, module)
		r, known := roomOf(folder)
		if !known {
			t.Errorf("%s is in no room: add a row to internal/house/rooms_test.go that says what it may import, and why", folder)
			continue
		}
		for _, path := range p.Imports {
			if complaint := judge(r, path); complaint != "" {
				t.Errorf("%s imports %s: %s", folder, path, complaint)
			}
		}
	}
}

// TestTable finds mistakes in the table itself.
func TestTable(t *testing.T) {
	place := map[string]int{}
	for i, r := range table {
		if _, twice := place[r.name]; twice {
			t.Errorf("room %s has two rows", r.name)
		}
		if r.why == "" {
			t.Errorf("room %s has a row without a reason", r.name)
		}
		place[r.name] = i
	}
	for i, r := range table {
		for _, name := range r.rooms {
			at, known := place[name]
			switch {
			case name == anything:
			case !known:
				t.Errorf("room %s may import %s, which has no row", r.name, name)
			case at == i:
				t.Errorf("room %s may import itself", r.name)
			case at > i && name != "web":
				t.Errorf("room %s may import %s, which lies further up in the house", r.name, name)
			}
		}
	}
	for _, b := range bans {
		for _, name := range append(append([]string(nil), b.rooms...), b.but...) {
			if _, known := place[name]; !known && name != anything && name != "internal" {
				t.Errorf("a ban on %v names the room %s, which has no row", b.paths, name)
			}
		}
	}
}

// TestJudge holds the table against imports that were real temptations.
func TestJudge(t *testing.T) {
	f := func(folder, path string, allowed bool) {
		t.Helper()
		r, known := roomOf(folder)
		if !known {
			t.Fatalf("room %s has no row", folder)
		}
		if complaint := judge(r, path); (complaint == "") != allowed {
			t.Errorf("%s imports %s: complaint %q, want allowed = %v", folder, path, complaint, allowed)
		}
	}
	f("iam", "strings", true)
	f("iam", "github.com/fxamacker/cbor/v2", false)
	f("fsm", module+"store", true)
	f("fsm", module+"view", false)
	f("view", module+"fsm", false)
	f("fsm", "github.com/hashicorp/raft", true)
	f("fsm", "github.com/hashicorp/raft-boltdb/v2", false)
	f("httpapi", module+"cluster", false)
	f("httpapi", "golang.org/x/crypto/argon2", false)
	f("httpapi", "encoding/json", false)
	f("httpapi", "encoding/json/jsontext", false)
	f("oauth", module+"login", true)
	f("login", module+"oauth", false)
	f("oauth", "github.com/golang-jwt/jwt/v5", false)
	f("cmd/keystone", module+"cluster", true)
	f("cmd/keystone", module+"internal/testcluster", false)
	f("login", "testing/synctest", false)
	f("internal/testcluster", "testing", true)
	f("client", module+"iam", false)
	f("cluster", "math/rand/v2", true)
	f("token", "math/rand/v2", false)
}

func roomOf(folder string) (room, bool) {
	for _, r := range table {
		if within(folder, []string{r.name}) {
			return r, true
		}
	}
	return room{}, false
}

// judge says what is wrong with an import, or nothing.
func judge(r room, path string) string {
	for _, b := range bans {
		if within(r.name, b.rooms) && !within(r.name, b.but) && within(path, b.paths) {
			return b.why
		}
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if folder, ours := strings.CutPrefix(path, module); ours {
		if within(folder, append(r.rooms, r.name)) {
			return ""
		}
		return "its row allows " + list(r.rooms) + " of this module; the reason: " + r.why
	}
	if within(path, r.libs) {
		return ""
	}
	return "its row allows " + list(r.libs) + " beside the standard library; the reason: " + r.why
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
