package secret

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// cheap is for tests that are not about the cost.
var cheap = Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestHashAndVerify(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap})
	phc, err := h.Hash(t.Context(), "Pässwörd1!")
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Hash(t.Context(), "Pässwörd1!")
	if err != nil || again == phc {
		t.Errorf("two hashes of one password: %s and %s, %v", phc, again, err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") || h.Weak(phc) {
		t.Errorf("hash is not under the policy: %s", phc)
	}
	if ok, err := h.Verify(t.Context(), phc, "Pässwörd1!"); err != nil || !ok {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	for _, wrong := range []string{"", "Pässwörd1", "Password1!", "Pässwörd1!\x00"} {
		if ok, err := h.Verify(t.Context(), phc, wrong); err != nil || ok {
			t.Errorf("Verify(%q) = %v, %v", wrong, ok, err)
		}
	}
	if err := h.VerifyNobody(t.Context(), "Pässwörd1!"); err != nil {
		t.Errorf("VerifyNobody: %v", err)
	}
	if s := h.Stats(); s != (HasherStats{}) {
		t.Errorf("an idle hasher says %+v", s)
	}
}

func TestHasherDefaults(t *testing.T) {
	h := NewHasher(HasherConfig{Workers: 3})
	if h.params != DefaultParams() || cap(h.workers) != 3 || cap(h.tickets) != 3+3*queuePerWorker {
		t.Errorf("params %+v, workers %d, tickets %d", h.params, cap(h.workers), cap(h.tickets))
	}
	defer func() {
		if recover() == nil {
			t.Error("parameters that Argon2 refuses are taken")
		}
	}()
	NewHasher(HasherConfig{Params: Params{Lanes: 1}})
}

// A full queue refuses at once; a free worker lets the waiting ones in.
func TestHasherRefusesBeyondQueue(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 1, Queue: 2})
	occupy(h)
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := h.Hash(context.Background(), "waits")
			results <- err
		}()
	}
	waitFor(t, func() bool { return h.Stats() == HasherStats{Running: 1, Waiting: 2} })

	_, err := h.Hash(t.Context(), "one too many")
	refused(t, err)
	ok, err := h.Verify(t.Context(), "garbage", "one too many")
	refused(t, err)
	if ok {
		t.Error("a password was accepted without a look at it")
	}
	refused(t, h.VerifyNobody(t.Context(), "one too many"))

	release(h)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a caller in the queue: %v", err)
		}
	}
}

func TestHasherWaitEndsWithContext(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 1, Queue: 1})
	occupy(h)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- h.VerifyNobody(ctx, "waits") }()
	waitFor(t, func() bool { return h.Stats().Waiting == 1 })
	cancel()
	refused(t, <-result)
	release(h)
	if s := h.Stats(); s != (HasherStats{}) {
		t.Errorf("a caller who gave up left %+v behind", s)
	}
	refused(t, h.VerifyNobody(ctx, "comes with a context that has ended"))
}

// Imported hashes may ask for sixteen times the memory of the policy, so they run one at a time.
func TestHasherRunsOneHeavyHashAtATime(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 4, Queue: 4})
	h.line <- struct{}{}
	h.heavy <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := h.Verify(ctx, "$argon2id$v=19$m=130,t=1,p=1$"+someSalt+"$"+someHash, "waits")
		result <- err
	}()
	waitFor(t, func() bool { return h.Stats() == HasherStats{Waiting: 1} })
	if _, err := h.Hash(t.Context(), "passes by"); err != nil {
		t.Errorf("an ordinary hash beside a heavy one: %v", err)
	}
	cancel()
	refused(t, <-result)
	<-h.heavy
	<-h.line
	if _, err := h.Verify(t.Context(), "$argon2id$v=19$m=130,t=1,p=1$"+someSalt+"$"+someHash, "runs"); err != nil {
		t.Errorf("a heavy hash on its own: %v", err)
	}
}

func TestHasherUnderLoad(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 2, Queue: 4})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			phc, err := h.Hash(context.Background(), "load")
			if err != nil {
				refused(t, err)
				return
			}
			if ok, err := h.Verify(context.Background(), phc, "load"); err == nil && !ok {
				t.Error("a right password was refused under load")
			}
		})
	}
	wg.Wait()
	if s := h.Stats(); s != (HasherStats{}) {
		t.Errorf("after the load: %+v", s)
	}
}

// occupy takes a worker, as a hash that goes on for as long as the test wants.
func occupy(h *Hasher) {
	h.tickets <- struct{}{}
	h.workers <- struct{}{}
}

func release(h *Hasher) {
	<-h.workers
	<-h.tickets
}

func refused(t *testing.T, err error) {
	t.Helper()
	var e *iam.Error
	if !errors.As(err, &e) || e.Code != iam.TemporarilyUnavailable || e.RetryAfter <= 0 {
		t.Errorf("want temporarily_unavailable with a time to retry, got %v", err)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("waited in vain")
		}
	}
}

// One account with such a hash must not keep everybody else out.
func TestHasherHeavyHashesLeaveTheQueueToOthers(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap, Workers: 1, Queue: 1})
	for range cap(h.line) - 1 {
		h.line <- struct{}{}
	}
	h.heavy <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	heavy := "$argon2id$v=19$m=130,t=1,p=1$" + someSalt + "$" + someHash
	go func() {
		_, err := h.Verify(ctx, heavy, "waits")
		result <- err
	}()
	waitFor(t, func() bool { return len(h.line) == cap(h.line) })
	if _, err := h.Verify(t.Context(), heavy, "finds the line full"); err == nil {
		t.Error("any number of callers may wait for a heavy hash")
	} else {
		refused(t, err)
	}
	if _, err := h.Hash(t.Context(), "passes by"); err != nil {
		t.Errorf("an ordinary hash beside waiting heavy ones: %v", err)
	}
	cancel()
	refused(t, <-result)
}
