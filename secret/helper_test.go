package secret

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this program be a helper of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hash-worker" {
		if err := ServeHashes(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helped is a hasher with helpers, which must not fall back.
func helped(t *testing.T, workers int) *Hasher {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := NewHasher(HasherConfig{
		Params: cheap, Workers: workers, Program: func() *exec.Cmd { return exec.Command(program, "hash-worker") },
		Fallback: func(err error) { t.Errorf("a hash was not computed in a helper: %v", err) },
	})
	t.Cleanup(h.Close)
	return h
}

func (p *helpers) waiting() []*helper {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*helper(nil), p.idle...)
}

// TestHelpersAgree: what a helper computes is what this process would.
func TestHelpersAgree(t *testing.T) {
	h, here := helped(t, 3), NewHasher(HasherConfig{Params: cheap})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			password := fmt.Sprintf("pässword %d\n\x00", i)
			made, err := h.Hash(t.Context(), password)
			if err != nil {
				t.Error(err)
				return
			}
			for _, by := range []*Hasher{h, here} {
				if ok, err := by.Verify(t.Context(), made, password); !ok || err != nil {
					t.Errorf("the password that was hashed does not fit: %v", err)
				}
				if ok, err := by.Verify(t.Context(), made, password+" "); ok || err != nil {
					t.Errorf("another password fits, %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := len(h.helpers.waiting()); n == 0 || n > 3 {
		t.Errorf("%d helpers wait for work, of 3 workers", n)
	}
}

// TestHelperDies: one that was killed while it waited is replaced, and one that dies over a hash is not
// followed by this process.
func TestHelperDies(t *testing.T) {
	h := helped(t, 1)
	made, err := h.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.helpers.waiting()[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if ok, err := h.Verify(t.Context(), made, "secret"); !ok || err != nil {
		t.Errorf("after the end of a helper the password does not fit, %v", err)
	}
	dying := NewHasher(HasherConfig{Params: cheap, Program: func() *exec.Cmd { return exec.Command("false") }, Fallback: func(err error) { t.Errorf("it was computed here: %v", err) }})
	if _, err := dying.Hash(t.Context(), "secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a helper that dies gives %v", err)
	}
}

// TestNoHelper: where no process can be started, logins go on, and the operator is told once.
func TestNoHelper(t *testing.T) {
	told := 0
	h := NewHasher(HasherConfig{Params: cheap, Program: func() *exec.Cmd { return exec.Command("/nowhere/keystone") }, Fallback: func(error) { told++ }})
	for range 3 {
		if made, err := h.Hash(t.Context(), "secret"); err != nil || made == "" {
			t.Errorf("%q, %v", made, err)
		}
	}
	if told != 1 {
		t.Errorf("the operator was told %d times", told)
	}
}

// TestHelperEnds: a hasher that is closed leaves no process behind, and still works.
func TestHelperEnds(t *testing.T) {
	h := helped(t, 1)
	made, err := h.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	one := h.helpers.waiting()[0]
	h.Close()
	for deadline := time.Now().Add(10 * time.Second); one.cmd.Process.Signal(syscall.Signal(0)) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the helper goes on")
		}
	}
	if ok, err := h.Verify(t.Context(), made, "secret"); !ok || err != nil {
		t.Errorf("after the end %v, %v", ok, err)
	}
	if n := len(h.helpers.waiting()); n > 0 {
		t.Errorf("%d helpers wait for work that does not come", n)
	}
}

// TestHelperShowsNothing: neither the arguments nor the environment of a helper, which all may read, hold
// anything, and it stands back behind this process.
func TestHelperShowsNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	t.Setenv("KEYSTONE_SECRET", "kss_of_the_cluster")
	h := helped(t, 1)
	if _, err := h.Hash(t.Context(), "Zx9!kestrel-Moor"); err != nil {
		t.Fatal(err)
	}
	pid := h.helpers.waiting()[0].cmd.Process.Pid
	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"kestrel", "kss_"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds %s", file, secret)
			}
		}
	}
	nice := func(pid string) string {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), ") ")
		return strings.Fields(after)[16]
	}
	if own, his := nice("self"), nice(fmt.Sprint(pid)); own == his || his != fmt.Sprint(Niceness) {
		t.Errorf("this process has the niceness %s and its helper %s", own, his)
	}
}

// TestServeHashesIsBounded: what a helper is asked for is checked, though only its node can ask.
func TestServeHashesIsBounded(t *testing.T) {
	for _, job := range []string{
		"x", `{"hash":"$argon2id$v=19$m=4294967295,t=1,p=1$1fofwxjjvLdWCuG8t7b2vg$ayk6os9IUlZRs8vMvUNXD4iw6DgZ9bHgJCueDmU3xx4"}`,
		`{"hash":"$2b$31$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."}`, `{"hash":""}`,
	} {
		if err := ServeHashes(strings.NewReader(job), new(strings.Builder)); err == nil {
			t.Errorf("%s is computed", job)
		}
	}
}
