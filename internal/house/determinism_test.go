package house_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rules that a file can be excused from.
const (
	useOf     = "use of "        // followed by a package
	goroutine = "go statement"   // two goroutines have no order
	choice    = "select"         // picks at random among what is ready
	mapRange  = "range of map"   // Go makes the order different each time
	floating  = "floating point" // may differ between processors
	wallClock = "wall clock"
	fresh     = "fresh id"
)

// excused lists what a file of the state machine may do all the same, and why that is harmless.
var excused = map[string]map[string]string{
	"fsm/fsm.go": {
		choice:            "readers wait for an index; no command does",
		useOf + "runtime": "ends the goroutine of a node that cannot apply",
	},
	"fsm/snapshot.go": {
		useOf + "os": "snapshots are files; they are made from the state and do not change it",
		fresh:        "names the file of a snapshot that arrives",
	},
	"store/flush.go": {
		choice: "when the file follows what was applied changes nothing of what is applied",
	},
	"store/full.go": {
		useOf + "syscall": "names the errors of a disk that is full; such a transaction changed nothing and is done again",
		wallClock:         "how long a full disk is waited for changes nothing of what is applied then",
		choice:            "waits for room or for the end of the node, and applies nothing meanwhile",
	},
	"store/pages.go": {
		floating: "how full a page is changes nothing of what is in it",
	},
	"store/store.go": {
		useOf + "os": "it opens and replaces the file that holds the state",
	},
}

// forbiddenPackages differ between nodes, or wait for something outside.
var forbiddenPackages = []string{
	"crypto/rand", "math/rand", "math/rand/v2", "os", "net", "maps", "runtime", "syscall", "unsafe", "hash/maphash",
	"time/tzdata", "log", "log/slog",
}

// forbiddenNames are single functions of packages that are harmless otherwise.
var forbiddenNames = map[string]string{
	"time.Now": wallClock, "time.Since": wallClock, "time.Until": wallClock, "time.Sleep": wallClock,
	"time.After": wallClock, "time.AfterFunc": wallClock, "time.Tick": wallClock,
	"time.NewTimer": wallClock, "time.NewTicker": wallClock, "time.Local": wallClock, "time.LoadLocation": wallClock,
	module + "iam.Now": wallClock, module + "iam.NewID": fresh,
}

// TestStateMachineIsDeterministic reads the code that applies commands. Whatever may come out
// differently on two nodes makes their states drift apart, and nobody notices until one leads.
func TestStateMachineIsDeterministic(t *testing.T) {
	exports := map[string]string{}
	var rooms []goPackage
	for _, p := range goList(t, "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./fsm", "./store") {
		exports[p.ImportPath] = p.Export
		if p.ImportPath == module+"fsm" || p.ImportPath == module+"store" {
			rooms = append(rooms, p)
		}
	}
	used := map[string]bool{}
	for _, p := range rooms {
		for _, f := range inspect(t, p, exports) {
			name := strings.TrimPrefix(p.ImportPath, module) + "/" + filepath.Base(f.at.Filename)
			if _, ok := excused[name][f.rule]; ok {
				used[name+f.rule] = true
				continue
			}
			t.Errorf("%s:%d: %s: every node has to come to the same state from the same log; put it into the command, or excuse the file in internal/house with the reason why it is harmless",
				name, f.at.Line, f.rule)
		}
	}
	for name, rules := range excused {
		for rule := range rules {
			if !used[name+rule] {
				t.Errorf("%s is excused for %q, which it does not need", name, rule)
			}
		}
	}
}

// TestInspectFinds shows the rules each kind of code that they are there to find.
func TestInspectFinds(t *testing.T) {
	dir := t.TempDir()
	src := `package p
import ("time"; "os"; "crypto/rand")
func f(m map[string]int, c chan int) {
	_ = time.Now()
	_, _ = rand.Read(nil)
	_ = os.Getenv("X")
	for range m {}
	for range []int{} {}
	go f(nil, nil)
	select { case <-c: }
	x := 1.5 * float32(len(m))
	_ = x
	_ = time.Second
}`
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for _, p := range goList(t, "-export", "-deps", "-json=ImportPath,Export", "time", "os", "crypto/rand") {
		exports[p.ImportPath] = p.Export
	}
	found := map[string]int{}
	for _, f := range inspect(t, goPackage{ImportPath: "p", Dir: dir, GoFiles: []string{"p.go"}}, exports) {
		found[fmt.Sprint(f.at.Line, " ", f.rule)]++
	}
	for _, want := range []string{
		"4 " + wallClock, "5 " + useOf + "crypto/rand", "6 " + useOf + "os", "7 " + mapRange,
		"9 " + goroutine, "10 " + choice, "11 " + floating,
	} {
		if found[want] == 0 {
			t.Errorf("did not find %q; found %v", want, found)
		}
		delete(found, want)
	}
	delete(found, "12 "+floating)
	if len(found) > 0 {
		t.Errorf("found what is harmless: %v", found)
	}
}

type finding struct {
	rule string
	at   token.Position
}

// inspect type-checks a package against the compiled form of what it imports.
func inspect(t *testing.T, p goPackage, exports map[string]string) []finding {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("go list names no compiled form of " + path)
		}
		return os.Open(exports[path])
	})}
	if _, err := config.Check(p.ImportPath, fset, files, &info); err != nil {
		t.Fatal(err)
	}
	var found []finding
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if rule := broken(n, &info); rule != "" {
				found = append(found, finding{rule, fset.Position(n.Pos())})
			}
			return true
		})
	}
	return found
}

// broken names the rule that a node breaks.
func broken(n ast.Node, info *types.Info) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return goroutine
	case *ast.SelectStmt:
		return choice
	case *ast.RangeStmt:
		if _, isMap := info.TypeOf(n.X).Underlying().(*types.Map); isMap {
			return mapRange
		}
	case *ast.Ident:
		return brokenUse(info.Uses[n])
	case ast.Expr:
		if basic, ok := info.TypeOf(n).(*types.Basic); ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0 && basic.Info()&types.IsUntyped == 0 {
			return floating
		}
	}
	return ""
}

// brokenUse judges a name from another package.
func brokenUse(o types.Object) string {
	if o == nil || o.Pkg() == nil {
		return ""
	}
	if rule := forbiddenNames[o.Pkg().Path()+"."+o.Name()]; rule != "" {
		return rule
	}
	if _, isPackageName := o.(*types.PkgName); isPackageName || o.Parent() != o.Pkg().Scope() {
		return "" // methods come with their values, which were judged where they were made
	}
	for _, path := range forbiddenPackages {
		if o.Pkg().Path() == path {
			return useOf + path
		}
	}
	return ""
}
