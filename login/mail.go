package login

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Message is one e-mail to one person.
type Message struct {
	To      string
	Subject string
	Text    string
}

// Sender delivers messages. There are two: SMTP, and LogSender for trying things.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Bounds of what waits to be sent on one node.
const (
	mailWorkers = 4
	mailQueue   = 1000
)

// mailPauses are those between the attempts to send one message.
var mailPauses = []time.Duration{2 * time.Second, 20 * time.Second}

// Mailer does in the background what ends in a message, on the node that was asked: the time of an answer
// must not tell whether there was somebody to write to.
type Mailer struct {
	sender  Sender
	log     *slog.Logger
	jobs    chan func(context.Context)
	life    context.Context
	end     context.CancelFunc
	working sync.WaitGroup
	missing sync.Once // told that there is no sender
}

// NewMailer starts a mailer; Close ends it. Without a sender it sends nothing, and says so once.
func NewMailer(sender Sender, log *slog.Logger) *Mailer {
	m := &Mailer{sender: sender, log: log, jobs: make(chan func(context.Context), mailQueue)}
	m.life, m.end = context.WithCancel(context.Background())
	if sender == nil {
		return m
	}
	for range mailWorkers {
		m.working.Go(m.work) // ends with life
	}
	return m
}

// Close drops what waits, and waits for what is being sent to notice.
func (m *Mailer) Close() {
	m.end()
	m.working.Wait()
}

func (m *Mailer) work() {
	for {
		select {
		case job := <-m.jobs:
			job(m.life)
		case <-m.life.Done():
			return
		}
	}
}

// Configured tells whether messages can be sent.
func (m *Mailer) Configured() bool { return m != nil && m.sender != nil }

// later does the job when its turn comes. It never waits: a queue that is full drops the job.
func (m *Mailer) later(job func(context.Context)) {
	if m == nil {
		return
	}
	if m.sender == nil {
		m.missing.Do(func() {
			m.log.Warn("somebody asked for a message that cannot be sent, for no sender is configured: set KEYSTONE_SMTP_HOST")
		})
		return
	}
	select {
	case m.jobs <- job:
	default:
		m.log.Warn("a message was dropped, for too many wait to be sent: is the mail server slow?")
	}
}

// send delivers a message, with a few attempts: mail servers ask to be tried again.
func (m *Mailer) send(ctx context.Context, message Message) {
	for attempt := 0; ; attempt++ {
		err := m.sender.Send(ctx, message)
		if err == nil {
			return
		}
		if attempt == len(mailPauses) || ctx.Err() != nil {
			m.log.Error("a message could not be sent", "subject", message.Subject, "error", err.Error())
			return
		}
		select {
		case <-time.After(mailPauses[attempt]):
		case <-ctx.Done():
		}
	}
}

// LogSender writes messages into the log, with the secrets that they hold: for trying things on one's own
// machine, and for nothing else.
type LogSender struct{ Log *slog.Logger }

// Send implements Sender.
func (l LogSender) Send(_ context.Context, m Message) error {
	l.Log.Warn("a message that would be sent; this log holds its secrets, for KEYSTONE_MAIL_TO_LOG is set",
		"to", m.To, "subject", m.Subject, "text", m.Text)
	return nil
}
