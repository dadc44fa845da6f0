package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxCount bounds a limit: a window remembers each request that it admitted.
const MaxCount = 1_000_000

// Limit is how many requests a caller may make in how long. The zero Limit admits everything.
type Limit struct {
	Name  string // tells the windows of one caller under several limits apart
	Count int
	Per   time.Duration
}

// Set is the limits of the API, each per caller.
type Set struct {
	Login        Limit // password logins
	Refresh      Limit
	ServiceToken Limit // client_credentials
	Register     Limit
	Mail         Limit // requests that end in a message to somebody
	API          Limit // everything else, introspection excepted
}

// Defaults returns the limits that hold where the operator sets none.
func Defaults() Set {
	return Set{
		Login:        Limit{Name: "login", Count: 5, Per: time.Minute},
		Refresh:      Limit{Name: "refresh", Count: 10, Per: time.Minute},
		ServiceToken: Limit{Name: "service_token", Count: 20, Per: time.Minute},
		Register:     Limit{Name: "register", Count: 3, Per: time.Hour},
		Mail:         Limit{Name: "mail", Count: 10, Per: time.Hour},
		API:          Limit{Name: "api", Count: 100, Per: time.Minute},
	}
}

// Off tells whether the limit admits everything.
func (l Limit) Off() bool { return l.Count <= 0 || l.Per <= 0 }

// Named returns the same limit under another name.
func (l Limit) Named(name string) Limit {
	l.Name = name
	return l
}

// String is what ParseLimit reads.
func (l Limit) String() string {
	if l.Off() {
		return "off"
	}
	for name, unit := range unitsByName {
		if l.Per == unit {
			return fmt.Sprintf("%d/%s", l.Count, name)
		}
	}
	return fmt.Sprintf("%d/%s", l.Count, shortDuration(l.Per))
}

// unitsByName are the lengths that have a name; an s may follow it.
var unitsByName = map[string]time.Duration{
	"second": time.Second,
	"minute": time.Minute,
	"hour":   time.Hour,
	"day":    24 * time.Hour,
}

// ParseLimit reads a limit such as 5/minute, 100/hours or 10/30s; "off" is the limit that admits
// everything.
func ParseLimit(s string) (Limit, error) {
	if s == "off" {
		return Limit{}, nil
	}
	countText, perText, found := strings.Cut(s, "/")
	count, err := strconv.Atoi(strings.TrimSpace(countText))
	per := parsePer(strings.TrimSpace(perText))
	if !found || err != nil || count < 1 || count > MaxCount || per < time.Millisecond {
		return Limit{}, fmt.Errorf("a rate limit is a number up to %d, a slash and a length of time, such as 5/minute, 100/hour or 10/30s; or off", MaxCount)
	}
	return Limit{Count: count, Per: per}, nil
}

// parsePer returns zero for what is not a length of time.
func parsePer(s string) time.Duration {
	if unit, ok := unitsByName[strings.TrimSuffix(s, "s")]; ok {
		return unit
	}
	per, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return per
}

// shortDuration writes 1h30m where time.Duration writes 1h30m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
