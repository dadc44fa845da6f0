package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	longestFile     = 800 // lines; most files should stay below 400
	longestFunction = 80  // lines, outside of tests
	documented      = 95  // percent of the exported names outside of tests
)

// unfinished marks what somebody meant to come back to. Such notes go into an issue.
var unfinished = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}, "|") + `)\b`)

type sourceFile struct {
	name string // within the module
	tree *ast.File
	fset *token.FileSet
}

func (f sourceFile) line(p token.Pos) int { return f.fset.Position(p).Line }
func (f sourceFile) isTest() bool         { return strings.HasSuffix(f.name, "_test.go") }

// sources parses every Go file of the module that a person wrote.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil && !ast.IsGenerated(tree) {
			files = append(files, sourceFile{filepath.ToSlash(name), tree, fset})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if lines := f.line(f.tree.FileEnd); lines > longestFile {
			t.Errorf("%s has %d lines, more than %d: split it by what it is about", f.name, lines, longestFile)
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.isTest() {
				continue
			}
			if lines := f.line(fn.End()) - f.line(fn.Pos()) + 1; lines > longestFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.name, f.line(fn.Pos()), fn.Name.Name, lines, longestFunction)
			}
		}
	}
}

func TestNothingIsLeftUnfinished(t *testing.T) {
	for _, f := range sources(t) {
		for _, group := range f.tree.Comments {
			for _, c := range group.List {
				if note := unfinished.FindString(c.Text); note != "" {
					t.Errorf("%s:%d: a comment says %s: finish it, or open an issue", f.name, f.line(c.Pos()), note)
				}
			}
		}
	}
}

func TestPackagesSayWhyTheyExist(t *testing.T) {
	said := map[string]bool{}
	for _, f := range sources(t) {
		if !f.isTest() {
			folder := filepath.ToSlash(filepath.Dir(f.name))
			said[folder] = said[folder] || f.tree.Doc != nil
		}
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("package %s has no comment that says why it exists and what must not go in", folder)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	all, missing := 0, []string(nil)
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		for _, d := range f.tree.Decls {
			eachExported(d, func(name *ast.Ident, doc bool) {
				all++
				if !doc {
					missing = append(missing, f.name+": "+name.Name)
				}
			})
		}
	}
	if have := all - len(missing); have*100 < all*documented {
		t.Errorf("%d of %d exported names are documented, fewer than %d %%; these are not:\n\t%s",
			have, all, documented, strings.Join(missing, "\n\t"))
	}
}

// eachExported calls fn with each exported name that a declaration makes.
func eachExported(d ast.Decl, fn func(name *ast.Ident, doc bool)) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || receiver(d.Recv.List[0].Type).IsExported()) {
			fn(d.Name, d.Doc != nil)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			eachExportedIn(spec, d.Doc != nil, fn)
		}
	}
}

// eachExportedIn takes the comment on a group of constants or variables for one on each of them.
func eachExportedIn(spec ast.Spec, group bool, fn func(name *ast.Ident, doc bool)) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() {
			fn(spec.Name, group || spec.Doc != nil)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() {
				fn(name, group || spec.Doc != nil || spec.Comment != nil)
			}
		}
	}
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e
	}
	return ast.NewIdent("_")
}

// TestOnlyTheStateMachineWrites keeps the writing half of the store to the rooms that may hold it. Everybody
// gets the Store to read from, and whoever names its Tx could change the state of one node alone. bench/fill
// makes the same state for all nodes while none of them runs.
func TestOnlyTheStateMachineWrites(t *testing.T) {
	writers := regexp.MustCompile(`^(fsm|store|bench/fill)/`)
	for _, f := range sources(t) {
		if f.isTest() || writers.MatchString(f.name) {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if p, ok := s.X.(*ast.Ident); ok && p.Name == "store" && (s.Sel.Name == "Tx" || s.Sel.Name == "Stamp") {
				t.Errorf("%s:%d: store.%s is for the state machine alone: propose a command", f.name, f.line(n.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}
