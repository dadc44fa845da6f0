package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// A backup file is an archive that was compressed, and then encrypted by age unless its maker asked for a plain
// one. So whoever has no Keystone at hand can still open it, with age and zstd. A plain one ends with the SHA-256 of
// all before, in a frame that zstd skips: bits of a compressed stream can change without the content that
// comes out of it, and a file that was changed is not to be trusted for any of its bits.

// Lock is for whom a backup is encrypted.
type Lock struct{ recipients []age.Recipient }

// Plain is the Lock that locks nothing.
var Plain = Lock{}

// Sealed tells whether anything is encrypted.
func (l Lock) Sealed() bool { return len(l.recipients) > 0 }

// ForPassphrase locks backups with a passphrase.
func ForPassphrase(passphrase string) (Lock, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Lock{}, fmt.Errorf("the passphrase cannot be used: %w", err)
	}
	return Lock{[]age.Recipient{r}}, nil
}

// ForRecipients locks backups for the holders of age identities, each of whom opens them alone. A recipient
// is given as itself, age1…, or as the name of a file with one in each line.
func ForRecipients(names []string) (l Lock, err error) {
	for _, name := range names {
		source := io.Reader(strings.NewReader(name))
		if !strings.HasPrefix(name, "age1") {
			file, err := os.Open(name)
			if err != nil {
				return l, fmt.Errorf("the recipient %s is none of age and no file of such: make one with age-keygen", shortened(name))
			}
			defer file.Close()
			source = file
		}
		found, err := age.ParseRecipients(io.LimitReader(source, 1<<20))
		if err != nil {
			return l, fmt.Errorf("the recipient %s is none of age: make one with age-keygen", shortened(name))
		}
		l.recipients = append(l.recipients, found...)
	}
	return l, nil
}

// shortened keeps a secret key that was taken for a recipient out of messages.
func shortened(name string) string {
	if strings.HasPrefix(name, "AGE-SECRET-KEY-") {
		return "AGE-SECRET-KEY-…"
	}
	return name
}

// Keys open backups. No keys open those that are not encrypted.
type Keys struct{ identities []age.Identity }

// FromPassphrase opens what ForPassphrase has locked.
func FromPassphrase(passphrase string) (Keys, error) {
	i, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Keys{}, fmt.Errorf("the passphrase cannot be used: %w", err)
	}
	return Keys{[]age.Identity{i}}, nil
}

// FromIdentities reads the files in which age-keygen keeps identities.
func FromIdentities(files []string) (k Keys, err error) {
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return k, fmt.Errorf("the identity cannot be read: %w", err)
		}
		found, err := age.ParseIdentities(bytes.NewReader(text))
		if err != nil {
			return k, fmt.Errorf("the file %s holds no identity of age: give the one that age-keygen made", name)
		}
		k.identities = append(k.identities, found...)
	}
	return k, nil
}

// Need is what it takes to open a backup file.
type Need int

// What a backup file may need.
const (
	NeedNothing Need = iota
	NeedPassphrase
	NeedIdentity
)

const (
	ageMark  = "age-encryption.org/v1\n"
	zstdMark = "\x28\xb5\x2f\xfd"
)

// errForeign is of a file that is no backup at all.
var errForeign = errors.New("it is no backup of Keystone: name a file that keystone backup create made")

// NeedOf looks at the beginning of a backup file.
func NeedOf(path string) (Need, error) {
	file, err := os.Open(path)
	if err != nil {
		return NeedNothing, err
	}
	defer file.Close()
	return needOf(bufio.NewReader(file))
}

func needOf(r *bufio.Reader) (Need, error) {
	head, err := r.Peek(len(ageMark) + len("-> scrypt "))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return NeedNothing, err
	case bytes.HasPrefix(head, []byte(zstdMark)):
		return NeedNothing, nil
	case !bytes.HasPrefix(head, []byte(ageMark)):
		return NeedNothing, errForeign
	case bytes.HasSuffix(head, []byte("-> scrypt ")):
		return NeedPassphrase, nil
	}
	return NeedIdentity, nil
}

