package httpapi

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/lease"
)

// How a caller says how true an answer has to be, and learns how late one is.
const (
	headerConsistency = "Keystone-Consistency"
	headerStaleness   = "Keystone-Staleness-Ms"
	latest            = time.Hour // more nobody may ask for: tokens live no longer, mostly
)

// settle waits until this node may answer from its own state. It comes before anything is read, the
// caller's own credentials included: a token that was revoked must not open a door on a node that has not
// heard of it.
func (s *Server) settle(x *exchange) error {
	if x.route.timeless || x.route.always && (x.route.auth == anyone || x.operator) {
		return nil
	}
	wanted, err := x.consistency()
	if err != nil || s.Cluster.Read == nil {
		return err
	}
	reading, err := s.Cluster.Read(s.life, wanted)
	if err != nil {
		return err
	}
	x.index = reading.Index
	if reading.Waited {
		x.now = iam.Now() // what was alive when the request came may not be any more
	}
	if reading.Staleness > 0 {
		x.http.Response.Header.Set(headerStaleness, strconv.FormatInt(int64((reading.Staleness+time.Millisecond-1)/time.Millisecond), 10))
	}
	return nil
}

// consistency is what the caller asks for. Less than the usual is for those alone who ask about others
// and prove themselves by client credentials: with a bearer token somebody could ask that his own
// revocation be overlooked.
func (x *exchange) consistency() (lease.Consistency, error) {
	text := x.http.Request.Header.Peek(headerConsistency)
	if len(text) == 0 {
		return lease.Consistency{}, nil
	}
	c, ok := parseConsistency(string(text))
	if !ok {
		return c, iam.Errorf(iam.InvalidRequest, "The header Keystone-Consistency takes strict, local, or bounded; ms= with a whole number up to 3600000.")
	}
	if c.Level != lease.Strict && (!x.route.bearsLate || isBearer(x.http.Request.Header.Peek(fasthttp.HeaderAuthorization))) {
		return c, iam.Errorf(iam.InvalidRequest, "Late answers are given about others alone, to callers with client credentials: leave Keystone-Consistency out, or ask for strict.")
	}
	return c, nil
}

func isBearer(authorization []byte) bool {
	scheme, _, _ := bytes.Cut(authorization, []byte(" "))
	return bytes.EqualFold(scheme, []byte("Bearer"))
}

// parseConsistency reads the header, which is a token with a parameter (RFC 9651 §3.3.4).
func parseConsistency(text string) (c lease.Consistency, ok bool) {
	level, parameter, bounded := strings.Cut(strings.TrimSpace(text), ";")
	switch strings.ToLower(strings.TrimSpace(level)) {
	case "strict":
		return lease.Consistency{Level: lease.Strict}, !bounded
	case "local":
		return lease.Consistency{Level: lease.Local}, !bounded
	case "bounded":
		digits, found := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "ms=")
		ms, err := strconv.ParseUint(digits, 10, 32)
		within := time.Duration(ms) * time.Millisecond
		return lease.Consistency{Level: lease.Bounded, Within: within}, found && err == nil && within <= latest
	}
	return c, false
}
