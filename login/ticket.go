package login

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// Links are the pages of the operator's own site that messages lead to, with TokenMark where the token
// goes. A message without a link holds the token itself.
type Links struct{ Reset, Verify string }

// TokenMark is the place of the token in a link.
const TokenMark = "{token}"

func (l Links) to(purpose iam.TicketPurpose, token string) string {
	template := l.Reset
	if purpose == iam.VerifyEmail {
		template = l.Verify
	}
	if template == "" {
		return token
	}
	return strings.ReplaceAll(template, TokenMark, url.QueryEscape(token))
}

// RequestReset sends a token to the address by which its user can choose another password. Whether there
// is such a user shows neither in the answer nor in its time: all of it happens later.
func (s *Service) RequestReset(origin fsm.Origin, email string) error {
	return s.requestTicket(origin, iam.ResetPassword, email)
}

// RequestVerification sends a token to the address which proves that it is its user's, likewise.
func (s *Service) RequestVerification(origin fsm.Origin, email string) error {
	return s.requestTicket(origin, iam.VerifyEmail, email)
}

// Welcome sends the proof of a new address where messages can be sent at all.
func (s *Service) Welcome(origin fsm.Origin, u iam.User) {
	if s.Mailer.Configured() && !u.Verified {
		_ = s.requestTicket(origin, iam.VerifyEmail, u.Email) // an imported address that is none gets nothing
	}
}

func (s *Service) requestTicket(origin fsm.Origin, purpose iam.TicketPurpose, email string) error {
	if err := iam.CheckEmail(email); err != nil {
		return err
	}
	origin.RequestID = iam.ID{} // the caller's key belongs to the request, which is answered before this
	s.Mailer.later(func(ctx context.Context) { s.sendTicket(ctx, origin, purpose, email) })
	return nil
}

// proposeWithin bounds what is done in the background before a message is sent.
const proposeWithin = 10 * time.Second

// sendTicket makes a ticket and sends it. Refusals are silent: there is no such user, or the address is
// verified, or its mailbox got enough.
func (s *Service) sendTicket(ctx context.Context, origin fsm.Origin, purpose iam.TicketPurpose, email string) {
	proposing, cancel := context.WithTimeout(ctx, proposeWithin)
	defer cancel()
	user, known := s.byEmail(proposing, email)
	if !known {
		return
	}
	token := secret.NewTicket()
	digest := secret.DigestOf(token)
	_, err := s.Proposer.Propose(proposing, origin, &fsm.IssueTicket{
		Purpose: purpose, User: user.ID, Digest: digest[:], Email: user.Email,
	})
	if err != nil {
		return
	}
	s.Mailer.send(ctx, s.message(purpose, user, token))
}

func (s *Service) byEmail(ctx context.Context, email string) (user iam.User, known bool) {
	look := func(r *store.Reader) error {
		user, known = r.UserByEmail(email)
		return nil
	}
	if err := s.Store.View(look); err != nil || known {
		return user, known && err == nil
	}
	if s.CatchUp(ctx) != nil || s.Store.View(look) != nil {
		return user, false
	}
	return user, known
}

// ConfirmReset exchanges a token for a new password.
func (s *Service) ConfirmReset(ctx context.Context, origin fsm.Origin, token, password string) (uint64, error) {
	for range tries {
		ticket, user, err := s.redeemable(ctx, iam.ResetPassword, token)
		if err != nil {
			return 0, err
		}
		made, err := s.newPassword(ctx, "new_password", user, password)
		if err != nil {
			return 0, err
		}
		res, err := s.Proposer.Propose(ctx, origin, &fsm.ResetPassword{Digest: ticket.Digest, User: user.ID, New: made})
		if iam.CodeOf(err) != iam.PreconditionFailed || err == nil {
			s.Tally.Forget(streakOf(user))
			return res.Index, err
		}
		if err := s.CatchUp(ctx); err != nil {
			return 0, err
		}
	}
	return 0, contended()
}

// ConfirmEmail exchanges a token for the mark that an address is its user's.
func (s *Service) ConfirmEmail(ctx context.Context, origin fsm.Origin, token string) (uint64, error) {
	ticket, user, err := s.redeemable(ctx, iam.VerifyEmail, token)
	if err != nil {
		return 0, err
	}
	res, err := s.Proposer.Propose(ctx, origin, &fsm.ConfirmEmail{Digest: ticket.Digest, User: user.ID})
	return res.Index, err
}

// redeemable finds what a token is good for, before anything is hashed for whoever made one up. What
// decides is the state machine.
func (s *Service) redeemable(ctx context.Context, purpose iam.TicketPurpose, token string) (iam.Ticket, iam.User, error) {
	digest := secret.DigestOf(token)
	var ticket iam.Ticket
	var user iam.User
	var good bool
	look := func(r *store.Reader) error {
		if ticket, good = r.TicketByDigest(digest[:]); good {
			user, good = r.User(ticket.User)
		}
		good = good && ticket.Purpose == purpose && ticket.ExpiresAt > s.Now()
		return nil
	}
	err := s.Store.View(look)
	if err == nil && !good {
		if err = s.CatchUp(ctx); err == nil {
			err = s.Store.View(look)
		}
	}
	if err == nil && !good {
		err = fsm.BadTicket()
	}
	return ticket, user, err
}

// message is the words around a token.
func (s *Service) message(purpose iam.TicketPurpose, u iam.User, token string) Message {
	target := s.Links.to(purpose, token)
	if purpose == iam.VerifyEmail {
		return Message{
			To: u.Email, Subject: "Confirm your e-mail address",
			Text: "Hello " + u.Username + ",\n\nthis confirms that the e-mail address of your account is yours:\n\n" + target +
				"\n\nIt works once, within 24 hours. If you have no account here, ignore this message.\n",
		}
	}
	return Message{
		To: u.Email, Subject: "Reset your password",
		Text: "Hello " + u.Username + ",\n\nsomebody asked to reset the password of your account. If that was you, go on with this:\n\n" + target +
			"\n\nIt works once, within one hour. If it was not you, ignore this message: your password stays as it is.\n",
	}
}

// tellOldAddress says that the account has another address now.
func (s *Service) tellOldAddress(was iam.User) {
	if !s.Mailer.Configured() {
		return
	}
	s.Mailer.later(func(ctx context.Context) {
		s.Mailer.send(ctx, Message{
			To: was.Email, Subject: "Your e-mail address was changed",
			Text: "Hello " + was.Username + ",\n\nyour account has another e-mail address now, and this one is no longer used.\n" +
				"If it was not you who changed it, tell the people who run this service at once.\n",
		})
	})
}
