// Package bench puts load on a cluster over HTTP and measures what comes back, as a client would see
// it. It knows nothing of the inside of a node.
//
// A Scenario says what is asked; a Plan says how hard and for how long: with a fixed number of
// connections, each of which waits for its answer (closed loop), or at a fixed rate whose arrival
// times are set in advance (open loop), so that a stall is counted against every request that should
// have been sent during it. The outcome is a Report, which can be kept, drawn and compared.
package bench
