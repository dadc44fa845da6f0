// Package backup copies the state of a running cluster, keeps such copies in files that nobody can read or
// change unseen, proves them, and begins a cluster from one.
//
// A copy holds everything that a cluster knows, password hashes among it, so that it leaves a node only for
// callers who may have that, and a file only under the keys of those who are to restore it. Nothing is done
// with a copy before the whole of it has been proven: a restore that finds a fault has changed nothing.
package backup
