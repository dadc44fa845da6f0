package view

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/token"
)

// seed makes the places of tokens unpredictable: nobody can send tokens that push each other out.
var seed = maphash.MakeSeed()

// remembered is a token whose signature was found good once. Whether it is alive is asked again on
// each use.
type remembered struct {
	// text is the token and behind it the answer while it is alive, beside each other: with many tokens most
	// of the time goes into waiting for memory.
	text   string
	raw    int      // the length of the token
	key    tokenKey // of its jti
	claims token.Claims
}

// verified is a cache of tokens in sets, as processors cache memory: a token's hash says in which set it may
// be, and a new one takes the place of one that has expired, or else of any. A look-up waits for memory
// twice, for the set and for the token. A general cache with a queue of what was used last waited five times, which
// was a tenth of an introspection.
type verified struct {
	sets  []set
	count atomic.Int64
	turn  atomic.Uint32 // spreads the evictions over the places of a set
}

// ways is how many tokens a set holds. With 16 about one in a hundred of 100,000 tokens finds its set full, with 8 one
// in twenty; and the tags of 16 fill one line of a processor's cache.
const ways = 16

type set struct {
	tags   [ways]atomic.Uint32 // the other half of the hashes of the tokens in the same places
	tokens [ways]atomic.Pointer[remembered]
}

func tagOf(hash uint64) uint32 { return uint32(hash >> 32) }

// newVerified makes room for at least so many tokens.
func newVerified(tokens int) *verified {
	return &verified{sets: make([]set, 1<<bits.Len(uint(tokens-1)/ways))}
}

func (v *verified) set(hash uint64) *set { return &v.sets[hash&uint64(len(v.sets)-1)] }

// get compares the whole token: two with one tag must never answer for each other. That also makes up for
// a tag and a token that were not written at the same time.
func (v *verified) get(raw []byte) *remembered {
	hash := maphash.Bytes(seed, raw)
	s := v.set(hash)
	for i := range s.tags {
		if s.tags[i].Load() != tagOf(hash) {
			continue
		}
		if t := s.tokens[i].Load(); t != nil && t.text[:t.raw] == string(raw) {
			return t
		}
	}
	return nil
}

func (v *verified) add(t *remembered, now iam.Time) {
	hash := maphash.String(seed, t.text[:t.raw])
	s := v.set(hash)
	place := int(v.turn.Add(1) % ways)
	for i := range s.tokens {
		if old := s.tokens[i].Load(); old == nil || old.claims.ExpiresAt <= now.Unix() {
			place = i
			break
		}
	}
	s.tags[place].Store(tagOf(hash))
	if s.tokens[place].Swap(t) == nil {
		v.count.Add(1)
	}
}
