package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/keystone-auth/keystone/iam"
)

// markBytes is how much is remembered of a part's digest. Two values of one part in one row that share
// it come once in 2^48, and nothing but a change that goes unnoticed would follow.
const markBytes = 6

// parts are the parts of a row as its source has it, of which each is compared by itself.
type parts struct {
	marks []byte
	buf   []byte
}

// add appends the mark of a part that is made of these values. Lengths go before them, so that no two
// lists of values read alike.
func (p *parts) add(values ...string) {
	p.buf = p.buf[:0]
	for _, v := range values {
		p.buf = binary.AppendUvarint(p.buf, uint64(len(v)))
		p.buf = append(p.buf, v...)
	}
	sum := sha256.Sum256(p.buf)
	p.marks = append(p.marks, sum[:markBytes]...)
}

// forget makes a part look as if it had changed when it comes again.
func (p *parts) forget(part int) {
	for i := range markBytes {
		p.marks[part*markBytes+i] = 0
	}
}

// changed tells whether a part is another than it was.
func (p *parts) changed(was []byte, part int) bool {
	from, to := part*markBytes, (part+1)*markBytes
	return len(was) != len(p.marks) || !bytes.Equal(was[from:to], p.marks[from:to])
}

// same tells whether nothing has changed.
func (p *parts) same(was []byte) bool { return bytes.Equal(was, p.marks) }

func moments(all ...iam.Time) []string {
	out := make([]string, len(all))
	for i, t := range all {
		out[i] = strconv.FormatInt(int64(t), 10)
	}
	return out
}
