package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Format is the version of the JSON of a Report.
const Format = 1

// Report is what one run has measured. Times are in microseconds unless a name says otherwise.
type Report struct {
	Format   int       `json:"format"`
	Scenario string    `json:"scenario"`
	Started  time.Time `json:"started"`
	Version  string    `json:"version"` // of the program that measured
	Targets  []string  `json:"targets"` // URLs of the nodes that were asked
	Plan     Plan      `json:"plan"`
	Machine  Machine   `json:"machine"`
	Rounds   []Round   `json:"rounds"`
	Notes    []string  `json:"notes,omitempty"` // what a reader must know to judge the figures
}

// Plan is how a scenario is run.
type Plan struct {
	Connections int           `json:"connections"`
	Rate        float64       `json:"rate"` // requests a second, arrival times fixed; 0: each connection asks again when it is answered
	Warmup      time.Duration `json:"warmup_ns"`
	Duration    time.Duration `json:"duration_ns"` // of each round
	Rounds      int           `json:"rounds"`
	Tokens      int           `json:"tokens,omitempty"` // distinct ones
	Users       int           `json:"users,omitempty"`
	Mix         Mix           `json:"mix,omitempty"`    // of tokens, for introspection
	Bearer      bool          `json:"bearer,omitempty"` // who introspects proves itself by a bearer token, else by HTTP Basic
	Seed        uint64        `json:"seed"`
}

// Machine is where the bench itself ran.
type Machine struct {
	System     string `json:"system"` // such as linux/amd64
	Processor  string `json:"processor"`
	Processors int    `json:"processors"` // that the bench may use
	Memory     uint64 `json:"memory_bytes"`
	Go         string `json:"go"`
	Local      bool   `json:"local"` // a target runs on the same machine, and shares it with the bench
}

// Round is one of several equal measurements.
type Round struct {
	Seconds    float64     `json:"seconds"`
	Operations []Operation `json:"operations"`
	Series     []Second    `json:"series"`
	// OwnCPU is the share of the processors that the bench itself used, 0 to 1.
	OwnCPU float64 `json:"own_cpu"`
	// AllCPU is the share that everything on the bench's machine used, 0 to 1; 0 where it is not known.
	AllCPU float64 `json:"all_cpu"`
}

// Operation is one kind of request within a round.
type Operation struct {
	Name      string  `json:"name"`
	Requests  uint64  `json:"requests"` // that were answered as they should be
	PerSecond float64 `json:"per_second"`
	Errors    uint64  `json:"errors"` // that were not answered, or refused
	Unsent    uint64  `json:"unsent"` // that were due in an open loop and could not be sent in time
	// Wrong counts answers that must never be given, such as "active" about a token that was revoked.
	Wrong   uint64            `json:"wrong"`
	Kinds   map[string]uint64 `json:"error_kinds,omitempty"`
	Latency Latency           `json:"latency"`
	// Gap is the longest time in which no request of this kind was answered as it should be, in microseconds.
	Gap int64 `json:"longest_gap"`
}

// Latency is how long requests took, in microseconds. In an open loop it counts from when a request was due.
type Latency struct {
	Min  int64   `json:"min"`
	Mean float64 `json:"mean"`
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p999"`
	Max  int64   `json:"max"`
	// Curve is the latency by percentile, for drawing.
	Curve []Point `json:"curve"`
}

// Point is one point of a curve of latencies.
type Point struct {
	Percentile   float64 `json:"percentile"` // 0 to 100
	Microseconds int64   `json:"us"`
}

// Second is what happened in one second of a round, all operations together.
type Second struct {
	At       int    `json:"at"` // whole seconds since the round began
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	P50      int64  `json:"p50"`
	P99      int64  `json:"p99"`
	Max      int64  `json:"max"`
}

// Spread is a figure over the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// SpreadOf orders the figures of some rounds; none gives zeros.
func SpreadOf(figures []float64) Spread {
	if len(figures) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(figures))
	middle := s[len(s)/2]
	if len(s)%2 == 0 {
		middle = (s[len(s)/2-1] + middle) / 2
	}
	return Spread{Median: middle, Least: s[0], Most: s[len(s)-1]}
}

// Names returns the operations of the report, in the order in which they appear first.
func (r *Report) Names() (names []string) {
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			if !slices.Contains(names, o.Name) {
				names = append(names, o.Name)
			}
		}
	}
	return names
}

// Over returns a figure of one operation over the rounds that have it.
func (r *Report) Over(operation string, figure func(Operation) float64) Spread {
	var figures []float64
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			if o.Name == operation {
				figures = append(figures, figure(o))
			}
		}
	}
	return SpreadOf(figures)
}

// Wrong counts the answers that must never be given, over all rounds.
func (r *Report) Wrong() (n uint64) {
	for _, round := range r.Rounds {
		for _, o := range round.Operations {
			n += o.Wrong
		}
	}
	return n
}

// Save writes the report into a folder, which it makes: report.json for programs and for Compare, and
// report.html for people, one page that needs nothing else.
func (r *Report) Save(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // figures are for everybody
		return fmt.Errorf("the folder for the report cannot be made: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	page, err := r.HTML()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"report.json": append(text, '\n'), "report.html": page} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("the report cannot be written: %w", err)
		}
	}
	return nil
}

// Load reads a report: the file, or report.json in a folder.
func Load(path string) (*Report, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "report.json")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the report cannot be read: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil || r.Format == 0 {
		return nil, errors.New(path + " is no report of keystone bench: name a report.json that --report wrote")
	}
	if r.Format > Format {
		return nil, errors.New(path + " was written by a newer keystone bench: compare it with that one")
	}
	return r, nil
}
