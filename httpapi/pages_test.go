package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/httpapi"
)

// TestDocumentIsServed: whole or compressed, and not again to who has it.
func TestDocumentIsServed(t *testing.T) {
	s := newStack(t)
	want := httpapi.OpenAPI("v0-test")
	at := call{method: "GET", path: "/openapi.json"}
	plain := s.do(s.public, at.sending("Accept-Encoding", "identity"))
	if plain.status != 200 || plain.body != string(want) || plain.header.Get("Content-Type") != "application/json" || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %d, %d bytes, %v", plain.status, len(plain.body), plain.header)
	}
	packed := s.do(s.public, at.sending("Accept-Encoding", "gzip"))
	r, err := gzip.NewReader(strings.NewReader(packed.body))
	must(t, err)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) || packed.header.Get("Content-Encoding") != "gzip" || packed.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("compressed: %d, %v, %v", packed.status, err, packed.header)
	}
	if tag := plain.header.Get("ETag"); tag == "" || tag == packed.header.Get("ETag") {
		t.Errorf("the two forms have the tags %s and %s", tag, packed.header.Get("ETag"))
	}
	known := call{method: "GET", path: "/openapi.json", header: map[string]string{"Accept-Encoding": "identity", "If-None-Match": plain.header.Get("ETag")}}
	if a := s.do(s.public, known); a.status != 304 || a.body != "" || a.header.Get("ETag") != plain.header.Get("ETag") {
		t.Errorf("known: %d, %d bytes", a.status, len(a.body))
	}
	if a := s.do(s.public, call{method: "HEAD", path: "/openapi.json"}); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d, %d bytes", a.status, len(a.body))
	}
}

// TestPages: each is complete in itself, and its policy allows what is in it and nothing from elsewhere.
func TestPages(t *testing.T) {
	s := newStack(t)
	for _, path := range []string{"/docs", "/redoc", "/docs/"} {
		a := s.do(s.public, call{method: "GET", path: path})
		policy := a.header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([A-Z2-7]{26})'`).FindStringSubmatch(policy)
		if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || nonce == nil || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v", path, a.status, a.header)
		}
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %s", path, policy)
		}
		for _, found := range regexp.MustCompile(`<(?:script|style)[^>]*>`).FindAllString(a.body, -1) {
			if !strings.Contains(found, ` nonce="`+nonce[1]+`"`) && !strings.Contains(found, ` src="/docs/`) {
				t.Errorf("%s: the policy forbids %s", path, found)
			}
		}
		if strings.Contains(a.body, "//") || strings.Contains(a.body, "NONCE") || strings.Contains(a.body, "DOCUMENT") {
			t.Errorf("%s asks somebody else, or was not filled in: %s", path, a.body)
		}
		for _, found := range regexp.MustCompile(`"(/[^"]+\?v=[^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			part := s.do(s.public, call{method: "GET", path: found[1]})
			if part.status != 200 || !strings.Contains(part.header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s loads %s: %d %v", path, found[1], part.status, part.header)
			}
		}
		if again := s.do(s.public, call{method: "GET", path: path}); again.header.Get("Content-Security-Policy") == policy {
			t.Errorf("%s has the same nonce twice", path)
		}
	}
}

// TestPageFiles: what is embedded asks no other server for anything, and is what it is called.
func TestPageFiles(t *testing.T) {
	s := newStack(t)
	f := func(name, kind, holds string) {
		t.Helper()
		a := s.do(s.public, call{method: "GET", path: "/docs/" + name})
		if a.status != 200 || a.header.Get("Content-Type") != kind || !strings.Contains(a.body, holds) || a.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, %d bytes, %v", name, a.status, len(a.body), a.header)
		}
		if strings.Contains(a.body, "cdn.redoc.ly") {
			t.Errorf("%s loads a picture from elsewhere", name)
		}
	}
	f("swagger-ui-bundle.js", "text/javascript; charset=utf-8", "SwaggerUIBundle")
	f("swagger-ui.css", "text/css; charset=utf-8", ".swagger-ui")
	f("redoc.standalone.js", "text/javascript; charset=utf-8", "Redoc")
	f("licences.txt", "text/plain; charset=utf-8", "Apache License")
	s.run([]scenario{
		{"another file", call{method: "GET", path: "/docs/update.sh"}, 404, []string{`"not_found"`}, nil},
		{"a way out", call{method: "GET", path: "/docs/%2e%2e%2fweb.go"}, 404, []string{`"not_found"`}, nil},
	})
}
