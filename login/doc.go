// Package login proves who a person is: by a password now, by more factors and other identity
// providers later. It also makes accounts, for the rules about passwords are here.
//
// A proof ends in a session, which is one command through the log. What tokens are then issued for
// the session is oauth's business, and nothing here knows HTTP.
package login
