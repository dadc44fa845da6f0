package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/keystone-auth/keystone/secret"
)

// Nodes prove who they are with certificates that no ceremony hands out: whoever holds the cluster
// secret computes the same authority from it and signs a leaf for a key of its own. The leaf names
// the cluster and the node, and the Raft configuration says which nodes those may be, so a removed
// node is refused at once although its certificate is still good.

const (
	leafLifetime = 24 * time.Hour
	leafBackdate = time.Hour // for neighbours whose clocks run behind
)

// Why a node at the other end is not the one that was wanted.
var (
	errForeignSecret = errors.New("it was given another cluster secret than this node, give both the same")
	errOtherCluster  = errors.New("it belongs to another cluster")
	errOtherNode     = errors.New("another node answers there")
	errNoMember      = errors.New("it is not a member of the cluster")
)

// otherClusterError says which cluster answered instead of ours, and whether it was recovered from ours.
type otherClusterError struct {
	theirs   string
	replaces bool
}

func (e *otherClusterError) Error() string { return errOtherCluster.Error() + ", " + e.theirs }

func (e *otherClusterError) Unwrap() error { return errOtherCluster }

// caller is the node at the other end of a connection, as its certificate proves.
type caller struct {
	clusterID string // empty while it has none
	nodeID    string
	replaces  string // the cluster in whose place this one came, if it was recovered from it
}

// identity is who this node is and whom it believes.
type identity struct {
	nodeID    string
	authority authority
	trusted   *x509.CertPool
	members   *members

	replaces string // see place

	mu        sync.Mutex
	clusterID string
	leaf      *tls.Certificate
	renewAt   time.Time
}

// authority is a certificate authority that every holder of a secret computes alike.
type authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

func newIdentity(nodeID, clusterID, replaces string, current secret.ClusterSecret, previous []secret.ClusterSecret, m *members) (*identity, error) {
	id := &identity{nodeID: nodeID, clusterID: clusterID, replaces: replaces, members: m, trusted: x509.NewCertPool()}
	for i, s := range append([]secret.ClusterSecret{current}, previous...) {
		a, err := newAuthority(s.CAKey())
		if err != nil {
			return nil, err
		}
		if i == 0 {
			id.authority = a
		}
		id.trusted.AddCert(a.certificate)
	}
	return id, nil
}

// newAuthority is deterministic: fixed serial, fixed times, and Ed25519 signs without randomness.
func newAuthority(key ed25519.PrivateKey) (authority, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Keystone cluster CA"},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: no end
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("the cluster's certificate authority cannot be made: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate, key}, err
}

// cluster returns the id of the cluster that this node belongs to, or "".
func (id *identity) cluster() string {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.clusterID
}

// adopt makes this node one of that cluster. Connections made before keep the old name until they end.
func (id *identity) adopt(clusterID string) {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.clusterID, id.leaf = clusterID, nil
}

// current returns the leaf, made anew when two thirds of its life are over.
func (id *identity) current() (*tls.Certificate, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now := time.Now()
	if id.leaf != nil && now.Before(id.renewAt) {
		return id.leaf, nil
	}
	leaf, err := id.signLocked(now)
	if err != nil {
		return nil, err
	}
	id.leaf, id.renewAt = leaf, now.Add(leafLifetime*2/3)
	return leaf, nil
}

func (id *identity) signLocked(now time.Time) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	name := &url.URL{Scheme: "keystone", Host: id.clusterID, Path: "/node/" + id.nodeID}
	if id.replaces != "" {
		name.RawQuery = url.Values{"replaces": {id.replaces}}.Encode()
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Keystone node"},
		URIs:         []*url.URL{name},
		NotBefore:    now.Add(-leafBackdate),
		NotAfter:     now.Add(leafLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, id.authority.certificate, public, id.authority.key)
	if err != nil {
		return nil, fmt.Errorf("this node's certificate cannot be made: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// config is the part of TLS that both ends share. The names in certificates are node ids, not host
// names, so the standard check is replaced by ours. Sessions are not resumed: each handshake asks
// the membership anew.
func (id *identity) config(protocols []string, verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             protocols,
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, //nolint:gosec // VerifyConnection proves the chain and the node id
		SessionTicketsDisabled: true,
		VerifyConnection:       verify,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.current() },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.current() },
	}
}

// identify proves the other end's certificate and reads who it is.
func (id *identity) identify(state tls.ConnectionState) (caller, error) {
	if len(state.PeerCertificates) == 0 {
		return caller{}, errors.New("it shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: id.trusted, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return caller{}, errForeignSecret
	}
	if err != nil {
		return caller{}, fmt.Errorf("its certificate is not valid, compare the clocks of both nodes: %w", err)
	}
	if leaf.IsCA || len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != "keystone" {
		return caller{}, errors.New("its certificate names no node")
	}
	nodeID, found := strings.CutPrefix(leaf.URIs[0].Path, "/node/")
	if !found || nodeID == "" {
		return caller{}, errors.New("its certificate names no node")
	}
	return caller{clusterID: leaf.URIs[0].Host, nodeID: nodeID, replaces: leaf.URIs[0].Query().Get("replaces")}, nil
}

// check decides whether a node may be talked to in that protocol. A node of another cluster never
// is. Strangers of this cluster's secret are heard on RPC alone, where each route decides again: a
// newcomer has to ask somebody.
func (id *identity) check(c caller, protocol string) error {
	ours := id.cluster()
	switch {
	case ours != "" && c.clusterID != "" && c.clusterID != ours:
		return &otherClusterError{c.clusterID, c.replaces == ours}
	case protocol != protocolRPC && !id.isMember(c):
		return errNoMember
	}
	return nil
}

// isMember tells whether the latest configuration names the node. A node that has no configuration
// yet takes the word of whoever has a certificate for its cluster.
func (id *identity) isMember(c caller) bool {
	ours := id.cluster()
	return ours != "" && c.clusterID == ours && (id.members.empty() || id.members.has(c.nodeID))
}
