// Package crash holds the tests that kill real node processes: a cluster of `keystone dev`, a load of
// logins, refreshes, registrations and revocations, and SIGKILL at random moments. Whatever was
// acknowledged must hold afterwards, and nothing may have been done twice.
//
// There is no code here but tests. KEYSTONE_TORTURE=1 makes them longer and holds them to times.
package crash
