// Package client speaks Keystone's HTTP API from Go, over TCP or over the Unix socket in a node's data
// folder, whose opener is the operator.
//
// The command line, the bench and the end-to-end tests use it, so it asks exactly once: whether a
// failed call may be repeated is for its caller, who has the idempotency key. It keeps no tokens and
// knows nothing of how Keystone is built.
package client
