package login

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/keystone-auth/keystone/secret"
)

// The ways in which the connection to a mail server is protected.
const (
	TLSStart    = "starttls" // from the first command on (RFC 3207); without it nothing is sent
	TLSImplicit = "tls"      // from the first byte on (RFC 8314 §3)
	TLSNone     = "none"     // for a relay on the same machine
)

// SMTP sends messages through a mail server.
type SMTP struct {
	Host     string
	Port     int
	Username string // none: without authentication
	Password secret.Text
	From     string      // address, perhaps with a name before it
	TLS      string      // TLSStart, TLSImplicit or TLSNone
	Config   *tls.Config // nil: the system's authorities, and the host's name
}

// smtpWithin bounds one delivery.
const smtpWithin = 30 * time.Second

// CheckFrom says whether messages can come from this address.
func CheckFrom(address string) error { return mail.NewMsg().From(address) }

// Send implements Sender.
func (s SMTP) Send(ctx context.Context, m Message) error {
	out := mail.NewMsg()
	if err := errors.Join(out.From(s.From), out.To(m.To)); err != nil {
		return err
	}
	out.Subject(m.Subject)
	out.SetDate()
	out.SetMessageID()
	out.SetGenHeader("Auto-Submitted", "auto-generated") // no answers of absent people (RFC 3834 §5)
	out.SetBodyString(mail.TypeTextPlain, m.Text)
	client, err := mail.NewClient(s.Host, s.options()...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, smtpWithin)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, out); err != nil {
		return fmt.Errorf("the mail server %s did not take it: %w", s.Host, err)
	}
	return nil
}

func (s SMTP) options() []mail.Option {
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(smtpWithin)}
	switch s.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	case TLSNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.Config != nil {
		options = append(options, mail.WithTLSConfig(s.Config))
	}
	if s.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.Username), mail.WithPassword(s.Password.Reveal()))
	}
	return options
}
