// Package tally lets the nodes of a cluster count together: 5/minute is five a minute over all of them.
//
// Each caller has an order of nodes that follows from the caller's name and the nodes' ids alone. The
// first one that can be reached owns the caller's windows, and is asked first. What it admits is then
// counted by the next ones too, until a majority of the members has counted it: only then is the
// request let through. No node ever counts more than the limit into one window, and any two majorities
// have a node in common, so that nothing is forgotten when the owner dies, and no other node begins
// with an empty window. Whoever refuses makes the others take back what they counted.
//
// A node that cannot reach a majority admits its share, the limit divided by the members, and counts
// that into the same windows. docs/decisions/0016 says what follows from this, and what does not.
//
// What is here knows no network: it is handed a function that asks another node, so that its tests
// can cut wires, kill nodes and bend clocks in no time.
package tally
