package httpapi

import (
	"context"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/limit"
)

// handler answers one request. An error becomes the answer.
type handler func(s *Server, x *exchange) error

// endpoint is what a route does, with what the OpenAPI document must know of it.
type endpoint struct {
	serve             handler
	name              string       // of the method that serves it
	request, response reflect.Type // nil: describe.go says what goes in and comes out, if anything does
}

// raw makes an endpoint of a handler that does everything by itself, what enter does included.
func raw(h handler) endpoint { return endpoint{serve: h, name: methodName(h)} }

// methodName is the name of a function that is a method of Server, without its package.
func methodName(f any) string {
	full := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return full[strings.LastIndex(full, ".")+1:]
}

// requestTime is how long a request may take.
const requestTime = 5 * time.Second

// nothing is the request of a route that takes no body.
type nothing struct{}

// handle makes an endpoint of a use case with types: who calls, how often, what was sent, then the use
// case, then its answer.
func handle[Req, Resp any](use func(*Server, context.Context, *exchange, Req) (Resp, error)) endpoint {
	form := shapeOf(reflect.TypeFor[Req]())
	e := endpoint{name: methodName(use), request: reflect.TypeFor[Req](), response: reflect.TypeFor[Resp]()}
	e.serve = func(s *Server, x *exchange) error {
		if err := s.enter(x); err != nil {
			return err
		}
		var req Req
		if err := x.decode(&req, form); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(s.life, requestTime)
		defer cancel()
		resp, err := use(s, ctx, x, req)
		if err != nil {
			return err
		}
		if x.route.created {
			x.http.SetStatusCode(statusCreated)
		}
		x.send(withReceipt(marshal(resp), x.receipts.Receipt()))
		return nil
	}
	return e
}

// enter identifies the caller, counts the request and asks whether the caller may make it. It is
// counted before it is refused, or guessing tokens would cost nothing. A route that takes client
// credentials from its body does all of this itself, once it has read that.
func (s *Server) enter(x *exchange) error {
	var identified error
	switch x.route.auth {
	case clientOrBearer:
		return nil
	case anyone:
		x.caller.Operator = x.operator
		return s.admitRoute(x)
	default:
		identified = s.identify(x)
	}
	if x.route.limit == limitRefused && identified != nil {
		if err := s.admit(x, limit.AddressKey(x.ip()), s.Limits.API); err != nil {
			return err
		}
	}
	if err := s.admitRoute(x); err != nil {
		return err
	}
	if identified != nil {
		return identified
	}
	return x.permit()
}

// enterClient does the same for a route that takes client credentials, of which the ones in the body
// are given.
func (s *Server) enterClient(ctx context.Context, x *exchange, id, secret string) error {
	identified := s.identifyClient(ctx, x, id, secret)
	if err := s.admitRoute(x); err != nil {
		return err
	}
	return identified
}
