// Package api holds the JSON shapes of the HTTP API, as the server sends and the client reads them.
//
// They are never stored, so that the wire and the disk can change apart. Only data belongs here: no
// validation, no transport, nothing beyond the standard library. Times are RFC 3339 in UTC, ids are
// UUIDs in text form.
package api
