package iam

import "time"

// Time is an instant in microseconds since the Unix epoch, UTC; zero means "not set". It is what
// commands and rows carry: one number, the same bytes on every node, as fine as PostgreSQL's.
type Time int64

// Now is the wall clock. Like [NewID] it must not be called while a command is applied.
func Now() Time { return TimeOf(time.Now()) }

// TimeOf converts; the zero time.Time becomes the unset Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Std converts to a time.Time in UTC; unset becomes the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// Unix is the instant in whole seconds, rounded down, as JWT's NumericDate wants it (RFC 7519 §2).
func (t Time) Unix() int64 { return time.UnixMicro(int64(t)).Unix() }

// Add returns the instant d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Microsecond) }

// Sub returns how much later t is than u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Microsecond }
