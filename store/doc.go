// Package store keeps the replicated state on disk: bbolt buckets of CBOR rows with secondary
// indexes.
//
// Readers and writers are different types. Everybody may hold a [Store] and look at it through a
// [Reader]; only the state machine opens a [Tx], so that nothing changes but by a command. A row is
// put and deleted by one function per entity, which keeps its indexes, the state hash and the list
// of changes; [Store.Check] proves that they agree.
//
// No rule of the product belongs here, and neither does anything that knows raft.
package store
