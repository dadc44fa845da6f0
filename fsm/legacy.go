package fsm

import (
	"crypto/subtle"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// RedeemLegacy makes a session of a refresh token of another system. Invariant: such a token is good once,
// of however many nodes it is asked for at a time, and of an active user who has not been logged out since
// it was issued. Its value is the iam.Session.
type RedeemLegacy struct {
	ID iam.ID `cbor:"1,keyasint"` // of the iam.LegacySession
	// TokenHash is the hash against which the token was verified. Another row under the same id, which a
	// later import may have brought, was not proven.
	TokenHash string      `cbor:"2,keyasint"`
	Session   iam.Session `cbor:"3,keyasint"`
}

// Kind implements Command.
func (*RedeemLegacy) Kind() Kind { return kindRedeemLegacy }

// Denies implements Command.
func (*RedeemLegacy) Denies() bool { return false }

func (c *RedeemLegacy) event() Event { return Event{"session.redeemed", c.Session.UserID.String()} }

// Validate implements Command.
func (c *RedeemLegacy) Validate() error {
	if c.ID.IsZero() || c.TokenHash == "" {
		return iam.Errorf(iam.InternalError, "Which token of the other system was presented was not said.")
	}
	return (&StartSession{Session: c.Session}).Validate()
}

func (c *RedeemLegacy) apply(tx *store.Tx, m Meta) (any, error) {
	old, ok := tx.LegacySession(c.ID)
	if !ok || old.UserID != c.Session.UserID || old.ExpiresAt <= m.At ||
		subtle.ConstantTimeCompare([]byte(old.TokenHash), []byte(c.TokenHash)) != 1 || outlived(tx, old) {
		return nil, badRefresh()
	}
	if u, ok := tx.User(old.UserID); !ok || !u.Active {
		return nil, badRefresh()
	}
	if client, ok := tx.ClientByClientID(c.Session.ClientID); c.Session.ClientID != "" && !(ok && client.Active) {
		return nil, iam.Errorf(iam.InvalidClient, "The client is not valid.")
	}
	if _, exists := tx.Session(c.Session.ID); exists {
		return nil, iam.Errorf(iam.Conflict, "A session with this id exists.")
	}
	tx.DeleteLegacySession(old.ID)
	s := c.Session
	s.AuthTime = min(old.IssuedAt, m.At) // no password was proven now
	return openSession(tx, m, s), nil
}

// outlived tells whether everything of the user, or of the whole cluster, was taken back after the token was
// issued: an import that was under way may have brought it only then.
func outlived(tx *store.Tx, s iam.LegacySession) bool {
	if e, raised := tx.Epoch(); raised && s.IssuedAt <= e.At {
		return true
	}
	r, revoked := tx.Revocation(iam.RevokedUser, s.UserID.String())
	return revoked && s.IssuedAt <= r.Before
}

// EndLegacy takes back refresh tokens of another system: one, or all of a user when ID is zero. It is
// idempotent. Its value is the number of them.
type EndLegacy struct {
	User iam.ID `cbor:"1,keyasint"`
	ID   iam.ID `cbor:"2,keyasint,omitzero"`
	// Jti is the access token of the other system with which the user logs out. It does not say which of
	// the refresh tokens came with it, and a logout that leaves that one alive is none: so all go.
	Jti string `cbor:"3,keyasint,omitempty"`
}

// Kind implements Command.
func (*EndLegacy) Kind() Kind { return kindEndLegacy }

// Denies implements Command.
func (*EndLegacy) Denies() bool { return true }

func (c *EndLegacy) event() Event { return Event{"session.ended", c.User.String()} }

// Validate implements Command.
func (c *EndLegacy) Validate() error {
	if c.User.IsZero() {
		return iam.Errorf(iam.InternalError, "Whose sessions to end was not said.")
	}
	if len(c.Jti) > 255 {
		return iam.Errorf(iam.InvalidToken, "The token has no usable id.")
	}
	return nil
}

func (c *EndLegacy) apply(tx *store.Tx, m Meta) (any, error) {
	if c.Jti != "" {
		revokeToken(tx, m, c.Jti)
	}
	if c.ID.IsZero() {
		return endLegacyOf(tx, c.User), nil
	}
	if s, ok := tx.LegacySession(c.ID); !ok || s.UserID != c.User {
		return 0, nil
	}
	tx.DeleteLegacySession(c.ID)
	return 1, nil
}

// endLegacyOf takes back every refresh token of another system that the user has.
func endLegacyOf(tx *store.Tx, user iam.ID) (ended int) {
	for {
		some := tx.LegacySessionsOf(user, maxEnded)
		for _, s := range some {
			tx.DeleteLegacySession(s.ID)
		}
		ended += len(some)
		if len(some) < maxEnded || tx.Err() != nil {
			return ended
		}
	}
}

// openSession writes a new session of a user, for which the oldest makes room where there are too many.
func openSession(tx *store.Tx, m Meta, s iam.Session) iam.Session {
	if open := tx.SessionsOf(s.UserID, MaxSessions); len(open) == MaxSessions {
		endSession(tx, m, open[0])
	}
	s.UserAgent = cut(s.UserAgent, 256)
	s.CreatedAt, s.LastActivity, s.Index = m.At, m.At, m.Index
	tx.PutSession(s)
	return s
}
