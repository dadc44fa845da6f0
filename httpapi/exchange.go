package httpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
)

// exchange is one request and its answer on the way through the adapter.
type exchange struct {
	http     *fasthttp.RequestCtx
	route    *route
	id       string // the request's id, as in X-Request-ID
	start    time.Time
	now      iam.Time // of the beginning, or when it was settled that this node may answer
	caller   oauth.Caller
	operator bool
	from     netip.Addr // who asks, see Server.address
	index    uint64     // of the last log entry that the answer is sure to reflect
	code     iam.Code   // of the refusal, if it was one
	cause    error      // what the log is told and the caller is not

	receipts *fsm.Receipts // of what was taken away; nil where nothing can be

	presented string // the client_id that the caller named, true or not

	form *form // of the body, where it is one
}

// exchanges are used again: at 50,000 requests a second the collector took a tenth of the processors for them.
// So nothing may keep one beyond its request.
var exchanges = sync.Pool{New: func() any { return &exchange{form: new(form)} }}

func newExchange(ctx *fasthttp.RequestCtx, rt *route) *exchange {
	x := exchanges.Get().(*exchange)
	x.http, x.route, x.start = ctx, rt, time.Now()
	x.now = iam.TimeOf(x.start)
	x.operator = ctx.UserValue(operatorMark{}) != nil
	if rt.denies {
		x.receipts = new(fsm.Receipts)
	}
	return x
}

func (x *exchange) release() {
	*x = exchange{form: x.form}
	exchanges.Put(x)
}

// operatorMark is the key under which a request that came in over the operator's socket is marked.
// Its type is not exported, so nothing in a request can set it.
type operatorMark struct{}

// serve makes the fasthttp handler of a route. It is the one way in: whatever happens inside, the
// answer has the common headers, and one log line and one count say how it ended.
func (s *Server) serve(rt *route, h handler) fasthttp.RequestHandler {
	m, head := s.metrics.endpoint(rt), commonHead(rt)
	return func(ctx *fasthttp.RequestCtx) {
		s.metrics.inFlight.Add(1)
		defer s.metrics.inFlight.Add(-1)
		head.CopyTo(&ctx.Response.Header)
		x := newExchange(ctx, rt)
		defer x.release()
		x.id, x.from = requestID(ctx, x.now), s.address(ctx)
		x.ownHeaders()
		x.index = s.Cluster.Applied() // before anything is read
		s.call(x, h)
		x.tellIndex()
		status, took := ctx.Response.StatusCode(), time.Since(x.start)
		m.observe(status, took)
		s.log(x, status, took)
	}
}

