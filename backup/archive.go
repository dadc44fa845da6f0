package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/secret"
)

// An archive is, in this order: a mark by which it is known, the length of the meta as four bytes and the
// meta as JSON, the state file, the SHA-256 of all that, and a signature of this sum by the cluster secret.
// The lengths are told before, so that one that was cut short is known for that.

const (
	mark        = "keystone backup\n"
	longestMeta = 64 << 10
	trailerSize = sha256.Size + signatureSize
	// signatureSize is what secret.SignBackup gives.
	signatureSize = sha256.Size
)

// Archive is a backup that can be read once. Its meta says what it holds; Size is how many bytes will come.
type Archive struct {
	Meta Meta
	Size int64

	content io.Reader
	read    int64
	file    io.Closer
	done    func() // told once, when all was read or the archive is closed
}

// Read implements io.Reader.
func (a *Archive) Read(p []byte) (int, error) {
	n, err := a.content.Read(p)
	if a.read += int64(n); a.read == a.Size {
		a.done() // who has the last byte may ask for the next backup
	}
	return n, err
}

// Close implements io.Closer.
func (a *Archive) Close() error {
	defer a.done()
	return a.file.Close()
}

// newArchive puts a state file into an archive. It is hashed while it is read.
func newArchive(meta Meta, state io.Reader, signer secret.ClusterSecret) (*Archive, error) {
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32([]byte(mark), uint32(len(text)))
	head = append(head, text...)
	sum := sha256.New()
	trailer := &late{make: func() []byte {
		digest := sum.Sum(nil)
		return append(digest, signer.SignBackup(digest)...)
	}}
	content := io.TeeReader(io.MultiReader(bytes.NewReader(head), io.LimitReader(state, meta.Bytes)), sum)
	return &Archive{
		Meta: meta, Size: int64(len(head)) + meta.Bytes + trailerSize,
		content: io.MultiReader(content, trailer),
	}, nil
}

// late is a reader whose content is made when it is asked for at first.
type late struct {
	make func() []byte
	rest *bytes.Reader
}

func (l *late) Read(p []byte) (int, error) {
	if l.rest == nil {
		l.rest = bytes.NewReader(l.make())
	}
	return l.rest.Read(p)
}

// Unpacked is an archive that arrived whole: its sum is right. Whether the state in it is sound is for
// Prove to say.
type Unpacked struct {
	Meta Meta
	Path string // of the state file

	name           string // of the backup file, for messages
	need           Need
	digest, signed []byte
}

// SignedBy tells whether the archive was made by a node that had one of the secrets.
func (u *Unpacked) SignedBy(secrets ...secret.ClusterSecret) bool {
	known, err := u.signature(secrets)
	return err == nil && known == SignatureGood
}

// Remove removes the state file.
func (u *Unpacked) Remove() error { return os.Remove(u.Path) }

// errCut is of an archive that ends before its end.
var errCut = errors.New("it is cut short: fetch it again, or take another one")

// Unpack reads an archive to its end and writes the state file in it into the folder, under a new name that
// only this user can read. After an error nothing is left there.
func Unpack(archive io.Reader, folder string) (*Unpacked, error) {
	file, err := os.CreateTemp(folder, copyName)
	if err != nil {
		return nil, fmt.Errorf("there is no place to unpack it: %w", err)
	}
	u, err := readArchive(archive, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	u.Path = file.Name()
	return u, nil
}

// readArchive reads an archive to its end and writes the state file in it to w.
func readArchive(archive io.Reader, w io.Writer) (u *Unpacked, err error) {
	sum := sha256.New()
	content := io.TeeReader(archive, sum)
	u = &Unpacked{}
	if u.Meta, err = readMeta(content); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(w, content, u.Meta.Bytes); err != nil {
		return nil, cut(err)
	}
	u.digest = sum.Sum(nil)
	trailer := make([]byte, trailerSize)
	if _, err := io.ReadFull(archive, trailer); err != nil {
		return nil, cut(err)
	}
	if !bytes.Equal(trailer[:sha256.Size], u.digest) {
		return nil, errors.New("its checksum does not fit: it was damaged, take another one")
	}
	u.signed = trailer[sha256.Size:]
	// To the end: compression and encryption prove their last part only there.
	n, err := io.Copy(io.Discard, archive)
	if err == nil && n > 0 {
		err = errors.New("something follows where it should end: it was damaged, take another one")
	}
	return u, err
}

func readMeta(archive io.Reader) (meta Meta, err error) {
	head := make([]byte, len(mark)+4)
	if _, err := io.ReadFull(archive, head); err != nil {
		return meta, cut(err)
	}
	if string(head[:len(mark)]) != mark {
		return meta, errForeign
	}
	length := binary.BigEndian.Uint32(head[len(mark):])
	if length > longestMeta {
		return meta, errors.New("its header is damaged: take another one")
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(archive, text); err != nil {
		return meta, cut(err)
	}
	if err := json.Unmarshal(text, &meta); err != nil || meta.Format < 1 || meta.Bytes <= 0 {
		return meta, errors.New("its header is damaged: take another one")
	}
	if meta.Format > Format || meta.StateVersion > fsm.Version() {
		return meta, fmt.Errorf("it was made by a newer Keystone, %q: use that version", meta.Keystone)
	}
	return meta, nil
}

// cut tells the end of what is read from other errors.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// copyName is the pattern of the names of copies under way.
const copyName = "backup-*.db"
