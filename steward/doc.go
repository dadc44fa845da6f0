// Package steward is what the leader does without being asked: it gives a new cluster its settings,
// scopes and roles, keeps a signing key current, removes what has expired, and signs and shortens the
// audit log.
//
// Every duty looks at the state first and proposes only what is missing, so that two leaders in a
// row do no harm to each other's work.
package steward