// call runs the handler and turns an error or a panic into an answer.
func (s *Server) call(x *exchange, h handler) {
	defer func() {
		if r := recover(); r != nil {
			x.fail(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	err := s.mayServe(x.route)
	if err == nil {
		err = s.settle(x)
	}
	if err == nil {
		err = h(s, x)
	}
	if err != nil {
		s.refused(x, iam.CodeOf(err))
		x.fail(err)
	}
}

// mayServe keeps a node that was away from answering out of its old state.
func (s *Server) mayServe(rt *route) error {
	if rt.always || s.current() {
		return nil
	}
	return iam.Unavailable(time.Second, "This node is starting and has not caught up with the cluster yet.")
}

func (s *Server) current() bool { return s.Cluster.Current == nil || s.Cluster.Current() }

// log writes the one line of a request. It never holds a query, a body or a header but the id.
func (s *Server) log(x *exchange, status int, took time.Duration) {
	level := slog.LevelInfo
	if x.route.quiet {
		level = slog.LevelDebug
	}
	if x.code == iam.InternalError {
		level = slog.LevelError
	}
	ctx := context.Background()
	if !s.Logger.Enabled(ctx, level) {
		return
	}
	// Not by way of the Logger, which would walk the stack for the line of this call each time.
	line := slog.NewRecord(x.start.Add(took), level, "request", 0)
	line.AddAttrs(
		slog.String("method", x.method()), slog.String("endpoint", x.route.path), slog.Int("status", status),
		slog.Duration("duration", took), slog.String("request_id", x.id))
	if ip := x.ip(); ip.IsValid() {
		line.AddAttrs(slog.String("ip", ip.String()))
	}
	if x.code != "" {
		line.AddAttrs(slog.String("code", string(x.code)))
	}
	if x.cause != nil {
		line.AddAttrs(slog.String("error", x.cause.Error()))
	}
	_ = s.Logger.Handler().Handle(ctx, line) // nobody is left to be told that a line could not be written
}

// method is the request's method if it is one that HTTP knows: a made-up one must not reach the log
// or become a label, of which there would be any number.
func (x *exchange) method() string {
	if x.route.method != "" {
		return x.route.method
	}
	switch m := string(x.http.Method()); m {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
		fasthttp.MethodDelete, fasthttp.MethodOptions, fasthttp.MethodTrace, fasthttp.MethodConnect:
		return m
	}
	return "other"
}

const headerRequestID = "X-Request-ID"

// The headers that every answer has of its own, as fasthttp spells them: it need not look at each letter again.
var (
	requestIDKey = []byte("X-Request-Id")
	indexKey     = []byte("Keystone-Index")
)

// requestID takes the caller's X-Request-ID where it is harmless in a log, else makes one.
func requestID(ctx *fasthttp.RequestCtx, now iam.Time) string {
	given := ctx.Request.Header.Peek(headerRequestID)
	if len(given) == 0 || len(given) > 64 {
		return iam.NewIDAt(now).String()
	}
	for _, c := range given {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return iam.NewIDAt(now).String()
		}
	}
	return string(given)
}

// fixedHeaders are on every answer. The program serves no page that anybody may frame or that loads
// anything, so everything is forbidden.
var fixedHeaders = [][2][]byte{
	{[]byte("X-Content-Type-Options"), []byte("nosniff")},
	{[]byte("X-Frame-Options"), []byte("DENY")},
	{[]byte("Referrer-Policy"), []byte("no-referrer")},
	{[]byte("Permissions-Policy"), []byte("camera=(), geolocation=(), microphone=()")},
	{[]byte("Content-Security-Policy"), []byte("default-src 'none'; frame-ancestors 'none'")},
}

// commonHead is what all answers of a route have. It is copied as a whole, which costs a third of what
// setting one header after the other does.
func commonHead(rt *route) *fasthttp.ResponseHeader {
	h := new(fasthttp.ResponseHeader)
	h.SetNoDefaultContentType(true)
	for _, kv := range fixedHeaders {
		h.SetCanonical(kv[0], kv[1])
	}
	if rt.noStore {
		noStore(h)
	}
	return h
}

func (x *exchange) ownHeaders() {
	h := &x.http.Response.Header
	var text [64]byte // on the stack
	h.SetCanonical(requestIDKey, append(text[:0], x.id...))
	if x.http.IsTLS() {
		h.Set(fasthttp.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
	}
}

// noStore keeps an answer out of every cache.
func noStore(h *fasthttp.ResponseHeader) {
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderPragma, "no-cache")
}

// ip is the address of who asks; it is not valid for the operator's socket.
func (x *exchange) ip() netip.Addr { return x.from }

// origin says who asks, for the log of changes and for the recognition of a retry.
func (x *exchange) origin() fsm.Origin {
	o := fsm.Origin{
		RequestID: x.idempotencyID(), Actor: x.actor(),
		UserAgent: string(x.http.UserAgent()), Trace: x.id,
	}
	if ip := x.ip(); ip.IsValid() {
		o.IP = ip.String()
	}
	o.Receipts = x.receipts
	return o
}

// actor is empty for who proved no identity.
func (x *exchange) actor() string {
	if x.caller.Claims == nil && x.caller.Client == nil && !x.caller.Operator {
		return ""
	}
	return x.caller.Actor()
}

// idempotencyID makes a request id of the caller's Idempotency-Key, so that a retry, on whatever
// node, is answered with the outcome of the first request. The body is part of it: a key that is used
// again for another request must not be told that this one was done, least of all a revocation; and
// who proved no identity must not get another's answer by guessing the key. Who asks for a token proves
// it further down: oauth.Token makes the client a part of the id.
//
// Routes whose answers hold fresh secrets that are kept nowhere (a login, a service token, a client
// secret) have no idempotency: the outcome that is remembered could not give them again.
func (x *exchange) idempotencyID() iam.ID {
	var id iam.ID
	key := x.http.Request.Header.Peek("Idempotency-Key")
	if len(key) == 0 || !x.route.idempotent {
		return id
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(x.actor()), []byte(x.route.method), x.http.Path(), key, x.http.PostBody()} {
		fmt.Fprintf(h, "%d:", len(part)) // lengths, so that no two lists of parts read alike
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// reflects says that the answer holds what the log entry at index did.
func (x *exchange) reflects(index uint64) { x.index = max(x.index, index) }

// tellIndex tells the caller how new the answer is, with the digits in a buffer of the stack's: every
// introspection has them.
func (x *exchange) tellIndex() {
	var digits [20]byte
	x.http.Response.Header.SetCanonical(indexKey, strconv.AppendUint(digits[:0], x.index, 10))
}

// param is a parameter of the path.
func (x *exchange) param(name string) string {
	value, _ := x.http.UserValue(name).(string)
	return value
}
