package fsm

import (
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// CreateClient adds a program. Invariant: a client_id names one client; every scope exists; a
// confidential client has a secret, of which only the digest or hash comes here. Its value is the
// iam.Client.
type CreateClient struct {
	Client iam.Client `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*CreateClient) Kind() Kind { return kindCreateClient }

// Denies implements Command.
func (*CreateClient) Denies() bool { return false }

func (c *CreateClient) event() Event { return Event{"client.created", c.Client.ClientID} }

// Validate implements Command.
func (c *CreateClient) Validate() error {
	if c.Client.ID.IsZero() {
		return iam.Errorf(iam.InternalError, "A client needs an id.")
	}
	if c.Client.Type == iam.Confidential && len(c.Client.SecretDigest) == 0 && c.Client.SecretHash == "" {
		return iam.Errorf(iam.InternalError, "A confidential client needs a secret.")
	}
	return c.Client.Check()
}

func (c *CreateClient) apply(tx *store.Tx, m Meta) (any, error) {
	n := c.Client
	_, exists := tx.Client(n.ID)
	if _, taken := tx.ClientByClientID(n.ClientID); taken || exists {
		return nil, iam.Errorf(iam.Conflict, "The client_id is taken.")
	}
	// Whoever reads the subject of a token must not take a program for the person of that id.
	if user, err := iam.ParseID(n.ClientID); err == nil {
		if _, taken := tx.User(user); taken {
			return nil, iam.Errorf(iam.Conflict, "The client_id is taken.")
		}
	}
	if err := checkScopes(tx, n.Scopes); err != nil {
		return nil, err
	}
	n.Scopes = distinct(n.Scopes)
	// A client of that name may have been deleted: what it held stays dead, and what this one gets is good.
	n.Generation, n.SessionsFrom = m.Index, m.Index
	n.CreatedAt, n.UpdatedAt, n.Changed = m.At, m.At, m.Index
	tx.PutClient(n)
	return n, nil
}

// UpdateClient replaces a client's row except for its secret, its name and its counters. Invariant:
// as of CreateClient; whoever is disabled or loses a scope or audience holds no token afterwards that
// says otherwise. Its value is the iam.Client.
type UpdateClient struct {
	Client iam.Client `cbor:"1,keyasint"`
	If     uint64     `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*UpdateClient) Kind() Kind { return kindUpdateClient }

// Denies implements Command. Whether something is taken away is known only where it is applied.
func (*UpdateClient) Denies() bool { return true }

func (c *UpdateClient) event() Event { return Event{"client.updated", c.Client.ClientID} }

// Validate implements Command.
func (c *UpdateClient) Validate() error { return c.Client.Check() }

func (c *UpdateClient) apply(tx *store.Tx, m Meta) (any, error) {
	old, ok := tx.Client(c.Client.ID)
	if !ok {
		return nil, noClient()
	}
	if err := unchanged(c.If, old.Changed); err != nil {
		return nil, err
	}
	if err := checkScopes(tx, c.Client.Scopes); err != nil {
		return nil, err
	}
	n := c.Client
	n.ClientID, n.Type = old.ClientID, old.Type
	n.SecretDigest, n.SecretHash = old.SecretDigest, old.SecretHash
	n.PreviousDigest, n.PreviousHash, n.PreviousUntil = old.PreviousDigest, old.PreviousHash, old.PreviousUntil
	n.LastUsed, n.TotalRequests, n.CreatedAt = old.LastUsed, old.TotalRequests, old.CreatedAt
	n.Generation, n.SessionsFrom = old.Generation, old.SessionsFrom
	n.Scopes, n.UpdatedAt, n.Changed = distinct(n.Scopes), m.At, m.Index
	if restricted(old, n) {
		n.Generation = m.Index
		revokeIssued(tx, m, iam.RevokedClient, n.ClientID)
	}
	tx.PutClient(n)
	return n, nil
}

// restricted tells whether tokens that were issued to the old client say more than the new one holds.
func restricted(old, n iam.Client) bool {
	return old.Active && !n.Active ||
		slices.ContainsFunc(old.Scopes, func(id iam.ID) bool { return !slices.Contains(n.Scopes, id) }) ||
		slices.ContainsFunc(old.Audiences, func(a string) bool { return !slices.Contains(n.Audiences, a) })
}

// DeleteClient removes a program. Invariant: no token outlives its client, and no session that was
// opened through it goes on.
type DeleteClient struct {
	ID iam.ID `cbor:"1,keyasint"`
	If uint64 `cbor:"2,keyasint,omitempty"` // as of UpdateUser
}

// Kind implements Command.
func (*DeleteClient) Kind() Kind { return kindDeleteClient }

// Denies implements Command.
func (*DeleteClient) Denies() bool { return true }

func (c *DeleteClient) event() Event { return Event{"client.deleted", c.ID.String()} }

// Validate implements Command.
func (c *DeleteClient) Validate() error { return nil }

func (c *DeleteClient) apply(tx *store.Tx, m Meta) (any, error) {
	old, ok := tx.Client(c.ID)
	if !ok {
		return nil, noClient()
	}
	if err := unchanged(c.If, old.Changed); err != nil {
		return nil, err
	}
	removeClient(tx, m, old)
	return nil, nil
}

// removeClient deletes a client with all that was issued to it.
func removeClient(tx *store.Tx, m Meta, old iam.Client) {
	revokeForGood(tx, m, iam.RevokedClient, old.ClientID)
	// No session goes on without its client, see RotateSession. What is beyond the bound only stays listed
	// until it expires: a client may have a million sessions, and no node does anything else meanwhile.
	for _, s := range tx.SessionsOfClient(old.ClientID, maxEnded) {
		endSession(tx, m, s)
	}
	tx.DeleteClient(old.ID)
}

// maxEnded bounds the sessions that one command removes.
const maxEnded = 1000

func noClient() *iam.Error { return iam.Errorf(iam.NotFound, "There is no such client.") }
