package store

import (
	"bytes"

	"github.com/keystone-auth/keystone/iam"
)

// IDTable is a table whose rows lie in the order of their ids.
type IDTable string

// The tables.
const (
	ScopeTable         IDTable = "scopes"
	RoleTable          IDTable = "roles"
	UserTable          IDTable = "users"
	ClientTable        IDTable = "clients"
	SessionTable       IDTable = "sessions"
	LegacySessionTable IDTable = "legacy"
)

// Differences calls fn with the id of each row that is not the same in the state before, and whether it is in this one,
// in the order of ids until fn says no. Rows are compared as they lie there, for one encoding belongs to one row: no
// row is decoded.
func (r *Reader) Differences(before *Reader, of IDTable, fn func(id iam.ID, here bool) bool) {
	old, now := before.bucket(string(of)).cursor(), r.bucket(string(of)).cursor()
	was, then := old.First()
	is, data := now.First()
	for was != nil || is != nil {
		switch order := bytes.Compare(is, was); {
		case is == nil || was != nil && order > 0:
			if !fn(iam.ID(was), false) {
				return
			}
			was, then = old.Next()
		case was == nil || order < 0:
			if !fn(iam.ID(is), true) {
				return
			}
			is, data = now.Next()
		default:
			if !bytes.Equal(data, then) && !fn(iam.ID(is), true) {
				return
			}
			was, then = old.Next()
			is, data = now.Next()
		}
	}
}
