package importer

import (
	"time"

	"github.com/keystone-auth/keystone/api"
)

// Report says what came of an import.
type Report struct {
	Source   string `json:"source"`   // name of the import
	Database string `json:"database"` // without credentials
	DryRun   bool   `json:"dry_run,omitempty"`
	Resumed  bool   `json:"resumed,omitempty"` // it went on where another run had stopped
	Finished bool   `json:"finished"`
	// Tables are what this run came to.
	Tables []Counts `json:"tables"`
	// Whole are the counts of all runs together, as the cluster keeps them; rows that cannot be represented never reach it.
	Whole *api.ImportState `json:"whole,omitempty"`
	// Reasons are how many rows there were of each kind of note, those that came first at first.
	Reasons []Reason `json:"reasons"`
	// Notes are the first of what is to be said of single rows, and NotesLeftOut how many there were beyond them.
	Notes        []api.ImportNote `json:"notes"`
	NotesLeftOut int              `json:"notes_left_out,omitempty"`
	Seconds      float64          `json:"seconds"`
}

// Counts are the rows of one kind.
type Counts struct {
	Kind      string `json:"kind"`
	Read      int    `json:"read"`
	Created   int    `json:"created"`
	Updated   int    `json:"updated"`
	Unchanged int    `json:"unchanged"`
	Refused   int    `json:"refused"`
}

// Reason is what is to be said of some rows.
type Reason struct {
	Kind    string `json:"kind"`
	Outcome string `json:"outcome"`
	Field   string `json:"field"`
	Reason  string `json:"reason"`
	Rows    int    `json:"rows"`
	First   string `json:"first"` // id of one of them
}

// keptReasons bounds the reasons: some hold the name that a row was given.
const keptReasons = 50

// keptNotes bounds the notes in the memory; all of them go to Options.Note as they come.
const keptNotes = 1000

// Sum are the rows of all kinds.
func (r *Report) Sum() (sum Counts) {
	for _, c := range r.Tables {
		sum.Read += c.Read
		sum.Created += c.Created
		sum.Updated += c.Updated
		sum.Unchanged += c.Unchanged
		sum.Refused += c.Refused
	}
	return sum
}

// NothingKept tells whether there were rows and all of them were refused.
func (r *Report) NothingKept() bool {
	sum := r.Sum()
	return sum.Refused > 0 && sum.Created+sum.Updated+sum.Unchanged == 0
}

func (r *Report) add(b *batch, answer api.ImportResponse) {
	if len(r.Tables) == 0 || r.Tables[len(r.Tables)-1].Kind != b.kind {
		r.Tables = append(r.Tables, Counts{Kind: b.kind})
	}
	c := &r.Tables[len(r.Tables)-1]
	c.Read += b.rows
	c.Created += answer.Created
	c.Updated += answer.Updated
	c.Unchanged += answer.Unchanged
	c.Refused += answer.Refused + b.refused
}

func (r *Report) note(n api.ImportNote) {
	r.count(n)
	if len(r.Notes) == keptNotes {
		r.NotesLeftOut++
		return
	}
	r.Notes = append(r.Notes, n)
}

func (r *Report) count(n api.ImportNote) {
	for i := range r.Reasons {
		if known := &r.Reasons[i]; known.Kind == n.Kind && known.Outcome == n.Outcome && known.Field == n.Field && known.Reason == n.Reason {
			known.Rows++
			return
		}
	}
	if len(r.Reasons) < keptReasons {
		r.Reasons = append(r.Reasons, Reason{Kind: n.Kind, Outcome: n.Outcome, Field: n.Field, Reason: n.Reason, Rows: 1, First: n.ID})
	}
}

// Progress is how far an import has come.
type Progress struct {
	Kind      string // of the rows that were sent last
	Done      int64  // rows, those of earlier runs among them
	Total     int64
	PerSecond float64
	Left      time.Duration
}

// pace knows how fast an import goes.
type pace struct {
	began time.Time
	first int64 // rows that were done before
	done  int64
	total int64
}

func (p *pace) progress(kind string, now time.Time) Progress {
	out := Progress{Kind: kind, Done: p.done, Total: max(p.total, p.done)}
	if passed := now.Sub(p.began).Seconds(); passed > 0 {
		out.PerSecond = float64(p.done-p.first) / passed
	}
	if out.PerSecond > 0 {
		out.Left = time.Duration(float64(out.Total-out.Done) / out.PerSecond * float64(time.Second))
	}
	return out
}
