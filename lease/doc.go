// Package lease decides how long a node may answer from its own state, and when the leader may say
// that something is gone everywhere.
//
// A node that holds a lease answers alone. The leader gives leases, for a second at most, and before
// it confirms that something was taken away it hears from every node that it knows, or waits until
// the node's lease is over. A node that is cut off has no lease soon, and says so instead of guessing.
//
// The package knows neither Raft nor a network nor the time: its callers hand in terms, messages and
// the clock, and so does a simulation that tries to break it.
package lease
