package httpapi

import (
	"sync"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// answers keeps buffers for introspection answers: there are more of these than of all others
// together.
var answers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// introspect is the hot path: who asks, then one answer from memory, appended and sent. It makes no
// context of its own: nothing waits here but for the one hash of an imported client secret, which is
// remembered.
func (s *Server) introspect(x *exchange) error {
	r, err := x.introspection()
	if err != nil {
		return err
	}
	if err := s.identifyClient(s.life, x, r.clientID, r.clientSecret); err != nil {
		return err
	}
	if err := s.OAuth.MayIntrospect(x.caller); err != nil {
		return err
	}
	if err := s.admitIntrospection(x); err != nil {
		return err
	}
	if len(r.token) == 0 {
		return errNoTokenParameter()
	}
	buffer := answers.Get().(*[]byte)
	*buffer = s.View.Introspect((*buffer)[:0], r.token, x.now)
	x.http.SetContentType(contentJSON)
	x.http.SetBody(*buffer)
	answers.Put(buffer)
	return nil
}

// introspection is what api.IntrospectRequest is, with a token that dies with the request: copying it twice
// took a tenth of the whole time.
type introspection struct {
	token                  []byte
	clientID, clientSecret string
}

func (x *exchange) introspection() (introspection, error) {
	if isForm, err := x.contentType(); err == nil && isForm {
		if err := x.form.read(x.http.PostBody()); err != nil {
			return introspection{}, err
		}
		return introspection{x.form.get("token"), string(x.form.get("client_id")), string(x.form.get("client_secret"))}, nil
	}
	var r api.IntrospectRequest
	err := x.decode(&r, nil)
	return introspection{[]byte(r.Token), r.ClientID, r.ClientSecret}, err
}

// jwks gives the public keys. Caches may keep them for a minute, which is well within the time that a
// new key is published before it signs.
func (s *Server) jwks(x *exchange) error {
	x.http.Response.Header.Set("Cache-Control", "public, max-age=60")
	x.http.SetContentType("application/jwk-set+json")
	x.http.SetBody(s.View.JWKS(iam.Now()))
	return nil
}
