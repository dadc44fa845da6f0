package main

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/keystone-auth/keystone/login"
)

// mailConfig is how messages to people are sent.
type mailConfig struct {
	SMTP  login.SMTP
	ToLog bool
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,253}$`)

// smtpPorts are those that mail servers listen on.
var smtpPorts = map[string]int{login.TLSStart: 587, login.TLSImplicit: 465, login.TLSNone: 25}

// linkTemplate takes a page of the operator's own site.
func linkTemplate(target func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*target(c) = v
		u, err := url.Parse(strings.ReplaceAll(v, login.TokenMark, "token"))
		if err != nil {
			return err
		}
		return refuse(u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !strings.Contains(v, login.TokenMark))
	}
}

// mailSettings are those that finishMail looks at.
var mailSettings = []string{
	"KEYSTONE_SMTP_HOST", "KEYSTONE_SMTP_PORT", "KEYSTONE_SMTP_TLS", "KEYSTONE_SMTP_USERNAME", "KEYSTONE_SMTP_PASSWORD",
	"KEYSTONE_SMTP_FROM", "KEYSTONE_MAIL_TO_LOG",
}

// finishMail refuses what no message could be sent with.
func (c *Config) finishMail() error {
	m := &c.Mail
	if m.SMTP.Port == 0 {
		m.SMTP.Port = smtpPorts[m.SMTP.TLS]
	}
	switch {
	case m.ToLog && m.SMTP.Host != "":
		return errors.New("KEYSTONE_SMTP_HOST and KEYSTONE_MAIL_TO_LOG exclude each other: unset one of them")
	case m.SMTP.Host != "" && m.SMTP.From == "":
		return errors.New("KEYSTONE_SMTP_HOST needs KEYSTONE_SMTP_FROM: the address from which messages come, such as no-reply@example.com")
	case !m.SMTP.Password.IsZero() && m.SMTP.Username == "":
		return errors.New("KEYSTONE_SMTP_PASSWORD needs KEYSTONE_SMTP_USERNAME: the name that it belongs to")
	case m.SMTP.Username != "" && m.SMTP.TLS == login.TLSNone:
		return errors.New("KEYSTONE_SMTP_TLS=none would send the password of KEYSTONE_SMTP_USERNAME in the clear: use starttls or tls")
	case m.ToLog:
		c.Node.MailToLog = true
	case m.SMTP.Host != "":
		c.Node.Mail = m.SMTP
	}
	return nil
}
