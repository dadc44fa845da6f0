package token

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/iam"
)

// KeySet is every key of the cluster, opened. It never changes: when a key is added, a new set is
// made, so readers need no lock.
type KeySet struct {
	byID   map[string]*key
	bySign []*key // in the order in which they begin to sign
	shared []*key // the HS256 keys, for tokens of the old system, which name no key
}

// NewKeySet opens the keys. One that cannot be opened is an error: a node that cannot verify every
// token of its cluster would refuse people whom the others let in.
func NewKeySet(keys []iam.Key, open func(sealed, aad []byte) ([]byte, error)) (*KeySet, error) {
	s := &KeySet{byID: make(map[string]*key, len(keys))}
	for _, row := range keys {
		k, err := openKey(row, open)
		if err != nil {
			return nil, err
		}
		if s.byID[k.id] != nil {
			return nil, fmt.Errorf("signing key %s is there twice", k.id)
		}
		s.byID[k.id] = k
		s.bySign = append(s.bySign, k)
		if k.compatible() {
			s.shared = append(s.shared, k)
		}
	}
	slices.SortFunc(s.bySign, func(a, b *key) int {
		return cmp.Or(cmp.Compare(a.signFrom, b.signFrom), cmp.Compare(a.id, b.id))
	})
	return s, nil
}

// Signer names the key that signs at that instant, and its algorithm.
func (s *KeySet) Signer(now iam.Time) (kid, algorithm string, ok bool) {
	k := s.signer(now)
	if k == nil {
		return "", "", false
	}
	return k.id, k.algorithm, true
}

// signer is the key that began to sign last. Where none has begun, which takes a clock that is behind
// the others', the first one to begin is still better than none.
func (s *KeySet) signer(now iam.Time) *key {
	var first, last *key
	for _, k := range s.bySign {
		if !k.aliveAt(now) {
			continue
		}
		if first == nil {
			first = k
		}
		if k.signFrom <= now {
			last = k
		}
	}
	if last == nil {
		return first
	}
	return last
}

// JWKS renders the public keys that verify at that instant or soon will (RFC 7517 §5). A shared key
// is never among them: who knows it can sign.
func (s *KeySet) JWKS(now iam.Time) []byte {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range s.bySign {
		if k.compatible() || !k.aliveAt(now) {
			continue
		}
		j := publicJWK(k.public)
		j.ID, j.Use, j.Algorithm = k.id, "sig", k.algorithm
		set.Keys = append(set.Keys, j)
	}
	return render(set)
}

// render is for values made here, which always have a JSON form.
func render(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: JSON of a key: " + err.Error())
	}
	return text
}
