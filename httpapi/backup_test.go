package httpapi_test

import (
	"io"
	"net/http"
	"testing"
)

// TestBrokenBackups: a node makes one backup at a time, and goes on after a reader that went away.
func TestBrokenBackups(t *testing.T) {
	s := newStack(t)
	for range 5 {
		s.recordMany(1000) // more than lies in buffers on the way
	}
	ask := func() *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://keystone.test"+v1+"/admin/backup", nil)
		must(t, err)
		resp, err := s.operator.Do(req)
		must(t, err)
		return resp
	}
	first := ask()
	if _, err := io.ReadFull(first.Body, make([]byte, 16)); err != nil || first.StatusCode != 200 {
		t.Fatalf("the first backup: %d, %v", first.StatusCode, err)
	}
	second := ask()
	if second.StatusCode != 429 || second.Header.Get("Retry-After") == "" {
		t.Errorf("beside it: %d", second.StatusCode)
	}
	must(t, second.Body.Close())
	must(t, first.Body.Close()) // unread
	eventually(t, "a backup after the reader of the first one went away", func() bool {
		resp := ask()
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == 200 && err == nil && n == resp.ContentLength
	})
	if head := s.do(s.operator, call{method: "HEAD", path: v1 + "/admin/backup"}); head.status != 200 || head.body != "" {
		t.Errorf("HEAD: %+v", head)
	}
	if a := s.do(s.public, call{method: "GET", path: v1 + "/admin/backup"}.as(s.user.AccessToken)); a.status != 403 {
		t.Errorf("a user is given %d", a.status)
	}
}
