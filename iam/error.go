package iam

import (
	"errors"
	"fmt"
	"time"
)

// Code classifies an expected refusal. Codes are words of the public API: they never change their
// meaning. The status codes that go with them are decided in httpapi alone.
type Code string

// The codes, as the HTTP contract lists them.
const (
	ValidationError        Code = "validation_error"
	InvalidRequest         Code = "invalid_request"
	UnsupportedGrantType   Code = "unsupported_grant_type"
	InvalidScope           Code = "invalid_scope"
	InvalidTarget          Code = "invalid_target"
	InvalidGrant           Code = "invalid_grant"
	InvalidClient          Code = "invalid_client"
	Unauthorized           Code = "unauthorized"
	InvalidToken           Code = "invalid_token"
	InsufficientScope      Code = "insufficient_scope"
	Forbidden              Code = "forbidden"
	AccountDisabled        Code = "account_disabled"
	ClientDisabled         Code = "client_disabled"
	PasswordExpired        Code = "password_expired"
	NotFound               Code = "not_found"
	MethodNotAllowed       Code = "method_not_allowed"
	Conflict               Code = "conflict"
	PreconditionFailed     Code = "precondition_failed"
	PayloadTooLarge        Code = "payload_too_large"
	UnsupportedMediaType   Code = "unsupported_media_type"
	AccountLocked          Code = "account_locked"
	RateLimitExceeded      Code = "rate_limit_exceeded"
	InternalError          Code = "internal_error"
	TemporarilyUnavailable Code = "temporarily_unavailable"
)

// Error is a refusal that was foreseen. It crosses nodes and reaches callers, so the message holds
// nothing that was sent in and nothing about how Keystone is built.
type Error struct {
	Code        Code          `cbor:"1,keyasint"`
	Message     string        `cbor:"2,keyasint"`
	Fields      []FieldError  `cbor:"3,keyasint,omitempty"` // what is wrong with each field, for validation
	RetryAfter  time.Duration `cbor:"4,keyasint,omitempty"` // when trying again may help
	LockedUntil Time          `cbor:"5,keyasint,omitempty"` // for AccountLocked
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `cbor:"1,keyasint"`
	Message string `cbor:"2,keyasint"`
}

// Errorf makes an Error. The format must not be given secrets or text that a caller sent.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid is the ValidationError for one field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{
		Code: ValidationError, Message: "The request has fields that are not valid.",
		Fields: []FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}},
	}
}

// Unavailable is the refusal of a node that cannot answer now but may soon.
func Unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	e := Errorf(TemporarilyUnavailable, format, args...)
	e.RetryAfter = retryAfter
	return e
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// CodeOf returns the code of an *Error in err's chain and InternalError for everything else.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return InternalError
}
