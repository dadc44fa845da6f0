package secret

import (
	"context"
	"crypto/rand"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-auth/keystone/iam"
)

// queuePerWorker is how many callers may wait for each worker: about four seconds of work with the
// default parameters, after which a caller is better served by another node.
const queuePerWorker = 32

// mostHeavyWaiting is how many callers may wait for a hash that takes far more memory than the policy.
const mostHeavyWaiting = 4

// retryAfter is what a caller is told who found the queue full.
const retryAfter = time.Second

// HasherConfig sets up a [Hasher]. Zero values are replaced by the defaults.
type HasherConfig struct {
	Params  Params // of new hashes; DefaultParams
	Workers int    // hashes computed at once; GOMAXPROCS
	Queue   int    // callers that may wait beyond those; 32 for each worker
	// Program makes the command of a process that does nothing but call ServeHashes. Each worker has one, which
	// stands back behind everything else on the machine. Nil: hashes are computed in this process.
	Program func() *exec.Cmd
	// Fallback is told, once, why hashes are computed in this process although there is a Program.
	Fallback func(error)
}

// Hasher hashes and verifies passwords. Every call takes 64 MiB and a processor for a tenth of a
// second, so without a bound a burst of logins would end the process; beyond the queue a caller is
// refused at once.
type Hasher struct {
	params  Params
	tickets chan struct{} // full when all workers are busy and the queue is full
	workers chan struct{} // full when all workers are busy
	heavy   chan struct{} // full while a hash runs that takes over twice the memory of the policy
	line    chan struct{} // full when as many callers wait for that as may
	nobody  stored
	refused atomic.Uint64

	helpers  *helpers // nil: hashes are computed here
	fallback func(error)
}

// HasherStats is how busy a [Hasher] is.
type HasherStats struct {
	Running int64
	Waiting int64
}

// NewHasher makes a Hasher. Parameters that do not pass Params.Check are a bug of the caller, who had
// to check the configuration.
func NewHasher(c HasherConfig) *Hasher {
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if err := c.Params.Check(); err != nil {
		panic("BUG: hasher without checked parameters: " + err.Error())
	}
	if c.Workers < 1 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Queue < 1 {
		c.Queue = queuePerWorker * c.Workers
	}
	h := &Hasher{
		params:  c.Params,
		tickets: make(chan struct{}, c.Workers+c.Queue),
		workers: make(chan struct{}, c.Workers),
		heavy:   make(chan struct{}, 1),
		line:    make(chan struct{}, 1+mostHeavyWaiting),
	}
	if c.Program != nil {
		h.helpers = &helpers{program: c.Program}
		once := new(sync.Once)
		h.fallback = func(err error) {
			once.Do(func() {
				if c.Fallback != nil {
					c.Fallback(err)
				}
			})
		}
	}
	nobody := h.fresh()
	_, _ = rand.Read(nobody.sum) // the hash of no password at all
	h.nobody = nobody.stored()
	return h
}

// fresh is a hash under the policy with a new salt, its sum still to be computed.
func (h *Hasher) fresh() phcHash {
	f := phcHash{variant: argon2id, params: h.params, salt: make([]byte, saltBytes), sum: make([]byte, hashBytes)}
	_, _ = rand.Read(f.salt)
	return f
}

// Hash makes the PHC string of a password under the policy, with a fresh salt.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	made := h.fresh()
	sum, err := h.run(ctx, made.stored(), password)
	if err != nil {
		return "", err
	}
	made.sum = sum
	return made.String(), nil
}

// Verify tells whether the password is the one that hash was made of, in any of the forms that [Recognize]
// knows and with whatever parameters. A hash that cannot be used gives [ErrUnusableHash], after the work of an
// ordinary one, so that the time taken does not tell which accounts have such a hash.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (bool, error) {
	known, err := parseStored(hash)
	if err != nil {
		if busy := h.VerifyNobody(ctx, password); busy != nil {
			return false, busy
		}
		return false, err
	}
	sum, err := h.run(ctx, known, password)
	if err != nil {
		return false, err
	}
	return known.fits(sum), nil
}

