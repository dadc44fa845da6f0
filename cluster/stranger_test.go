package cluster_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// refused tells whether the other end gives the connection up. In TLS 1.3 a client learns only by
// reading that its certificate was refused.
func refused(t *testing.T, conn net.Conn, err error) bool {
	t.Helper()
	if err != nil {
		return true
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err = conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestStrangersWithoutCertificate(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	for _, protocols := range [][]string{nil, {"h2"}, {"ks-rpc/1"}, {"ks-raft/1"}, {"ks-gossip/1"}} {
		conn, err := tls.Dial("tcp", n.Address(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err == nil && !refused(t, conn, nil) {
			t.Errorf("a stranger who offers %v was let in", protocols)
		}
	}
	n.put("still.works")
}

func TestStrangersWithCertificate(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	other := iam.NewID().String()
	for _, row := range []struct {
		name            string
		secret          secret.ClusterSecret
		clusterID, node string
		protocol        string
	}{
		{"unknown node, raft", clusterSecret, n.ClusterID(), "x", "ks-raft/1"},
		{"unknown node, gossip", clusterSecret, n.ClusterID(), "x", "ks-gossip/1"},
		{"newcomer, raft", clusterSecret, "", "x", "ks-raft/1"},
		{"unknown protocol", clusterSecret, n.ClusterID(), "x", "ks-none/1"},
		{"other cluster", clusterSecret, other, "x", "ks-rpc/1"},
		{"other secret", secret.NewClusterSecret(), n.ClusterID(), "x", "ks-rpc/1"},
	} {
		conn, err := cluster.NewStranger(t, row.secret, row.clusterID, row.node).Dial(t.Context(), row.protocol, n.Address())
		if !refused(t, conn, err) {
			t.Errorf("%s: was let in", row.name)
		}
	}
}

func TestNewcomersMayOnlyAskToJoin(t *testing.T) {
	n := start(t, cluster.Config{Name: "solo", Secret: clusterSecret})
	n.ready()
	for _, clusterID := range []string{"", n.ClusterID()} {
		s := cluster.NewStranger(t, clusterSecret, clusterID, "x."+iam.NewID().String())
		for _, path := range []string{"/apply", "/status", "/fence", "/confirm", "/lease", "/read", "/remove"} {
			err := s.Call(t.Context(), n.Address(), path, map[int]int{}, new(any))
			if iam.CodeOf(err) != iam.Forbidden {
				t.Errorf("%s was answered with %v", path, err)
			}
		}
		// Nobody can ask in another one's name.
		err := s.Call(t.Context(), n.Address(), "/join", map[int]string{1: "y." + iam.NewID().String(), 2: "h:1"}, new(any))
		if iam.CodeOf(err) != iam.Forbidden {
			t.Errorf("a join for another node was answered with %v", err)
		}
		if err := s.Call(t.Context(), n.Address(), "/nothing", map[int]int{}, new(any)); err == nil {
			t.Error("a request that nobody knows was answered")
		}
	}
	if got := len(n.Status(t.Context()).Nodes); got != 1 {
		t.Errorf("the cluster has %d members", got)
	}
}
