package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/tally"
	"github.com/keystone-auth/keystone/view"
)

// Config is what a Server is made of. Everything is needed unless it says otherwise.
type Config struct {
	OAuth    *oauth.Service
	Login    *login.Service
	View     *view.View
	Store    *store.Store
	Proposer fsm.Proposer
	Hasher   *secret.Hasher
	Cluster  Cluster
	Audit    *audit.Log // nil: refusals are not recorded, and nobody can read the log
	// Backup copies the state, and tells how many bytes the copy has. It refuses more than one at a time.
	Backup func() (io.ReadCloser, int64, error)
	// CopyLog sends the log as far as this node has applied it. Nil: there is none.
	CopyLog func() io.ReadCloser
	Limiter *tally.Tally // nil: no limits
	Limits  limit.Set
	// TrustedProxies may say for which address they ask. Nobody else may.
	TrustedProxies []netip.Prefix
	// PublicURL is how clients reach the cluster, such as https://auth.example.com, for the metadata
	// document. Empty: as the request that asks for the document names the server.
	PublicURL string
	// AllowedOrigins are the origins of web pages that may call the API, as browsers write them. None:
	// no page of another origin may.
	AllowedOrigins []string
	// AllowedHosts are the hosts that requests may be for; see hostAllowed. None: all.
	AllowedHosts []string
	MetricsToken secret.Text // who reads the metrics must present it; none: they are open
	Version      string
	Node         string
	Logger       *slog.Logger
	Registry     *prometheus.Registry // nil: one of its own
}

// Cluster is what the API tells of the cluster. It is functions rather than the node itself, so that
// this room does not know how nodes talk.
type Cluster struct {
	Role    func() string // leader, follower, candidate, nonvoter or forming
	Leader  func() string // its name; empty when none is known
	Applied func() uint64 // the log index that this node's state reflects
	// Current tells whether this node has caught up with the cluster since it was started. Until
	// then it may hold for good what was revoked while it was down. Nil: always.
	Current func() bool
	// Trouble is why this node cannot keep anything, such as a full disk. Nil: nothing is.
	Trouble func() error
	// Fresh tells whether this node holds a lease, without waiting for one. Nil: always.
	Fresh func() bool
	// Read returns when this node may answer from its own state, see cluster.Node.Read. Nil: always.
	Read   func(context.Context, lease.Consistency) (lease.Reading, error)
	Status func(context.Context) api.Cluster
	// Remove, Promote and Demote change a member, by its name; Transfer has another one lead, of any name for "",
	// and says which does.
	Remove, Promote, Demote func(ctx context.Context, name string) error
	Transfer                func(ctx context.Context, name string) (leader string, err error)
}

// Server serves the API. All fields are set by New.
type Server struct {
	Config
	metrics  *metrics
	counted  counted
	started  time.Time
	document func() *file // the OpenAPI document, made when it is asked for at first
	public   *fasthttp.Server
	operator *fasthttp.Server
	life     context.Context // ends when the server is shut down, after its last request
	end      context.CancelFunc
	leaving  atomic.Bool // see Leave
}

// New makes a server, which serves nothing yet.
func New(c Config) *Server {
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	s := &Server{Config: c, started: time.Now()}
	s.life, s.end = context.WithCancel(context.Background())
	s.metrics = newMetrics(c)
	s.document = sync.OnceValue(func() *file { return newFile(contentJSON, pack(OpenAPI(c.Version))) })
	h := asGet(oneSlashLess(s.router().Handler))
	s.public = s.listener(s.letGo(secured(s.checkHost(s.shared(h)))))
	s.operator = s.listener(func(ctx *fasthttp.RequestCtx) {
		ctx.SetUserValue(operatorMark{}, true)
		h(ctx)
	})
	return s
}

// strictTransport makes a browser that was here over TLS come back over TLS alone, for a year, whatever a link or a
// network in between says (RFC 6797).
var strictTransport = []byte("max-age=31536000")

// secured adds what answers over TLS have more than others.
func secured(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		h(ctx)
		if ctx.IsTLS() {
			ctx.Response.Header.SetBytesV(fasthttp.HeaderStrictTransportSecurity, strictTransport)
		}
	}
}

// oneSlashLess lets a path with a slash at its end be the path without it.
func oneSlashLess(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		uri := ctx.URI()
		if path := uri.PathOriginal(); len(path) > 1 && path[len(path)-1] == '/' {
			uri.SetPathBytes(path[:len(path)-1])
		}
		h(ctx)
	}
}

