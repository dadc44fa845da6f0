package oauth

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/tally"
)

// ClientAuth is what a client presents (RFC 6749 §2.3.1).
type ClientAuth struct {
	ID     string
	Secret string
	IP     netip.Addr // from where; the zero Addr is from nowhere that an allow-list names
	At     iam.Time   // when; 0: now
}

// AuthenticateClient returns the client if it is who it says. Unknown names and wrong secrets are
// refused with the same words. A public client has no secret to present, and must not present one. The
// client is shared and must not be changed.
func (s *Service) AuthenticateClient(ctx context.Context, a ClientAuth) (*iam.Client, error) {
	client, known := s.View.Client(a.ID)
	if !known {
		client = &nobody
	}
	ok, err := s.proves(ctx, client, a)
	switch {
	case err != nil:
		return nil, err
	case !known || !ok:
		return nil, iam.Errorf(iam.InvalidClient, "The client is not known, or its secret is wrong.")
	case !client.Active:
		return nil, iam.Errorf(iam.ClientDisabled, "The client is disabled.")
	case !allowed(client.AllowedIPs, a.IP):
		return nil, iam.Errorf(iam.Forbidden, "The client may not be used from this address.")
	}
	if a.At == 0 {
		a.At = s.Now()
	}
	s.uses.add(client.ID, a.At)
	return client, nil
}

// nobody is the client whose client_id is not known: no secret fits it.
var nobody iam.Client

// proves compares the secret with what the client's row holds. Secrets that Keystone made are random
// enough for a plain digest; a secret that was imported with a password hash is verified with that
// once and remembered, or each request of its client would cost a tenth of a second.
func (s *Service) proves(ctx context.Context, c *iam.Client, a ClientAuth) (bool, error) {
	digest := secret.DigestOf(a.Secret)
	if c.Type == iam.Public {
		return a.Secret == "", nil
	}
	if digest.Equal(c.SecretDigest) {
		return true, nil
	}
	graced := s.Now() < c.PreviousUntil
	if digest.Equal(c.PreviousDigest) && graced {
		return true, nil
	}
	hash := c.SecretHash
	if hash == "" && graced {
		hash = c.PreviousHash // a secret that Keystone made is not known by a hash
	}
	if hash == "" || a.Secret == "" {
		return false, nil
	}
	if s.proven.has(hash, digest) {
		return true, nil
	}
	ok, err := s.fitsHash(ctx, hash, a)
	if ok {
		s.proven.add(hash, digest)
	}
	return ok, err
}

// fitsHash verifies a secret with a password hash, unless too many wrong ones came from its address.
// Whoever asks has proved nothing yet and pays nothing, while a hash costs this node memory and a
// tenth of a second: without the count, a few lines in a loop would keep everybody from logging in.
// Secrets that are right do not count, or the many clients behind one address would keep each other
// out after a restart.
func (s *Service) fitsHash(ctx context.Context, hash string, a ClientAuth) (bool, error) {
	counted, err := s.countGuess("client-auth from ", a.IP)
	if err != nil {
		return false, err
	}
	ok, err := s.Login.Hasher.Verify(ctx, hash, a.Secret)
	if errors.Is(err, secret.ErrUnusableHash) {
		return false, nil // an imported hash that cannot be verified fits no secret
	}
	if ok || err != nil {
		s.takeBack(counted)
	}
	return ok, err
}

// countGuess counts what may turn out to be a guess, before a hash is computed for it: what was none is
// taken back.
func (s *Service) countGuess(what string, from netip.Addr) (tally.Admission, error) {
	if s.Limiter == nil {
		return tally.Admission{}, nil
	}
	counted := s.Limiter.Admit(what+limit.AddressKey(from), s.Guesses)
	if counted.Allowed {
		return counted, nil
	}
	refusal := iam.Errorf(iam.RateLimitExceeded, "Too many wrong secrets came from this address: wait before the next try.")
	refusal.RetryAfter = counted.RetryAfter
	return counted, refusal
}

func (s *Service) takeBack(counted tally.Admission) {
	if s.Limiter != nil {
		s.Limiter.TakeBack(counted)
	}
}

func allowed(ranges []string, ip netip.Addr) bool {
	if len(ranges) == 0 {
		return true
	}
	for _, text := range ranges {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// provenSecrets remembers which secret fits an imported hash. A changed hash is another key, so
// nothing has to be invalidated. The zero value is ready.
type provenSecrets struct {
	mu  sync.RWMutex
	fit map[string]secret.Digest
}

// maxProven bounds the memory; imported clients are few.
const maxProven = 10_000

func (p *provenSecrets) has(hash string, presented secret.Digest) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	known, ok := p.fit[hash]
	return ok && presented.Equal(known[:])
}

func (p *provenSecrets) add(hash string, presented secret.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fit == nil || len(p.fit) >= maxProven {
		p.fit = map[string]secret.Digest{}
	}
	p.fit[hash] = presented
}
