// Package httpapi is HTTP in and HTTP out: the table of routes, decoding, one use case per handler,
// encoding, and the one place where error codes become status codes.
//
// It exists so that nothing else has to know HTTP, and it is the only room that sees fasthttp. What
// must not go in: rules of the product. If a handler needs an "if" about users, tokens or clients,
// the rule belongs to login, oauth or fsm.
//
// fasthttp recycles requests: the bytes of one die when its handler returns. Whatever goes further
// down is a copy, except for the token that view.Introspect reads and does not keep.
package httpapi
