// Package limit says whether one more request of a caller is admitted: a pure sliding window, the
// callers' windows in a bounded memory, and the list of named limits.
//
// The promise is exact: in no window of the limit's length are more requests admitted than the limit
// says. A token bucket or GCRA alone breaks it, because a full burst may follow a slow trickle and
// almost twice the limit then falls into one window. So each window remembers when it admitted.
//
// Nothing here knows of other nodes: package tally lets several of them count together. What HTTP
// headers say of a decision belongs to httpapi, and who the caller is, is for the rooms that
// authenticate it.
package limit
