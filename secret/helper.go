package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// idleHelper is how long a helper waits for work before it ends and gives its memory back.
const idleHelper = 30 * time.Second

// Niceness is how far helpers stand back behind other processes (0 to 19, see nice(1)).
const Niceness = 8

// errNoHelper means that no helper could be started.
var errNoHelper = errors.New("no process could be started for password hashes")

// hashJob is what a helper is asked for, and hashDone what it answers: one line of JSON each, over a pipe
// that nobody else can read. Arguments and environment would be for everybody's eyes.
type hashJob struct {
	Hash     string `json:"hash"` // as it is stored; that of a new one has any sum
	Password []byte `json:"password"`
}

type hashDone struct {
	Sum []byte `json:"sum"`
}

// ServeHashes computes the hashes that a Hasher with a Program asks for, one at a time, until there are no
// more. It is the whole life of a helper process.
func ServeHashes(in io.Reader, out io.Writer) error {
	jobs, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var job hashJob
		if err := jobs.Decode(&job); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the request for a hash cannot be read: %w", err)
		}
		hash, err := parseStored(job.Hash)
		if err != nil {
			return fmt.Errorf("the request is not for a hash within the bounds: %w", err)
		}
		if err := answers.Encode(hashDone{hash.derive(job.Password)}); err != nil {
			return fmt.Errorf("the hash cannot be given back: %w", err)
		}
	}
}

// helpers are processes that compute hashes, each one at a time. They are started when they are needed.
type helpers struct {
	program func() *exec.Cmd
	mu      sync.Mutex
	idle    []*helper // the one used last at the end
	closed  bool
}

type helper struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	jobs    *json.Encoder
	answers *json.Decoder
	retire  *time.Timer
}

// derive has a helper compute the hash, of which the sum has so many bytes. One that has died while it was idle costs a second try.
func (p *helpers) derive(hash string, bytes int, password string) ([]byte, error) {
	for {
		h, used, err := p.take()
		if err != nil {
			return nil, err
		}
		sum, err := h.derive(hash, bytes, password)
		if err == nil {
			p.put(h)
			return sum, nil
		}
		h.end()
		if !used {
			return nil, fmt.Errorf("the process that computes password hashes failed: %w", err)
		}
	}
}

// take returns a helper that is idle, or a new one.
func (p *helpers) take() (h *helper, used bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		h, p.idle = p.idle[last], p.idle[:last]
		h.retire.Stop()
		return h, true, nil
	}
	h, err = startHelper(p.program())
	return h, false, err
}

func (p *helpers) put(h *helper) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		h.end()
		return
	}
	p.idle = append(p.idle, h)
	h.retire = time.AfterFunc(idleHelper, func() { p.retire(h) })
}

// retire ends a helper that is still idle.
func (p *helpers) retire(h *helper) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, h); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		h.end()
	}
}

// close ends those that are idle; the others end when they have answered.
func (p *helpers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.idle {
		h.retire.Stop()
		h.end()
	}
	p.idle = nil
}

// startHelper starts a process without any of this one's environment, which may hold secrets.
func startHelper(cmd *exec.Cmd) (*helper, error) {
	cmd.Env = []string{"GOMAXPROCS=1"} // so that a collection of garbage takes no second processor
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHelper, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHelper, err)
	}
	if err := startNice(cmd); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHelper, err)
	}
	return &helper{cmd: cmd, in: in, jobs: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

func (h *helper) derive(hash string, bytes int, password string) ([]byte, error) {
	if err := h.jobs.Encode(hashJob{hash, []byte(password)}); err != nil { //nolint:gosec // over a pipe that nobody else can read
		return nil, err
	}
	var done hashDone
	if err := h.answers.Decode(&done); err != nil {
		return nil, err
	}
	if len(done.Sum) != bytes {
		return nil, errors.New("it answered with a hash of another length")
	}
	return done.Sum, nil
}

// end lets the process end: it sees that there is no more to do.
func (h *helper) end() {
	_ = h.in.Close()
	go func() { _ = h.cmd.Wait() }() // what it ends with is no news: its answers were checked
}
