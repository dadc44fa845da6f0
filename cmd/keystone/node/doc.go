// Package node is one Keystone node, put together: the data folder and its lock, the state, the
// cluster, the services and the HTTP interface, in the order in which they start and stop.
//
// It is apart from the command line so that a test can run several nodes in one process. It only
// wires: a decision about what a node does belongs to the room that does it.
package node
