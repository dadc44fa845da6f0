package tally

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
)

// What one node asks of another. Nodes of several versions may talk to each other: a number is never
// used again, and a node that does not understand what it is asked counts as one that is not there.

const (
	mostAsks   = 512 // in one batch
	mostRules  = 8   // in one ask
	mostCaller = 256
	mostName   = 64
	longest    = 366 * 24 * time.Hour
)

// Batch is many questions that travel together. An empty one asks whether anybody is there.
type Batch struct {
	Asks []Ask `cbor:"1,keyasint,omitempty"`
}

// Replies answers a Batch, question by question.
type Replies struct {
	Replies []Reply `cbor:"1,keyasint,omitempty"`
}

// Kind says what an Ask wants.
type Kind uint8

// What may be asked.
const (
	kindAdmit    Kind = 1 // may the caller make one more request under all of these limits? It counts if so
	kindTakeBack Kind = 2 // what was admitted At does not count
	kindStrike   Kind = 3 // one more in a row: how many are they?
	kindForget   Kind = 4 // the row has ended
	kindNothing  Kind = 5 // an answer that says nothing
)

// Ask is one question about one caller.
type Ask struct {
	Kind   Kind          `cbor:"1,keyasint"`
	Caller string        `cbor:"2,keyasint"`
	Rules  []Rule        `cbor:"3,keyasint,omitempty"`
	At     []iam.Time    `cbor:"4,keyasint,omitempty"` // for each rule, by the clock of the node that is asked
	Gap    time.Duration `cbor:"5,keyasint,omitempty"` // between two of a row at most
}

// Rule is a limit as the asking node has it.
type Rule struct {
	Name  string        `cbor:"1,keyasint"`
	Count int           `cbor:"2,keyasint"`
	Per   time.Duration `cbor:"3,keyasint"`
}

// Reply is what a node says to an Ask. Its times are lengths: clocks differ.
type Reply struct {
	Allowed   bool          `cbor:"1,keyasint,omitempty"`
	Rule      int           `cbor:"2,keyasint,omitempty"` // which of the rules is the tightest, or refuses for the longest time
	Remaining int           `cbor:"3,keyasint,omitempty"`
	Reset     time.Duration `cbor:"4,keyasint,omitempty"`
	Retry     time.Duration `cbor:"5,keyasint,omitempty"`
	At        []iam.Time    `cbor:"6,keyasint,omitempty"` // what TakeBack must name
	Count     int           `cbor:"7,keyasint,omitempty"` // how many are in a row
}

var errForm = errors.New("a question about limits is out of bounds")

// check bounds what another node may make this one remember.
func (a Ask) check() error {
	if len(a.Rules) > mostRules || len(a.Caller) > mostCaller || a.Gap < 0 || a.Gap > longest {
		return errForm
	}
	for _, r := range a.Rules {
		if r.limit().Off() || r.Count > limit.MaxCount || r.Per > longest || len(r.Name) > mostName {
			return errForm
		}
	}
	if a.Kind == kindTakeBack && len(a.At) != len(a.Rules) {
		return errForm
	}
	return nil
}

func (r Rule) limit() limit.Limit { return limit.Limit{Name: r.Name, Count: r.Count, Per: r.Per} }

// rulesOf leaves out the limits that are off.
func rulesOf(limits []limit.Limit) []Rule {
	var rules []Rule
	for _, l := range limits {
		if !l.Off() {
			rules = append(rules, Rule{Name: l.Name, Count: min(l.Count, limit.MaxCount), Per: min(l.Per, longest)})
		}
	}
	return rules
}

// callerKey is a caller's name as it may travel: nothing that a caller is called may make a question
// unreadable, for then all that travel with it would be.
func callerKey(name string) string {
	if len(name) <= mostCaller && utf8.ValidString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "digest " + hex.EncodeToString(sum[:])
}
