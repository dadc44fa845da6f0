package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mix says which share of requests is about tokens of which kind, in any unit.
type Mix map[string]int

// The kinds of tokens in a Mix.
const (
	MixValid   = "valid"
	MixRevoked = "revoked"
	MixExpired = "expired"
	MixGarbage = "garbage"
)

var mixKinds = []string{MixValid, MixRevoked, MixExpired, MixGarbage}

// ParseMix reads a mix such as valid=90,revoked=5,garbage=5.
func ParseMix(text string) (Mix, error) {
	m := Mix{}
	sum := 0
	for part := range strings.SplitSeq(text, ",") {
		name, share, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(share)
		if err != nil || n < 0 || n > 1_000_000 || !slices.Contains(mixKinds, name) {
			return nil, fmt.Errorf("--mix must be shares such as valid=90,revoked=5,expired=0,garbage=5, and %q is none", part)
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("--mix names %s twice", name)
		}
		m[name] = n
		sum += n
	}
	if sum == 0 {
		return nil, fmt.Errorf("--mix must give some share to one of %s", strings.Join(mixKinds, ", "))
	}
	return m, nil
}

// String writes the mix as ParseMix reads it.
func (m Mix) String() string {
	var parts []string
	for _, kind := range mixKinds {
		if m[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", kind, m[kind]))
		}
	}
	return strings.Join(parts, ",")
}

// pick returns the kind at a number between 0 and sum-1.
func (m Mix) pick(n int) string {
	for _, kind := range mixKinds {
		if n < m[kind] {
			return kind
		}
		n -= m[kind]
	}
	return MixValid
}

func (m Mix) sum() (n int) {
	for _, share := range m {
		n += share
	}
	return n
}
