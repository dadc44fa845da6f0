package fsm

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// MaxSessions bounds the sessions that one user may have at a time; the oldest makes room.
const MaxSessions = 100

// StartSession logs a user in. Invariant: only an active user who is not locked gets a session, and
// of one that was proven with the password that the user has now. Its value is the iam.Session.
type StartSession struct {
	Session iam.Session `cbor:"1,keyasint"`
	// Proven is the password hash against which the password was verified. A password that was
	// changed meanwhile must not log in any more.
	Proven string `cbor:"2,keyasint"`
	// Rehashed replaces Proven when that was weaker than the policy asks for.
	Rehashed string `cbor:"3,keyasint,omitempty"`
}

// Kind implements Command.
func (*StartSession) Kind() Kind { return kindStartSession }

// Denies implements Command.
func (*StartSession) Denies() bool { return false }

func (c *StartSession) event() Event { return Event{"session.started", c.Session.UserID.String()} }

// Validate implements Command.
func (c *StartSession) Validate() error {
	s := c.Session
	if s.ID.IsZero() || len(s.Family) != sha256.Size || len(s.Refresh) != sha256.Size || s.TokenID == "" || s.ExpiresAt <= 0 {
		return iam.Errorf(iam.InternalError, "A session needs an id, a token, two digests and an end.")
	}
	return iam.CheckText("scope", iam.JoinScopes(s.Scope), 20_000)
}

func (c *StartSession) apply(tx *store.Tx, m Meta) (any, error) {
	u, ok := tx.User(c.Session.UserID)
	switch {
	case !ok || subtle.ConstantTimeCompare([]byte(u.PasswordHash), []byte(c.Proven)) != 1:
		return nil, badGrant()
	case !u.Active:
		return nil, iam.Errorf(iam.AccountDisabled, "The account is disabled.")
	case u.LockedAt(m.At):
		return nil, locked(u)
	}
	if client, ok := tx.ClientByClientID(c.Session.ClientID); c.Session.ClientID != "" && !(ok && client.Active) {
		return nil, iam.Errorf(iam.InvalidClient, "The client is not valid.")
	}
	if _, exists := tx.Session(c.Session.ID); exists {
		return nil, iam.Errorf(iam.Conflict, "A session with this id exists.")
	}
	s := c.Session
	s.AuthTime = m.At
	s = openSession(tx, m, s)
	u.LastLogin, u.LockedUntil = m.At, 0
	if c.Rehashed != "" {
		u.PasswordHash = c.Rehashed
	}
	tx.PutUser(u)
	return s, nil
}

func badGrant() *iam.Error {
	return iam.Errorf(iam.InvalidGrant, "The credentials are not valid.")
}

func locked(u iam.User) *iam.Error {
	e := iam.Errorf(iam.AccountLocked, "The account is locked after too many failed logins.")
	e.LockedUntil = u.LockedUntil
	return e
}

// RotateSession exchanges a refresh token for the next one. Invariant: each token is good once. The
// token that was just replaced gets the same answer again for iam.RefreshGrace, for its owner may not
// have received it; any older token of the chain was stolen, or its successor was, and ends the
// session (RFC 9700 §4.14.2). Its value is a Rotation.
type RotateSession struct {
	ID        iam.ID   `cbor:"1,keyasint"`
	Family    []byte   `cbor:"2,keyasint"`           // digest of the chain's shared part, as presented
	Presented []byte   `cbor:"3,keyasint"`           // digest of the token presented
	Next      []byte   `cbor:"4,keyasint"`           // digest of the token that replaces it
	Replay    []byte   `cbor:"5,keyasint"`           // that token, sealed under the one presented
	TokenID   string   `cbor:"6,keyasint"`           // jti of the access token that will be issued
	ClientID  string   `cbor:"7,keyasint,omitempty"` // the client that presents it, "" when none was named
	ExpiresAt iam.Time `cbor:"8,keyasint"`
	Narrowed  []string `cbor:"9,keyasint,omitempty"`
}

// Rotation is what RotateSession comes to.
type Rotation struct {
	Session  iam.Session `cbor:"1,keyasint"` // as it is now; open its Replay with the token presented
	Replayed bool        `cbor:"2,keyasint"` // the answer that was given before
	Killed   bool        `cbor:"3,keyasint"` // an old token was presented: the session is gone
}

// Kind implements Command.
func (*RotateSession) Kind() Kind { return kindRotateSession }

// Denies implements Command. Of a rotation only its outcome says whether it took the session away.
func (*RotateSession) Denies() bool { return false }

func (c *RotateSession) event() Event { return Event{"session.refreshed", c.ID.String()} }

// Validate implements Command.
func (c *RotateSession) Validate() error {
	if c.ID.IsZero() || len(c.Family) != sha256.Size || len(c.Presented) != sha256.Size || len(c.Next) != sha256.Size || c.TokenID == "" || c.ExpiresAt <= 0 {
		return iam.Errorf(iam.InternalError, "A rotation needs a session, a token, three digests and an end.")
	}
	if equal(c.Presented, c.Next) {
		return iam.Errorf(iam.InternalError, "A token cannot be replaced by itself.")
	}
	return nil
}

