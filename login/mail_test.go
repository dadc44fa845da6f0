package login_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
)

// slow takes messages one by one, when it is let.
type slow struct {
	let  chan struct{}
	sent chan login.Message
}

func (s slow) Send(ctx context.Context, m login.Message) error {
	select {
	case <-s.let:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.sent <- m
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func logTo(b *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// TestRequestsDoNotWaitForMail: a mail server that hangs holds up nobody's answer, nor the end of a node.
func TestRequestsDoNotWaitForMail(t *testing.T) {
	_, people := build(t)
	if _, _, err := people.Register(t.Context(), fsm.Origin{}, alice, iam.Permissions{}); err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	stuck := slow{let: make(chan struct{}), sent: make(chan login.Message, 10)}
	people.Mailer = login.NewMailer(stuck, logTo(&said))
	for range 5000 { // more than may wait
		if err := people.RequestReset(fsm.Origin{}, "nobody@example.org"); err != nil {
			t.Fatal(err)
		}
		if err := people.RequestReset(fsm.Origin{}, alice.Email); err != nil {
			t.Fatal(err)
		}
	}
	stuck.let <- struct{}{} // somebody waits with a message
	if m := <-stuck.sent; m.To != alice.Email || !strings.Contains(m.Text, "kst_") {
		t.Errorf("sent: %+v", m)
	}
	if !strings.Contains(said.String(), "too many wait") {
		t.Error("nobody is told that messages were dropped")
	}
	closed := make(chan struct{})
	go func() { people.Mailer.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for the mail server")
	}
	if strings.Contains(said.String(), "kst_") || strings.Contains(said.String(), alice.Email) {
		t.Errorf("the log holds a token or an address: %s", said.String())
	}
}

func TestNoSender(t *testing.T) {
	_, people := build(t)
	var said lockedBuffer
	people.Mailer = login.NewMailer(nil, logTo(&said))
	defer people.Mailer.Close()
	for range 3 {
		if err := people.RequestReset(fsm.Origin{}, alice.Email); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(said.String(), "no sender is configured"); n != 1 {
		t.Errorf("it is said %d times: %s", n, said.String())
	}
}

func TestMessagesLeadToTheOperatorsPage(t *testing.T) {
	_, people := build(t)
	if _, _, err := people.Register(t.Context(), fsm.Origin{}, alice, iam.Permissions{}); err != nil {
		t.Fatal(err)
	}
	sender := slow{let: make(chan struct{}, 10), sent: make(chan login.Message, 10)}
	people.Mailer = login.NewMailer(sender, slog.New(slog.DiscardHandler))
	defer people.Mailer.Close()
	people.Links = login.Links{Reset: "https://app.example.org/reset?t={token}&x=1"}
	sender.let <- struct{}{}
	sender.let <- struct{}{}
	if err := people.RequestReset(fsm.Origin{}, alice.Email); err != nil {
		t.Fatal(err)
	}
	if m := <-sender.sent; !strings.Contains(m.Text, "https://app.example.org/reset?t=kst_") || !strings.Contains(m.Text, "&x=1") {
		t.Errorf("the message is %q", m.Text)
	}
	if err := people.RequestVerification(fsm.Origin{}, alice.Email); err != nil {
		t.Fatal(err)
	}
	if m := <-sender.sent; !strings.Contains(m.Text, "\nkst_") || strings.Contains(m.Text, "http") {
		t.Errorf("the message is %q", m.Text)
	}
}

func TestLogSenderIsLoud(t *testing.T) {
	var said lockedBuffer
	if err := (login.LogSender{Log: logTo(&said)}).Send(t.Context(), login.Message{To: "a@x.org", Text: "kst_x"}); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); !strings.Contains(got, "WARN") || !strings.Contains(got, "secrets") || !strings.Contains(got, "kst_x") {
		t.Errorf("logged: %s", got)
	}
}
