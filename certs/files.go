package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at.
const lookEvery = 5 * time.Second

// Files is a certificate and its key in two files of PEM. They are read every few seconds rather than watched:
// what Kubernetes, certbot and people do to files differs, and what is in them afterwards does not.
type Files struct {
	cert, key string
	log       *slog.Logger
	current   pair

	mu   sync.Mutex
	seen [sha256.Size]byte // of what lies in the files, as it was looked at last
	told [sha256.Size]byte // of what cannot be used, and somebody was told
}

// OpenFiles reads the files, which must hold a pair that can be used.
func OpenFiles(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	loaded, sum, err := f.read()
	if err != nil {
		return nil, err
	}
	f.seen = sum
	f.use(loaded)
	return f, nil
}

// GetCertificate is what a tls.Config asks.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.get(), nil
}

// Expires returns when the certificate ends.
func (f *Files) Expires() time.Time { return f.current.get().Leaf.NotAfter }

// Run looks at the files until ctx ends.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var remind reminder
	for {
		remind.look(f.log, f.current.get().Leaf, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look(false)
		}
	}
}

// Reload looks at the files now, and says at once what is wrong with them.
func (f *Files) Reload() { f.look(true) }

// look takes a new pair, if there is one. One that cannot be used is told of when it is still there the next time:
// whoever replaces two files does it one after the other.
func (f *Files) look(now bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	loaded, sum, err := f.read()
	again := sum == f.seen
	f.seen = sum
	switch {
	case err == nil && again && !now:
	case err == nil:
		f.use(loaded)
	case (now || again) && f.told != sum:
		f.told = sum
		f.log.Error("the new certificate of the API is not used, and the one before stays", "error", err)
	}
}

// read returns the pair, and a digest of what was read that is another one when the error is another one.
func (f *Files) read() (*tls.Certificate, [sha256.Size]byte, error) {
	digest := sha256.New()
	var text [2][]byte
	for i, path := range []string{f.cert, f.key} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, sha256.Sum256([]byte(err.Error())), fmt.Errorf("the %s of the API cannot be read: %w", []string{"certificate", "key"}[i], err)
		}
		fmt.Fprintf(digest, "%d ", len(data))
		digest.Write(data)
		text[i] = data
	}
	sum := [sha256.Size]byte(digest.Sum(nil))
	loaded, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return nil, sum, fmt.Errorf("the certificate in %s and the key in %s cannot be used together: %w", f.cert, f.key, err)
	}
	return &loaded, sum, nil
}

func (f *Files) use(loaded *tls.Certificate) {
	f.current.set(loaded)
	f.log.Info("the API has a certificate", "file", f.cert, "names", names(loaded.Leaf), "expires", loaded.Leaf.NotAfter)
	if info, err := os.Stat(f.key); err == nil && info.Mode().Perm()&0o007 != 0 {
		f.log.Warn("everybody on this machine may use the key of the API: take the rights of others away with chmod o-rwx", "file", f.key)
	}
}

// names are those that a certificate is for.
func names(leaf *x509.Certificate) []string {
	all := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