func (c *RotateSession) apply(tx *store.Tx, m Meta) (any, error) {
	s, ok := tx.Session(c.ID)
	if !ok || !equal(s.Family, c.Family) || s.ExpiresAt <= m.At || !c.fits(tx, s) {
		return nil, badRefresh()
	}
	if u, ok := tx.User(s.UserID); !ok || !u.Active {
		return nil, badRefresh()
	}
	switch {
	case equal(s.Refresh, c.Presented):
		return c.rotate(tx, m, s), nil
	case equal(s.Previous, c.Presented) && m.At.Sub(s.RotatedAt) <= iam.RefreshGrace:
		return Rotation{Session: s, Replayed: true}, nil
	}
	endSession(tx, m, s)
	return Rotation{Killed: true}, nil
}

// fits tells whether the client that presents the token may use the session. One that was opened
// through a confidential client is continued by that client alone (RFC 6749 §6); the proposer names
// a confidential client only after it proved its secret.
func (c *RotateSession) fits(tx *store.Tx, s iam.Session) bool {
	if c.ClientID != "" && c.ClientID != s.ClientID {
		return false
	}
	if s.ClientID == "" {
		return true
	}
	client, ok := tx.ClientByClientID(s.ClientID)
	return ok && client.Active && s.Index >= client.SessionsFrom && (client.Type == iam.Public || c.ClientID == s.ClientID)
}

func (c *RotateSession) rotate(tx *store.Tx, m Meta, s iam.Session) Rotation {
	s.Previous, s.Refresh, s.Replay = c.Presented, c.Next, c.Replay
	s.TokenID, s.Narrowed = c.TokenID, c.Narrowed
	s.RotatedAt, s.LastActivity = m.At, m.At
	// Access tokens end with their session at the latest. Were a shorter lifetime, set meanwhile, to
	// remove the row sooner, nothing would be left by which those of before could be taken back.
	s.ExpiresAt = max(c.ExpiresAt, min(s.ExpiresAt, m.At.Add(iam.MaxTokenLifetime)))
	s.Rotations++
	tx.PutSession(s)
	return Rotation{Session: s}
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func badRefresh() *iam.Error {
	return iam.Errorf(iam.InvalidGrant, "The refresh token is not valid.")
}

// EndSessions logs a user out: of one session, or of all when Session is zero. It is idempotent, and
// a session that does not fit what else is said of it is passed over without a word. Its value is the
// number of sessions that it ended.
type EndSessions struct {
	User    iam.ID `cbor:"1,keyasint"` // whose; zero for whoever holds the one session
	Session iam.ID `cbor:"2,keyasint"`
	// Jti is the access token with which the request came, which dies with the session even where
	// the session itself is unknown, as of the old system's tokens.
	Jti string `cbor:"3,keyasint,omitempty"`
	// Family proves possession of one of the session's refresh tokens, for a caller who presents
	// one: the session's id alone is no secret.
	Family []byte `cbor:"4,keyasint,omitempty"`
	Client string `cbor:"5,keyasint,omitempty"` // through which client it was opened; "" = any
}

// Kind implements Command.
func (*EndSessions) Kind() Kind { return kindEndSessions }

// Denies implements Command.
func (*EndSessions) Denies() bool { return true }

func (c *EndSessions) event() Event {
	if c.User.IsZero() {
		return Event{"session.ended", c.Session.String()}
	}
	return Event{"session.ended", c.User.String()}
}

// Validate implements Command.
func (c *EndSessions) Validate() error {
	if c.User.IsZero() && (c.Session.IsZero() || len(c.Family) == 0) {
		return iam.Errorf(iam.InternalError, "Whose sessions to end was not said.")
	}
	if len(c.Family) != 0 && len(c.Family) != sha256.Size {
		return iam.Errorf(iam.InternalError, "The digest of a chain has 32 bytes.")
	}
	if len(c.Jti) > 255 {
		return iam.Errorf(iam.InvalidToken, "The token has no usable id.")
	}
	return nil
}

func (c *EndSessions) apply(tx *store.Tx, m Meta) (any, error) {
	if c.Jti != "" {
		revokeToken(tx, m, c.Jti)
	}
	if c.Session.IsZero() {
		revokeIssued(tx, m, iam.RevokedUser, c.User.String())
		return endSessionsOf(tx, m, c.User), nil
	}
	s, ok := tx.Session(c.Session)
	if !ok || !c.means(s) {
		return 0, nil
	}
	endSession(tx, m, s)
	return 1, nil
}

func (c *EndSessions) means(s iam.Session) bool {
	return (c.User.IsZero() || c.User == s.UserID) &&
		(c.Client == "" || c.Client == s.ClientID) &&
		(c.Family == nil || equal(c.Family, s.Family))
}

// endSessionsOf ends every session of a user, and those of another system that are not yet one of ours. It
// returns the number of our own.
func endSessionsOf(tx *store.Tx, m Meta, user iam.ID) int {
	endLegacyOf(tx, user)
	open := tx.SessionsOf(user, MaxSessions+1)
	for _, s := range open {
		endSession(tx, m, s)
	}
	return len(open)
}

// endSession removes the session and leaves behind that its tokens are dead.
func endSession(tx *store.Tx, m Meta, s iam.Session) {
	tx.DeleteSession(s.ID)
	tx.PutRevocation(iam.Revocation{
		Kind: iam.RevokedSession, Subject: s.ID.String(), Before: m.At, ExpiresAt: m.At.Add(revocationLifetime),
	})
}
