package httpapi

import (
	"context"
	"encoding/binary"
	"strconv"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
)

// userOrders are the fields by which users can be listed.
var userOrders = map[string]store.UserOrder{
	"created_at": store.UsersByCreation, "username": store.UsersByUsername, "email": store.UsersByEmail,
}

// users lists all users, the newest first unless another order is asked for.
func (s *Server) users(ctx context.Context, x *exchange, _ nothing) (api.Users, error) {
	q, err := x.list("created_at", "username", "email")
	if err != nil {
		return api.Users{}, err
	}
	find, err := x.userQuery(&q)
	if err != nil {
		return api.Users{}, err
	}
	found, err := s.Login.FindUsers(ctx, find)
	if err != nil {
		return api.Users{}, err
	}
	out := api.Users{Users: make([]api.User, 0, len(found.Users)), Page: api.Page{
		Total: found.Total, Number: q.number, PerPage: q.per, Pages: (found.Total + q.per - 1) / q.per,
	}}
	for _, user := range found.Users {
		shown, err := s.describeUser(user)
		if err != nil {
			return api.Users{}, err
		}
		out.Users = append(out.Users, shown)
	}
	if found.Next != nil {
		next := userPlace(q, found).cursor(q.field)
		out.NextCursor = &next
	}
	return out, nil
}

// userPlace is where the next page begins. It carries that page's number, which could else be found by
// counting from the beginning alone, and the place in the index.
func userPlace(q listQuery, found login.UserPage) place {
	value := binary.BigEndian.AppendUint32(nil, uint32(q.number)+1)
	return place{value: string(append(value, found.Next...))}
}

// userQuery reads the filters, and makes the page of a cursor the page that is asked for.
func (x *exchange) userQuery(q *listQuery) (login.UserQuery, error) {
	find := login.UserQuery{
		Order: userOrders[q.field], Descending: q.descending, Search: q.search, Role: x.query("role"),
		Skip: (q.number - 1) * q.per, Most: q.per,
	}
	if q.after != nil {
		if len(q.after.value) <= 4 {
			return find, iam.Invalid("cursor", "must be the next_cursor of the page before")
		}
		q.number = int(binary.BigEndian.Uint32([]byte(q.after.value)))
		find.After = []byte(q.after.value[4:])
	}
	for _, flag := range []struct {
		name string
		into **bool
	}{{"is_active", &find.Active}, {"is_verified", &find.Verified}, {"is_locked", &find.Locked}} {
		text := x.query(flag.name)
		if text == "" {
			continue
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return find, iam.Invalid(flag.name, "must be true or false")
		}
		*flag.into = &b
	}
	return find, nil
}
