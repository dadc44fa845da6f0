package httpapi

import (
	"reflect"
	"sync"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// answers keeps buffers for introspection answers: there are more of these than of all others
// together.
var answers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

var introspectForm = shapeOf(reflect.TypeFor[api.IntrospectRequest]())

// introspect is the hot path: who asks, then one answer from memory, appended and sent. It makes no
// context of its own: nothing waits here but for the one hash of an imported client secret, which is
// remembered.
func (s *Server) introspect(x *exchange) error {
	var r api.IntrospectRequest
	if err := x.decode(&r, introspectForm); err != nil {
		return err
	}
	if err := s.identifyClient(s.life, x, r.ClientID, r.ClientSecret); err != nil {
		return err
	}
	if err := s.OAuth.MayIntrospect(x.caller); err != nil {
		return err
	}
	if err := s.admitIntrospection(x); err != nil {
		return err
	}
	if r.Token == "" {
		return errNoTokenParameter()
	}
	buffer := answers.Get().(*[]byte)
	*buffer = s.View.Introspect((*buffer)[:0], []byte(r.Token), iam.Now())
	x.http.SetContentType(contentJSON)
	x.http.SetBody(*buffer)
	answers.Put(buffer)
	return nil
}

// jwks gives the public keys. Caches may keep them for a minute, which is well within the time that a
// new key is published before it signs.
func (s *Server) jwks(x *exchange) error {
	x.http.Response.Header.Set("Cache-Control", "public, max-age=60")
	x.http.SetContentType("application/jwk-set+json")
	x.http.SetBody(s.View.JWKS(iam.Now()))
	return nil
}
