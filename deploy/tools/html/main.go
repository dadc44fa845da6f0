// Command html writes the documents of a folder as pages that a browser opens from a disk: each names its style itself,
// links lead to the other pages, and nothing is fetched from anywhere. A link that leads nowhere is an error.
//
//	html FOLDER OUT      reads FOLDER/*.md and FOLDER/docs/**/*.md
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

//go:embed style.css
var style string

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} – Keystone</title>
<style>
{{.Style}}</style>
</head>
<body>
<nav aria-label="Documents">{{range .Nav}}<a href="{{.To}}">{{.Text}}</a>{{end}}</nav>
<main>
{{.Body}}</main>
</body>
</html>
`))

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: html FOLDER OUT")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "html:", err)
		os.Exit(1)
	}
}

// document is one page on its way.
type document struct {
	name    string // within the folder, with slashes
	source  []byte
	tree    ast.Node
	anchors map[string]bool
}

// write makes all pages, or none is of use.
func write(folder, out string) error {
	documents, err := read(folder)
	if err != nil {
		return err
	}
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	for _, d := range documents {
		ids := &slugs{used: map[string]bool{}}
		d.tree = markdown.Parser().Parse(text.NewReader(d.source), parser.WithContext(parser.NewContext(parser.WithIDs(ids))))
		d.anchors = ids.used
	}
	var broken []error
	for _, name := range names(documents) {
		d := documents[name]
		broken = append(broken, d.relink(folder, documents)...)
		body, err := d.render(markdown, documents)
		if err != nil {
			return err
		}
		file := filepath.Join(out, filepath.FromSlash(htmlName(name)))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // documents are for everybody
			return err
		}
		if err := os.WriteFile(file, body, 0o644); err != nil { //nolint:gosec // documents are for everybody
			return err
		}
	}
	return errors.Join(broken...)
}

func read(folder string) (map[string]*document, error) {
	documents := map[string]*document{}
	take := func(file string) error {
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(file) //nolint:gosec // whoever calls this names the folder
		documents[filepath.ToSlash(name)] = &document{name: filepath.ToSlash(name), source: source}
		return err
	}
	top, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return nil, err
	}
	for _, file := range top {
		if err := take(file); err != nil {
			return nil, err
		}
	}
	return documents, filepath.WalkDir(filepath.Join(folder, "docs"), func(file string, entry fs.DirEntry, err error) error { //nolint:gosec // as above
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".md" || strings.HasSuffix(file, "-template.md") {
			return err
		}
		return take(file)
	})
}

func names(documents map[string]*document) []string {
	var all []string
	for name := range documents {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func htmlPath(u *url.URL) string {
	if u.Path != "" {
		u.Path = htmlName(u.Path)
	}
	return u.String()
}

func htmlName(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".md"), ".html") + ".html"
}

// relink lets each link to a document lead to its page, and complains about what leads nowhere.
func (d *document) relink(folder string, documents map[string]*document) []error {
	var broken []error
	_ = ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch link := n.(type) {
		case *ast.Link:
			to, err := d.follow(folder, string(link.Destination), documents)
			link.Destination = []byte(to)
			broken = append(broken, err)
		case *ast.Image:
			to, err := d.follow(folder, string(link.Destination), documents)
			if strings.Contains(to, "://") {
				err = fmt.Errorf("%s shows a picture from elsewhere: %s", d.name, to)
			}
			broken = append(broken, err)
		}
		return ast.WalkContinue, nil
	})
	return broken
}

// follow finds what a link leads to.
func (d *document) follow(folder, to string, documents map[string]*document) (string, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" {
		return to, err
	}
	target := d.name
	if u.Path != "" {
		target = path.Join(path.Dir(d.name), u.Path)
	}
	other, isDocument := documents[target]
	switch {
	case isDocument && u.Fragment != "" && !other.anchors[u.Fragment]:
		return to, fmt.Errorf("%s leads to %s, and %s has no such heading", d.name, to, target)
	case isDocument:
		return htmlPath(u), nil
	}
	if documents[strings.TrimSuffix(target, ".html")+".md"] != nil {
		return htmlPath(u), nil
	}
	if _, err := os.Stat(filepath.Join(folder, filepath.FromSlash(target))); err != nil { //nolint:gosec // as above
		return to, fmt.Errorf("%s leads to %s, which is not there", d.name, to)
	}
	return to, nil
}

func (d *document) render(markdown goldmark.Markdown, documents map[string]*document) ([]byte, error) {
	var body, whole bytes.Buffer
	if err := markdown.Renderer().Render(&body, d.source, d.tree); err != nil {
		return nil, err
	}
	// A wide table scrolls by itself, or the whole page would.
	text := strings.NewReplacer("<table>", `<div class="table"><table>`, "</table>", "</table></div>").Replace(body.String())
	err := page.Execute(&whole, map[string]any{
		"Title": d.title(), "Style": template.CSS(style), "Nav": d.navigation(documents), "Body": template.HTML(text), //nolint:gosec // our own documents
	})
	return whole.Bytes(), err
}

// title is the text of the first heading.
func (d *document) title() string {
	for n := d.tree.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			var b strings.Builder
			for i := range h.Lines().Len() {
				line := h.Lines().At(i)
				b.Write(line.Value(d.source))
			}
			return strings.ReplaceAll(b.String(), "`", "")
		}
	}
	return d.name
}

type navLink struct{ To, Text string }

func (d *document) navigation(documents map[string]*document) []navLink {
	var all []navLink
	up := strings.Repeat("../", strings.Count(d.name, "/"))
	for _, link := range []navLink{
		{"README.md", "Keystone"},
		{"docs/operator/index.md", "For operators"},
		{"docs/operator/reference.md", "Reference"},
		{"docs/architecture.md", "Architecture"},
		{"CHANGELOG.md", "Changes"},
	} {
		if documents[link.To] != nil {
			all = append(all, navLink{up + htmlName(link.To), link.Text})
		}
	}
	return all
}

// slugs implements parser.IDs with the anchors that code hosts give to headings, so that a link works in both places.
type slugs struct{ used map[string]bool }

// Generate implements parser.IDs.
func (s *slugs) Generate(value []byte, _ ast.NodeKind) []byte {
	plain := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, string(util.TrimRightSpace(util.TrimLeftSpace(value))))
	id := plain
	for n := 1; s.used[id]; n++ {
		id = fmt.Sprintf("%s-%d", plain, n)
	}
	s.used[id] = true
	return []byte(id)
}

// Put implements parser.IDs.
func (s *slugs) Put(value []byte) { s.used[string(value)] = true }
