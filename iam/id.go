package iam

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// ID names a user, role, scope, session or request: a UUID, 16 bytes, version 7 when made here
// (RFC 9562 §5.7), so that rows made one after another lie beside each other on disk.
type ID [16]byte

// NewID returns a fresh version 7 UUID. It must never be called while a command is applied: ids
// enter the state machine inside the command.
func NewID() ID { return NewIDAt(Now()) }

// NewIDAt is NewID for who knows the time already.
func NewIDAt(now Time) ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails since Go 1.24: the runtime ends the process instead
	ms := uint64(now) / 1000
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical text form of a UUID of any version. The error never repeats the text.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("not a UUID: want 36 characters such as 01890a5d-ac96-774b-bcce-b302099a8057")
	}
	packed := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(packed)); err != nil {
		return ID{}, fmt.Errorf("not a UUID: want hexadecimal digits")
	}
	return id, nil
}

// IsZero tells whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the canonical lower-case text form.
func (id ID) String() string {
	return string(id.AppendText(make([]byte, 0, 36)))
}

// AppendText appends the canonical text form to dst.
func (id ID) AppendText(dst []byte) []byte {
	var digits [32]byte
	hex.Encode(digits[:], id[:])
	dst = append(append(dst, digits[0:8]...), '-')
	dst = append(append(dst, digits[8:12]...), '-')
	dst = append(append(dst, digits[12:16]...), '-')
	dst = append(append(dst, digits[16:20]...), '-')
	return append(dst, digits[20:32]...)
}

// MarshalText makes ids appear as text in JSON.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
