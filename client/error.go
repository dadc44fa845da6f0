package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/keystone-auth/keystone/api"
)

// Error is an answer that is not a success.
type Error struct {
	Status      int
	Code        string // such as invalid_grant; empty when whoever answered was not Keystone
	Description string
	RequestID   string // finds the request in the node's log
	Details     []api.FieldProblem
	RetryAfter  time.Duration // when trying again may help; zero when it was not said
	LockedUntil time.Time     // for account_locked
}

func (e *Error) Error() string {
	text := e.Description
	for i, d := range e.Details {
		if i == 0 {
			text += " In particular:"
		} else {
			text += ","
		}
		text += " " + d.Field + " " + d.Message
	}
	if e.Code == "" {
		return fmt.Sprintf("the node answered %d: %s", e.Status, text)
	}
	return fmt.Sprintf("%s (%s)", text, e.Code)
}

// CodeOf returns the code of an *Error in err's chain, and nothing for every other error.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// errorOf makes an Error of an answer. Something in between may have answered in Keystone's place, so
// the body may be anything.
func errorOf(resp *http.Response, body []byte) *Error {
	var p api.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		p = api.Problem{Description: http.StatusText(resp.StatusCode)}
	}
	e := &Error{
		Status: resp.StatusCode, Code: p.Code, Description: p.Description, Details: p.Details,
		RequestID: resp.Header.Get("X-Request-ID"), RetryAfter: time.Duration(p.RetryAfter) * time.Second,
	}
	if seconds, err := strconv.ParseInt(resp.Header.Get("Retry-After"), 10, 32); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if p.LockedUntil != nil {
		e.LockedUntil = *p.LockedUntil
	}
	return e
}