// VerifyNobody does the work of Verify for a name that does not exist, so that the time of an answer
// does not tell which names do.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	sum, err := h.run(ctx, h.nobody, password)
	if err != nil {
		return err
	}
	_ = h.nobody.fits(sum)
	return nil
}

// Weak tells whether a hash should be replaced at the next login: made with less work than the policy
// asks for, with anything but Argon2id, in the spelling of another system, or in a form that cannot be read.
func (h *Hasher) Weak(hash string) bool {
	own, err := parsePHC(hash)
	return err != nil || own.variant != argon2id ||
		own.params.MemoryKiB < h.params.MemoryKiB || own.params.Passes < h.params.Passes ||
		len(own.salt) < saltBytes || len(own.sum) < hashBytes
}

// Stats tells how many hashes are being computed and how many callers wait.
func (h *Hasher) Stats() HasherStats {
	running, admitted := int64(len(h.workers)), int64(len(h.tickets))
	heavy := max(0, int64(len(h.line)-len(h.heavy)))
	return HasherStats{Running: running, Waiting: max(0, admitted-running) + heavy}
}

// run computes one hash when its turn comes. The context counts while waiting only: a hash cannot be
// interrupted.
func (h *Hasher) run(ctx context.Context, job stored, password string) ([]byte, error) {
	if job.memoryKiB/2 > h.params.MemoryKiB {
		// The policy tells how much memory the operator gives to hashing. Imported hashes may ask
		// for up to 1 GiB each; one of them at a time has to do. Who waits for that holds no ticket, or
		// one account with such a hash could keep everybody else out.
		if !admit(h.line) {
			return nil, h.errBusy()
		}
		defer func() { <-h.line }()
		if err := enter(ctx, h.heavy); err != nil {
			return nil, err
		}
		defer func() { <-h.heavy }()
	}
	if !admit(h.tickets) {
		return nil, h.errBusy()
	}
	defer func() { <-h.tickets }()
	if err := enter(ctx, h.workers); err != nil {
		return nil, err
	}
	defer func() { <-h.workers }()
	return h.derive(job, password)
}

// derive computes a hash in a helper, and here where none can be started: logins that slow others down are
// better than none. A hash on which a helper died is not tried here: it may have taken too much memory.
func (h *Hasher) derive(job stored, password string) ([]byte, error) {
	if h.helpers == nil {
		return job.derive([]byte(password)), nil
	}
	sum, err := h.helpers.derive(job.text, len(job.sum), password)
	if errors.Is(err, errNoHelper) {
		h.fallback(err)
		return job.derive([]byte(password)), nil
	}
	return sum, err
}

// Close ends the processes that compute hashes. Hashes can still be computed after it.
func (h *Hasher) Close() {
	if h.helpers != nil {
		h.helpers.close()
	}
}

// admit takes a place in room if there is one.
func admit(room chan struct{}) bool {
	select {
	case room <- struct{}{}:
		return true
	default:
		return false
	}
}

// Refused tells how many callers found the queue full.
func (h *Hasher) Refused() uint64 { return h.refused.Load() }

func (h *Hasher) errBusy() error {
	h.refused.Add(1)
	return iam.Unavailable(retryAfter, "Too many passwords are being checked on this node; try again in a moment.")
}

// enter waits for a place in room.
func enter(ctx context.Context, room chan struct{}) error {
	select {
	case room <- struct{}{}:
	case <-ctx.Done():
		return errWaitedTooLong()
	}
	if ctx.Err() != nil { // both were ready, and nobody waits for the answer any more
		<-room
		return errWaitedTooLong()
	}
	return nil
}

func errWaitedTooLong() error {
	return iam.Unavailable(retryAfter, "The password could not be checked in time; try again in a moment.")
}