// sumFrame begins the frame with the sum: the mark of one to be skipped, and its length.
const (
	sumFrame = "\x50\x2a\x4d\x18\x20\x00\x00\x00"
	sumBytes = len(sumFrame) + sha256.Size
)

// seal returns a writer whose content arrives compressed and locked at w once it is closed.
func seal(w io.Writer, l Lock) (io.WriteCloser, error) {
	var locked io.WriteCloser
	if l.Sealed() {
		var err error
		if locked, err = age.Encrypt(w, l.recipients...); err != nil {
			return nil, fmt.Errorf("it cannot be encrypted: %w", err)
		}
		w = locked
	}
	s := &sealing{to: w, locked: locked, sum: sha256.New()}
	if locked == nil {
		w = io.MultiWriter(w, s.sum)
	}
	var err error
	s.Encoder, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	return s, err
}

// sealing ends the compression, and then the encryption or with the sum.
type sealing struct {
	*zstd.Encoder
	to     io.Writer
	locked io.Closer
	sum    hash.Hash
}

// Close implements io.Closer.
func (s *sealing) Close() error {
	err := s.Encoder.Close()
	if s.locked != nil {
		return errors.Join(err, s.locked.Close())
	}
	if err == nil {
		_, err = s.to.Write(s.sum.Sum([]byte(sumFrame)))
	}
	return err
}

// summed returns what is before the sum of a plain file, once the sum has been found right.
func summed(file *os.File) (io.Reader, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size() - int64(sumBytes)
	if size <= 0 {
		return nil, errCut
	}
	end, sum := make([]byte, sumBytes), sha256.New()
	if _, err := file.ReadAt(end, size); err != nil {
		return nil, err
	}
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, size)); err != nil {
		return nil, err
	}
	if !bytes.Equal(end, sum.Sum([]byte(sumFrame))) {
		return nil, errors.New("its checksum does not fit: it was damaged or cut short, take another one")
	}
	return io.NewSectionReader(file, 0, size), nil
}

// largestWindow bounds the memory that a file can ask for. That of what seal writes is 8 MiB.
const largestWindow = 32 << 20

// unseal opens a backup file. It must be read to its end, and closed.
func unseal(file *os.File, k Keys) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(file, 64<<10)
	need, err := needOf(r)
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if need == NeedNothing {
		content, err = summed(file)
	} else {
		content, err = decrypt(r, k, need)
	}
	if err != nil {
		return nil, err
	}
	unpacked, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(largestWindow))
	if err != nil {
		return nil, damaged(err)
	}
	return plainly{unpacked}, nil
}

func decrypt(r io.Reader, k Keys, need Need) (io.Reader, error) {
	if len(k.identities) == 0 {
		return nil, errors.New("it is encrypted: give the passphrase or the identity that opens it")
	}
	content, err := age.Decrypt(r, k.identities...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, refusedKey(need)
	case err != nil:
		return nil, damaged(err)
	}
	return content, nil
}

func refusedKey(need Need) error {
	if need == NeedPassphrase {
		return errors.New("the passphrase does not open it")
	}
	return errors.New("the identity does not open it: it was encrypted for others")
}

// plainly is a decoder whose errors are sentences.
type plainly struct{ *zstd.Decoder }

// Read implements io.Reader.
func (p plainly) Read(b []byte) (int, error) {
	n, err := p.Decoder.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// Close implements io.Closer.
func (p plainly) Close() error {
	p.Decoder.Close()
	return nil
}

// damaged says of an error of decoding what it means. Errors of the disk say it themselves.
func damaged(err error) error {
	var disk *fs.PathError
	switch {
	case errors.As(err, &disk):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	}
	return errors.New("it was damaged: take another one")
}
