package fsm

import (
	"time"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// revocationLifetime outlives every token that was issued before the revocation, with room for
// clocks that differ.
const revocationLifetime = iam.MaxTokenLifetime + time.Hour

// RevokeToken makes one access token dead (RFC 7009). It is idempotent.
type RevokeToken struct {
	Jti string `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*RevokeToken) Kind() Kind { return kindRevokeToken }

// Denies implements Command.
func (*RevokeToken) Denies() bool { return true }

func (c *RevokeToken) event() Event { return Event{"token.revoked", c.Jti} }

// Validate implements Command.
func (c *RevokeToken) Validate() error {
	if c.Jti == "" || len(c.Jti) > 255 {
		return iam.Errorf(iam.InvalidToken, "The token has no usable id.")
	}
	return nil
}

func (c *RevokeToken) apply(tx *store.Tx, m Meta) (any, error) {
	revokeToken(tx, m, c.Jti)
	return nil, nil
}

func revokeToken(tx *store.Tx, m Meta, jti string) {
	tx.PutRevocation(iam.Revocation{
		Kind: iam.RevokedToken, Subject: jti, Before: m.At, ExpiresAt: m.At.Add(revocationLifetime),
	})
}

// RevokeIssued makes every token dead that was issued to a user or a client so far, and ends the
// user's sessions, or those that were opened through the client: these are refused when they are
// continued. Its value is the number of a user's sessions that it ended.
type RevokeIssued struct {
	User   iam.ID `cbor:"1,keyasint"` // or
	Client string `cbor:"2,keyasint,omitempty"`
}

// Kind implements Command.
func (*RevokeIssued) Kind() Kind { return kindRevokeIssued }

// Denies implements Command.
func (*RevokeIssued) Denies() bool { return true }

func (c *RevokeIssued) event() Event {
	if c.Client != "" {
		return Event{"client.revoked", c.Client}
	}
	return Event{"user.revoked", c.User.String()}
}

// Validate implements Command.
func (c *RevokeIssued) Validate() error {
	if c.User.IsZero() == (c.Client == "") || len(c.Client) > 255 {
		return iam.Errorf(iam.InternalError, "Either a user or a client must be named.")
	}
	return nil
}

func (c *RevokeIssued) apply(tx *store.Tx, m Meta) (any, error) {
	if c.Client != "" {
		if client, ok := tx.ClientByClientID(c.Client); ok {
			client.Generation, client.SessionsFrom = m.Index, m.Index
			tx.PutClient(client)
		}
		revokeIssued(tx, m, iam.RevokedClient, c.Client)
		return 0, nil
	}
	revokeIssued(tx, m, iam.RevokedUser, c.User.String())
	return endSessionsOf(tx, m, c.User), nil
}

// revokeIssued never weakens a revocation that reaches further, such as that of a subject which is
// gone for good.
func revokeIssued(tx *store.Tx, m Meta, kind iam.RevocationKind, subject string) {
	r := iam.Revocation{Kind: kind, Subject: subject, Before: m.At, ExpiresAt: m.At.Add(revocationLifetime), Index: m.Index}
	if old, ok := tx.Revocation(kind, subject); ok && old.Before > r.Before {
		r.Before, r.ExpiresAt = old.Before, max(old.ExpiresAt, r.ExpiresAt)
	}
	tx.PutRevocation(r)
}

// revokeForGood is for a subject that is gone: a node that has not heard of it yet may still be
// issuing, with a time after this one.
func revokeForGood(tx *store.Tx, m Meta, kind iam.RevocationKind, subject string) {
	end := m.At.Add(revocationLifetime)
	tx.PutRevocation(iam.Revocation{Kind: kind, Subject: subject, Before: end, ExpiresAt: end, Index: m.Index})
}
