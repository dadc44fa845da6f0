package backup

import (
	"errors"
	"fmt"
	"os"

	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// What is known of the signature of a backup.
const (
	SignatureGood      = "good"          // a node of this cluster secret made it
	SignatureUnchecked = "not checked"   // there was no secret to check it with
	SignatureForeign   = "other cluster" // it is of a cluster with another secret
)

// Report is what a proof of a backup came to. One that fails is an error instead.
type Report struct {
	Meta
	Encrypted bool   `json:"encrypted"`
	Signature string `json:"signature"`
}

// Verify proves a backup file: that nothing in it was changed or is missing, that each row fits its indexes,
// that the audit log is whole, and that the state has the hash that the cluster gave for it. It unpacks the
// state into a folder, from which it is gone afterwards. With secrets it also proves that the backup is of
// their cluster, or says that it is of another one.
func Verify(path string, k Keys, folder string, secrets ...secret.ClusterSecret) (r Report, err error) {
	u, err := unpackFile(path, k, folder)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, u.Remove()) }()
	r = Report{Meta: u.Meta, Encrypted: u.need != NeedNothing}
	if r.Signature, err = u.signature(secrets); err != nil {
		return r, err
	}
	return r, u.Prove()
}

func unpackFile(path string, k Keys, folder string) (*Unpacked, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the backup cannot be read: %w", err)
	}
	defer file.Close()
	u, err := unpackSealed(file, k, folder)
	if err != nil {
		return nil, fmt.Errorf("the backup %s is not usable: %w", path, err)
	}
	u.name = path
	return u, nil
}

func unpackSealed(file *os.File, k Keys, folder string) (*Unpacked, error) {
	need, err := NeedOf(file.Name())
	if err != nil {
		return nil, err
	}
	content, err := unseal(file, k)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	u, err := Unpack(content, folder)
	if err != nil {
		return nil, err
	}
	u.need = need
	return u, nil
}

// signature says what is known of the signature. One by a secret that is known, and that is not good, is an
// error: somebody has put the backup together who did not have the secret.
func (u *Unpacked) signature(secrets []secret.ClusterSecret) (string, error) {
	if len(secrets) == 0 {
		return SignatureUnchecked, nil
	}
	for _, s := range secrets {
		if s.Fingerprint() != u.Meta.Fingerprint {
			continue
		}
		if !s.SignedBackup(u.digest, u.signed) {
			return "", fmt.Errorf("the backup %s is not usable: its signature is not good, so it is not what a node of the cluster has made", u.name)
		}
		return SignatureGood, nil
	}
	return SignatureForeign, nil
}

// Prove checks the state in the archive, and that it is the one that the archive says it is.
func (u *Unpacked) Prove() error {
	if err := u.prove(); err != nil {
		return fmt.Errorf("the backup %s is not usable: the state in it is not sound: %w", u.name, err)
	}
	return nil
}

func (u *Unpacked) prove() (err error) {
	s, err := store.OpenReadOnly(u.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, err := s.Meta()
	if err != nil {
		return err
	}
	if state.Index != u.Meta.Index || state.Term != u.Meta.Term || hexed(state.Hash) != u.Meta.StateHash {
		return errors.New("it is another one than the header of the backup says")
	}
	return s.Check()
}
