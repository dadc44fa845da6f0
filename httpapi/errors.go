package httpapi

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// statuses is the only place where codes become status codes.
var statuses = map[iam.Code]int{
	iam.ValidationError:        fasthttp.StatusUnprocessableEntity,
	iam.InvalidRequest:         fasthttp.StatusBadRequest,
	iam.UnsupportedGrantType:   fasthttp.StatusBadRequest,
	iam.InvalidScope:           fasthttp.StatusBadRequest,
	iam.InvalidTarget:          fasthttp.StatusBadRequest,
	iam.InvalidGrant:           fasthttp.StatusUnauthorized,
	iam.InvalidClient:          fasthttp.StatusUnauthorized,
	iam.Unauthorized:           fasthttp.StatusUnauthorized,
	iam.InvalidToken:           fasthttp.StatusUnauthorized,
	iam.InsufficientScope:      fasthttp.StatusForbidden,
	iam.Forbidden:              fasthttp.StatusForbidden,
	iam.AccountDisabled:        fasthttp.StatusForbidden,
	iam.ClientDisabled:         fasthttp.StatusForbidden,
	iam.PasswordExpired:        fasthttp.StatusForbidden,
	iam.NotFound:               fasthttp.StatusNotFound,
	iam.MethodNotAllowed:       fasthttp.StatusMethodNotAllowed,
	iam.Conflict:               fasthttp.StatusConflict,
	iam.PreconditionFailed:     fasthttp.StatusPreconditionFailed,
	iam.PayloadTooLarge:        fasthttp.StatusRequestEntityTooLarge,
	iam.UnsupportedMediaType:   fasthttp.StatusUnsupportedMediaType,
	iam.AccountLocked:          fasthttp.StatusLocked,
	iam.RateLimitExceeded:      fasthttp.StatusTooManyRequests,
	iam.InternalError:          fasthttp.StatusInternalServerError,
	iam.TemporarilyUnavailable: fasthttp.StatusServiceUnavailable,
}

// standardCodes are the words that the standard OAuth endpoints use instead of ours, for standard
// clients know no others (RFC 6749 §5.2, RFC 7662 §2.3).
var standardCodes = map[iam.Code]iam.Code{
	iam.ValidationError: iam.InvalidRequest,
	iam.Unauthorized:    iam.InvalidClient,
	iam.AccountDisabled: iam.InvalidGrant,
	iam.AccountLocked:   iam.InvalidGrant,
	iam.ClientDisabled:  iam.InvalidClient,
	iam.PasswordExpired: iam.InvalidGrant,
}

// codeOf is the word for a refusal on the exchange's route. On the standard OAuth endpoints a client that
// is refused before it counts as authenticated, for its address, is one whose authentication failed.
func (x *exchange) codeOf(refusal iam.Code) iam.Code {
	if !x.route.standard {
		return refusal
	}
	if refusal == iam.Forbidden && x.actor() == "" {
		return iam.InvalidClient
	}
	if standard, ok := standardCodes[refusal]; ok {
		return standard
	}
	return refusal
}

// statusOf is the status of a refusal. On the standard OAuth endpoints a grant that is not good is a
// bad request (RFC 6749 §5.2).
func statusOf(code iam.Code, standard bool) int {
	if standard && code == iam.InvalidGrant {
		return fasthttp.StatusBadRequest
	}
	if status, ok := statuses[code]; ok {
		return status
	}
	return fasthttp.StatusInternalServerError
}

// statusCreated is the status of an answer that made something.
const statusCreated = fasthttp.StatusCreated

// refusalOf turns any error into what may be told: an *iam.Error as it is, a deadline as a node that
// is too slow, and everything else as an internal error without a word about its cause. The second
// value is the cause, for the log, where the answer does not hold it.
func refusalOf(err error) (*iam.Error, error) {
	var refusal *iam.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code != iam.InternalError:
		return refusal, nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return iam.Unavailable(time.Second, "The request could not be completed in time; whether it took effect is not known."), err
	}
	return iam.Errorf(iam.InternalError, "The server met an error that it did not expect. The request_id finds it in the server's log."), err
}

// fail replaces whatever the answer held by the refusal, and returns the body for whoever has more to
// say.
func (x *exchange) fail(err error) api.Problem {
	refusal, cause := refusalOf(err)
	if cause != nil {
		x.cause = cause
	}
	code := x.codeOf(refusal.Code)
	x.code = code
	x.http.Response.ResetBody()
	x.http.SetStatusCode(statusOf(code, x.route.standard))
	noStore(&x.http.Response.Header) // a refusal is about this moment and this caller
	x.challenge(refusal.Code, code)
	p := api.Problem{
		Code: string(code), Description: refusal.Message, Timestamp: time.Now().UTC(),
		Path: x.path(), RequestID: x.id,
	}
	for _, f := range refusal.Fields {
		p.Details = append(p.Details, api.FieldProblem{Field: f.Field, Message: f.Message})
	}
	if refusal.LockedUntil != 0 {
		until := refusal.LockedUntil.Std()
		p.LockedUntil = &until
	}
	if code == iam.RateLimitExceeded || code == iam.TemporarilyUnavailable {
		p.RetryAfter = retrySeconds(refusal.RetryAfter)
		x.http.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(p.RetryAfter, 10))
	}
	x.encode(p)
	return p
}

// challenge tells how to authenticate, as every 401 must (RFC 9110 §15.5.2, RFC 6750 §3), and which
// scope is missing; no other answer may, for it would send its reader to look for better credentials.
func (x *exchange) challenge(refusal, code iam.Code) {
	offer := func(scheme, more string) {
		x.http.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, scheme+` realm="keystone"`+more)
	}
	const unicode = `, charset="UTF-8"`
	switch {
	case code == iam.InvalidToken, code == iam.InsufficientScope:
		offer("Bearer", `, error="`+string(code)+`"`)
	case refusal == iam.Unauthorized && x.route.auth == clientOrBearer:
		offer("Basic", unicode)
		offer("Bearer", "")
	case code == iam.InvalidClient:
		offer("Basic", unicode)
	case x.http.Response.StatusCode() == fasthttp.StatusUnauthorized:
		offer("Bearer", "")
	}
}

// retrySeconds rounds up, for a second too early is a refusal again.
func retrySeconds(d time.Duration) int64 {
	return max(1, int64(math.Ceil(d.Seconds())))
}

// path is the request's path for an error body: text, and of a length that nobody can abuse. It is
// empty where fasthttp could not read the request, or has forgotten what it read of it.
func (x *exchange) path() string {
	if len(x.http.Request.Header.RawHeaders()) == 0 {
		return ""
	}
	path, _, _ := bytes.Cut(x.http.RequestURI(), []byte("?"))
	if len(path) > 256 {
		path = path[:256]
	}
	return strings.ToValidUTF8(string(path), "\uFFFD")
}

// encode writes v as the body. A value that has no JSON form is a bug, which becomes an internal
// error in recovered.
func (x *exchange) encode(v any) { x.send(marshal(v)) }

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer has no JSON form: " + err.Error())
	}
	return body
}

func (x *exchange) send(body []byte) {
	x.http.SetContentType(contentJSON)
	x.http.SetBody(body)
}

const contentJSON = "application/json"
