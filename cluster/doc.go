// Package cluster makes several Keystone processes one: it carries every command through a Raft log
// to the state machine of every node, wherever it was proposed, and decides who is a member.
//
// It exists so that nothing else has to know that there is more than one node: the rest of the
// program is handed an fsm.Proposer. One TCP port carries Raft, node RPC and gossip streams, told
// apart by ALPN, always under mutual TLS with identities that every holder of the cluster secret can
// compute and check. Membership is what the Raft configuration says; gossip only gives hints.
//
// What must not go in: what a command means, who may ask for it, HTTP for people, and any reading
// of the state.
package cluster
