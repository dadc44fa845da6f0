package api

import "time"

// Health says whether the node that was asked can answer correctly.
type Health struct {
	Status       string `json:"status"` // "healthy" or "unhealthy"
	Version      string `json:"version"`
	Node         string `json:"node"`
	Role         string `json:"role"`   // leader, follower, candidate, nonvoter or forming
	Leader       string `json:"leader"` // empty when none is known
	AppliedIndex uint64 `json:"applied_index"`
}

// Cluster is what the node that was asked knows of all nodes.
type Cluster struct {
	ClusterID string `json:"cluster_id"`
	Leader    string `json:"leader"`
	Term      uint64 `json:"term"`
	// Commands is the highest version of commands that the log has needed: no node of an earlier one can join.
	Commands uint64 `json:"commands"`
	Mixed    bool   `json:"mixed"` // the nodes that answer run more than one version, as in the middle of an upgrade
	Nodes    []Node `json:"nodes"`
	Epoch    *Epoch `json:"epoch,omitzero"` // absent in the first one
	// SecretSettled says that nothing in the state needs another cluster secret than the one that counts on the
	// node that was asked.
	SecretSettled bool `json:"secret_settled"`
}

// Epoch is a time in the life of the cluster: whatever was issued before it is dead.
type Epoch struct {
	Number   uint64    `json:"number"` // counts from 1
	RaisedAt time.Time `json:"raised_at"`
	Reason   string    `json:"reason"`
}

// RaiseEpochRequest makes everything dead that was issued up to now.
type RaiseEpochRequest struct {
	Reason string `json:"reason"` // for the audit log and whoever looks at the cluster; up to 200 bytes
}

// TransferRequest has another node lead.
type TransferRequest struct {
	To string `json:"to,omitempty"` // its name; without one any other node that votes
}

// Leadership says who leads.
type Leadership struct {
	Leader string `json:"leader"`
}

// Node is one member of the cluster.
type Node struct {
	Name         string `json:"name"`
	ID           string `json:"id"`
	Address      string `json:"address"` // of the cluster port
	HTTP         string `json:"http"`
	Role         string `json:"role"`
	State        string `json:"state"` // alive, dead or unknown
	Version      string `json:"version"`
	Commands     uint64 `json:"commands"` // the highest version of commands that it knows; 0 when it does not answer
	Format       uint64 `json:"format"`   // of the state files that it can read; 0 when it does not answer
	AppliedIndex uint64 `json:"applied_index"`
	Lag          uint64 `json:"lag"` // log entries behind the leader
	// StateHash is the hash of the node's state at StateHashIndex, in hexadecimal digits.
	StateHash      string `json:"state_hash"`
	StateHashIndex uint64 `json:"state_hash_index"`
	// Agrees tells whether the hash is that of the node that was asked; null when they have no
	// common index to compare at.
	Agrees *bool `json:"agrees"`
	// Secrets are fingerprints of the cluster secrets that the node takes, the one that counts first. They tell
	// secrets apart and say nothing about them.
	Secrets []string `json:"secrets,omitzero"`
}

// Live says that the process answers.
type Live struct {
	Status string `json:"status"` // always "alive"
}