// router knows every route. Its own corrections are off: a redirected POST loses its body, and an
// answer without our headers is not ours.
func (s *Server) router() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleOPTIONS, r.HandleMethodNotAllowed = false, false
	allowed := map[string][]string{}
	for _, rt := range routes() {
		h := s.serve(&rt, rt.handle.serve)
		for _, method := range rt.methods() {
			r.Handle(method, rt.path, h)
		}
		allowed[rt.path] = append(allowed[rt.path], rt.methods()...)
	}
	for path, methods := range allowed {
		r.ANY(path, s.serve(&wrongMethod, refuseMethod(methods)))
		if len(s.AllowedOrigins) > 0 {
			r.OPTIONS(path, s.preflight(methods))
		}
	}
	r.NotFound = s.serve(&unknownPath, unknownPath.handle.serve)
	return r
}

func (s *Server) listener(h fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: h, ErrorHandler: s.unreadable, Logger: quietLogger{s.Logger},
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ReadBufferSize: maxHeader, MaxRequestBodySize: maxBody,
		NoDefaultServerHeader: true, NoDefaultContentType: true, DisablePreParseMultipartForm: true,
		SecureErrorLogMessage: true, CloseOnShutdown: true, TCPKeepalive: true,
	}
}

// maxHeader bounds the request line and the headers together.
const maxHeader = 16 << 10

// Serve answers requests until Shutdown or an error of the listener.
func (s *Server) Serve(l net.Listener) error { return s.public.Serve(l) }

// ServeOperator is Serve for the Unix socket in the data folder: whoever may open it is the operator,
// who holds every scope and has no limits.
func (s *Server) ServeOperator(l net.Listener) error { return s.operator.Serve(l) }

// Leave has the node say that it is not ready any more, and lets every connection end with its next answer. It goes
// on answering, until Shutdown: whoever spreads requests over the nodes has time to notice.
func (s *Server) Leave() { s.leaving.Store(true) }

// letGo ends a connection of a node that stops with the answer that it waits for: its client opens the next one
// elsewhere, and none is cut with a request on its way.
func (s *Server) letGo(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		h(ctx)
		if s.leaving.Load() {
			ctx.SetConnectionClose()
		}
	}
}

// Shutdown takes no new requests, waits for those that are being answered, or until ctx ends, and
// then ends what is left of them.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.end()
	return errors.Join(s.public.ShutdownWithContext(ctx), s.operator.ShutdownWithContext(ctx))
}

// unreadable answers a request that fasthttp could not read, in the shape of every other error.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	refusal := iam.Errorf(iam.InvalidRequest, "The request is not valid HTTP.")
	var tooSmall *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		refusal = iam.Errorf(iam.PayloadTooLarge, "The body is larger than the 1 MiB that is allowed.")
		drain(ctx)
	case errors.As(err, &tooSmall):
		refusal = iam.Errorf(iam.InvalidRequest, "The headers are larger than the 16 KiB that are allowed.")
	case errors.As(err, &network) && network.Timeout():
		// Mostly a connection that was opened in advance and never used: an answer to no request would
		// be taken for the answer to the next one.
		_ = ctx.Conn().Close()
		return
	}
	secured(s.serve(&unreadable, func(*Server, *exchange) error { return refusal }))(ctx)
	s.share(ctx)
}

// drain reads what a client is still sending of a body that is refused. If the connection were closed
// over it the client would see a reset instead of the answer.
func drain(ctx *fasthttp.RequestCtx) {
	const most, pause = 32 << 20, 200 * time.Millisecond
	conn, buffer := ctx.Conn(), make([]byte, 32<<10)
	deadline := time.Now().Add(5 * time.Second)
	want := ctx.Request.Header.ContentLength()
	for read := 0; read < most && time.Now().Before(deadline) && (want < 0 || read < want); {
		if conn.SetReadDeadline(time.Now().Add(pause)) != nil {
			return
		}
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		read += n
	}
}

// quietLogger takes what fasthttp says about broken connections, which is of use only to whoever
// debugs them.
type quietLogger struct{ log *slog.Logger }

// Printf implements fasthttp.Logger. The arguments may hold what a client sent and are left out.
func (l quietLogger) Printf(format string, _ ...any) {
	l.log.Debug("a connection could not be served", "reason", format)
}
