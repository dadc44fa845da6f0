package secret

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestNotary(t *testing.T) {
	old, fresh := NewClusterSecret(), NewClusterSecret()
	signed := NewNotary(old).Sign(iam.AuditCheckpoint{Sequence: 7, Hash: iam.AuditHash{1}, At: 5})
	public, ok := NotaryOf(NewNotary(old).Key())
	if !ok {
		t.Fatal("the public key is not taken back")
	}
	for what, n := range map[string]*Notary{"the secret": NewNotary(old), "an exchanged secret": NewNotary(fresh, old), "the public key": public} {
		if err := n.Check(signed); err != nil {
			t.Errorf("with %s: %v", what, err)
		}
	}
	if NewNotary(fresh, old).Current(signed) || !NewNotary(old).Current(signed) {
		t.Error("what was signed under the earlier secret counts as current, or the other way round")
	}
	f := func(what string, want string, change func(*iam.AuditCheckpoint)) {
		t.Helper()
		c := signed
		change(&c)
		if err := NewNotary(old).Check(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("another sequence", "not good", func(c *iam.AuditCheckpoint) { c.Sequence++ })
	f("another hash", "not good", func(c *iam.AuditCheckpoint) { c.Hash[31]++ })
	f("another time", "not good", func(c *iam.AuditCheckpoint) { c.At++ })
	f("a licence to remove", "not good", func(c *iam.AuditCheckpoint) { c.Removed = true })
	f("no signature", "not good", func(c *iam.AuditCheckpoint) { c.Signature = nil })
	f("a key of somebody else", "KEYSTONE_SECRET_PREVIOUS", func(c *iam.AuditCheckpoint) { *c = NewNotary(fresh).Sign(*c) })

	for _, key := range []string{"", "zz", strings.Repeat("0", 62)} {
		if _, ok := NotaryOf(key); ok {
			t.Errorf("%q is taken for a key", key)
		}
	}
	n := NewNotary(old)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if text := fmt.Sprintf(verb, n); strings.Contains(text, fmt.Sprintf("%x", n.private().Seed())) || strings.Contains(text, fmt.Sprint(n.private().Seed())) {
			t.Errorf("%s prints the private key", verb)
		}
	}
}
