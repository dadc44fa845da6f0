package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocuments makes pages of the real documents: every link in them leads somewhere.
func TestDocuments(t *testing.T) {
	out := t.TempDir()
	if err := write("../../..", out); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "docs", "consistency.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h1 id=", `href="../README.html"`, "prefers-color-scheme"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, never := range []string{"src=\"http", "<script", "@import", "<link"} {
		if strings.Contains(string(text), never) {
			t.Errorf("the page has %s", never)
		}
	}
}

// TestBrokenLinks finds each kind of link that leads nowhere.
func TestBrokenLinks(t *testing.T) {
	for text, want := range map[string]string{
		"# A\n[b](docs/b.md)":          "docs/b.md, which is not there",
		"# A\n[b](docs/c.md#nowhere)":  "docs/c.md has no such heading",
		"# A\n[b](#nowhere)":           "README.md has no such heading",
		"# A\n![b](https://a.b/c.png)": "a picture from elsewhere",
		"# A b\n[b](#a-b), [c](README.md#a-b), [d](docs/c.md#c), [e](LICENSE), [f](https://a.b)": "",
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "docs"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"README.md": text, "docs/c.md": "# C", "LICENSE": "free"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := write(dir, t.TempDir())
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, and it should say %q", text, err, want)
		}
	}
}
