package view

import (
	"crypto/sha256"
	"fmt"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// memory is one coherent picture of the state. After a restore a new one takes its place in one
// step, so that no request ever meets a half-filled list of revocations.
type memory struct {
	settings iam.Settings
	epoch    iam.Epoch
	rows     map[string]iam.Key // every key row, from which keys is made
	keys     *token.KeySet
	clients  *xsync.Map[string, *iam.Client]

	// verified are the tokens that were found good under these keys and settings. Others come with others of
	// their own, so that nothing found under what is gone outlives it.
	verified *verified

	tokens    *xsync.Map[tokenKey, struct{}]
	sessions  *xsync.Map[iam.ID, struct{}]
	users     *xsync.Map[string, int64] // subject → Unix second up to which its tokens are dead
	byClients *xsync.Map[string, cut]   // client_id → which of its tokens are dead
}

// cut separates the tokens of a client that are dead from those that may be alive.
type cut struct {
	generation uint64 // those of an earlier one are dead
	before     int64  // of those that name none, the ones issued up to this Unix second
}

func (k cut) kills(c *token.Claims) bool {
	if c.ClientGeneration == 0 { // of the old system
		return c.IssuedAt <= k.before
	}
	return c.ClientGeneration < k.generation
}

// tokenKey stands for a jti, in a form that lies beside what else is looked at for a token.
type tokenKey [16]byte

// keyOf is the jti where it is a UUID, as Keystone's are. Of others it is a digest: two with one digest, which
// nobody can make, would be revoked together.
func keyOf(jti string) tokenKey {
	if id, err := iam.ParseID(jti); err == nil {
		return tokenKey(id)
	}
	digest := sha256.Sum256([]byte(jti))
	return tokenKey(digest[:])
}

func newMemory() *memory {
	return &memory{
		rows: map[string]iam.Key{}, keys: new(token.KeySet),
		clients: xsync.NewMap[string, *iam.Client](),
		tokens:  xsync.NewMap[tokenKey, struct{}](), sessions: xsync.NewMap[iam.ID, struct{}](),
		users: xsync.NewMap[string, int64](), byClients: xsync.NewMap[string, cut](),
	}
}

// take follows one changed row. It tells whether keys or settings changed, which readers see only
// after the whole batch.
func (m *memory) take(row any, deleted bool) (rebuild bool) {
	switch r := row.(type) {
	case iam.Revocation:
		m.revoke(r, deleted)
	case iam.Client:
		if deleted {
			m.clients.Delete(r.ClientID)
		} else {
			m.clients.Store(r.ClientID, &r)
		}
	case iam.Key:
		if deleted {
			delete(m.rows, r.ID)
		} else {
			m.rows[r.ID] = r
		}
		return true
	case iam.Settings:
		m.settings = r
		return true
	case iam.Epoch:
		m.epoch = r
		return true
	}
	return false
}

func (m *memory) revoke(r iam.Revocation, deleted bool) {
	switch r.Kind {
	case iam.RevokedToken:
		put(m.tokens, keyOf(r.Subject), struct{}{}, deleted)
	case iam.RevokedSession:
		if id, err := iam.ParseID(r.Subject); err == nil {
			put(m.sessions, id, struct{}{}, deleted)
		}
	case iam.RevokedUser:
		put(m.users, r.Subject, r.Before.Unix(), deleted)
	case iam.RevokedClient:
		put(m.byClients, r.Subject, cut{r.Index, r.Before.Unix()}, deleted)
	}
}

func put[K comparable, V any](m *xsync.Map[K, V], key K, value V, deleted bool) {
	if deleted {
		m.Delete(key)
	} else {
		m.Store(key, value)
	}
}

// dead tells whether the token was taken away. Sessions, jtis and the generations of clients say it
// exactly; the times of users are whole seconds, as iat is, and a token of that very second is dead.
func (m *memory) dead(t *remembered) bool {
	c := &t.claims
	if c.Epoch < m.epoch.Number {
		return true
	}
	if _, revoked := m.tokens.Load(t.key); revoked {
		return true
	}
	if c.ClientID != "" && m.deadByClient(c) {
		return true
	}
	if c.Type == token.TypeService {
		return false
	}
	if !c.SessionID.IsZero() {
		// Whoever takes everything from a user ends the sessions one by one: nothing but the
		// session counts, or the first login after that would be dead within its second.
		_, revoked := m.sessions.Load(c.SessionID)
		return revoked
	}
	before, revoked := m.users.Load(c.Subject)
	return revoked && c.IssuedAt <= before
}

// deadByClient: a client that is unknown here may have been made a moment ago on another node, so
// only what is known speaks against a token.
func (m *memory) deadByClient(c *token.Claims) bool {
	if k, revoked := m.byClients.Load(c.ClientID); revoked && k.kills(c) {
		return true
	}
	client, known := m.clients.Load(c.ClientID)
	return known && (!client.Active || c.ClientGeneration != 0 && c.ClientGeneration < client.Generation)
}

// load reads the whole picture from the store.
func load(s *store.Store, c Config) (*memory, error) {
	m := newMemory()
	if err := s.View(func(r *store.Reader) error {
		r.EachHot(func(row any) { m.take(row, false) })
		return nil
	}); err != nil {
		return nil, err
	}
	return m.rebuilt(c)
}

// rebuilt returns a copy that shares the maps, has its keys opened anew and remembers no token.
func (m *memory) rebuilt(c Config) (*memory, error) {
	rows := make([]iam.Key, 0, len(m.rows))
	for _, k := range m.rows {
		rows = append(rows, k)
	}
	keys, err := token.NewKeySet(rows, c.Open)
	if err != nil {
		return nil, fmt.Errorf("the signing keys cannot be opened with this cluster secret: %w", err)
	}
	next := *m
	next.keys, next.verified = keys, newVerified(c.Remembered)
	return &next, nil
}
