package tally

import (
	"context"
	"errors"
	"sync"
	"time"
)

// mostWaiting bounds the questions that wait for one node.
const mostWaiting = 8192

// Why a node was not asked, or did not answer.
var (
	errAway = errors.New("the node does not answer")
	errBusy = errors.New("too many questions wait for the node")
	errOdd  = errors.New("the node answered something else")
)

// peer is another node as this one sees it. One batch at a time is under way to it, and what is asked
// meanwhile goes with the next: so a flood of requests is a few messages, and one that nobody answers
// fails everybody who waits at once.
type peer struct {
	tally *Tally
	node  string

	mu      sync.Mutex
	waiting []*question
	sending bool
	away    bool // it did not answer; a probe finds out when it does again
}

// question is one Ask on its way.
type question struct {
	ask   Ask
	reply Reply
	err   error
	done  chan struct{}
}

func (p *peer) ask(a Ask) (Reply, error) {
	q := &question{ask: a, done: make(chan struct{})}
	if err := p.enqueue(q); err != nil {
		return Reply{}, err
	}
	<-q.done
	return q.reply, q.err
}

func (p *peer) enqueue(q *question) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.away:
		return errAway
	case len(p.waiting) >= mostWaiting:
		return errBusy
	case !p.sending && !p.tally.begin(p.send):
		return errAway
	}
	p.sending = true
	p.waiting = append(p.waiting, q)
	return nil
}

// send sends what waits until nothing does.
func (p *peer) send() {
	for {
		p.mu.Lock()
		n := min(len(p.waiting), mostAsks)
		batch := p.waiting[:n:n]
		p.waiting = p.waiting[n:]
		p.sending = n > 0
		p.mu.Unlock()
		if n == 0 {
			return
		}
		err := p.deliver(batch)
		if err != nil {
			batch = append(batch, p.giveUp()...)
		}
		for _, q := range batch {
			q.err = err
			close(q.done)
		}
		if err != nil {
			return
		}
	}
}

// deliver asks the node. It may have done what it was asked even if it did not answer: what it counted
// then for a request that was not let through counts on, which errs on the safe side.
func (p *peer) deliver(batch []*question) error {
	asks := make([]Ask, len(batch))
	for i, q := range batch {
		asks[i] = q.ask
	}
	replies, err := p.call(Batch{asks})
	if err == nil && len(replies.Replies) != len(batch) {
		err = errOdd
	}
	if err != nil {
		return err
	}
	for i, q := range batch {
		q.reply = replies.Replies[i]
	}
	return nil
}

func (p *peer) call(b Batch) (Replies, error) {
	t := p.tally
	ctx, cancel := context.WithTimeout(t.ctx, t.Deadline)
	defer cancel()
	t.consultations.Add(uint64(len(b.Asks)))
	return t.Ask(ctx, p.node, b)
}

// giveUp takes the node for away, and returns those who wait for it.
func (p *peer) giveUp() []*question {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.waiting
	p.waiting, p.sending, p.away = nil, false, true
	p.tally.begin(p.probe)
	return left
}

// probe finds out when the node is there again, so that no request has to wait for that.
func (p *peer) probe() {
	t := p.tally
	pause := time.NewTicker(t.Probe)
	defer pause.Stop()
	for t.knows(p) {
		select {
		case <-pause.C:
		case <-t.ctx.Done():
			return
		}
		if _, err := p.call(Batch{}); err == nil {
			p.mu.Lock()
			p.away = false
			p.mu.Unlock()
			return
		}
	}
}

// isAway tells whether questions to the node are answered by errAway at present.
func (p *peer) isAway() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}
