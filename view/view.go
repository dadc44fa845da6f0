package view

import (
	"sync/atomic"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// DefaultRemembered is for how many verified tokens a node has room, about 2 KiB each.
const DefaultRemembered = 100_000

// Config is what a View is made of.
type Config struct {
	// Open unseals a signing key.
	Open func(sealed, aad []byte) ([]byte, error)
	// Remembered is for how many verified tokens there is room, made up to a power of two; 0 means DefaultRemembered.
	Remembered int
	// Fatal is told when the state can no longer be followed. It ends the process.
	Fatal func(error)
}

// View is the memory of one node. It is safe for concurrent use.
type View struct {
	Config
	memory atomic.Pointer[memory]
}

// New returns the view of what is in the store.
func New(c Config, s *store.Store) (*View, error) {
	if c.Remembered == 0 {
		c.Remembered = DefaultRemembered
	}
	v := &View{Config: c}
	m, err := load(s, c)
	if err != nil {
		return nil, err
	}
	v.memory.Store(m)
	return v, nil
}

// Commit follows a transaction of the state machine. Seeing a change twice does no harm.
func (v *View) Commit(changes []store.Change) {
	next, rebuild := *v.memory.Load(), false
	for _, c := range changes {
		rebuild = next.take(c.Row, c.Deleted) || rebuild
	}
	if !rebuild {
		return
	}
	m, err := next.rebuilt(v.Config)
	if err != nil {
		v.Fatal(err)
		return
	}
	v.memory.Store(m)
}

// Reload reads everything anew, after the whole state was replaced.
func (v *View) Reload(s *store.Store) {
	m, err := load(s, v.Config)
	if err != nil {
		v.Fatal(err)
		return
	}
	v.memory.Store(m)
}

// Settings returns the cluster's settings; they are zero before it was initialized.
func (v *View) Settings() iam.Settings { return v.memory.Load().settings }

// Issuer is the issuer among the settings, which every request with a token asks for.
func (v *View) Issuer() string { return v.memory.Load().settings.Issuer }

// Epoch returns the present epoch.
func (v *View) Epoch() iam.Epoch { return v.memory.Load().epoch }

// Keys returns the signing keys.
func (v *View) Keys() *token.KeySet { return v.memory.Load().keys }

// JWKS returns the public keys as a JWK Set (RFC 7517 §5).
func (v *View) JWKS(now iam.Time) []byte { return v.memory.Load().keys.JWKS(now) }

// Client returns the client that presents that client_id. It is shared and must not be changed.
func (v *View) Client(clientID string) (*iam.Client, bool) {
	return v.memory.Load().clients.Load(clientID)
}

// Stats is how much a View holds.
type Stats struct {
	Remembered  int // verified tokens
	Revocations int
	Clients     int
}

// Stats counts what the view holds.
func (v *View) Stats() Stats {
	m := v.memory.Load()
	return Stats{
		Remembered:  int(m.verified.count.Load()),
		Revocations: m.tokens.Size() + m.sessions.Size() + m.users.Size() + m.byClients.Size(),
		Clients:     m.clients.Size(),
	}
}
