// Package audit records what changes no state, such as a failed login, and reads the audit log.
//
// Changes are audited by the state machine itself, in the same transaction. A refusal has no transaction:
// it is kept in memory for a moment together with others and goes through the log as a batch. Whoever can
// make a node refuse things must not thereby fill the disks of all nodes, so a batch is bounded, what is
// alike is counted instead of repeated, and what does not fit is told by its number.
//
// What may be refused is decided elsewhere, and so is what an entry says in HTTP.
package audit
