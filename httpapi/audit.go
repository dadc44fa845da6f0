package httpapi

import (
	"bufio"
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/audit"
	"github.com/keystone-auth/keystone/iam"
)

const (
	contentLines = "application/x-ndjson"
	// exportAtOnce is how many events of an export are read in one transaction.
	exportAtOnce = 500
	// exportPause is how long a reader of an export may take for so many, before it is given up.
	exportPause = 10 * time.Second
	// checkpointsAtOnce bounds one answer.
	checkpointsAtOnce = 1000
)

// auditEvents searches the audit log, the newest first.
func (s *Server) auditEvents(_ context.Context, x *exchange, _ nothing) (api.AuditEvents, error) {
	list, err := x.list("sequence")
	if err != nil {
		return api.AuditEvents{}, err
	}
	q, err := x.auditQuery()
	if err != nil {
		return api.AuditEvents{}, err
	}
	q.Search, q.Oldest, q.Most = list.search, !list.descending, list.per
	if q.Skip = (list.number - 1) * list.per; list.after != nil {
		q.Skip, q.After = 0, sequenceOf(*list.after)
	}
	found, err := s.Audit.Find(q)
	if err != nil {
		return api.AuditEvents{}, err
	}
	out := api.AuditEvents{Events: make([]api.AuditEvent, 0, len(found.Entries)), Partial: found.Partial}
	out.Page = api.Page{Total: found.Total, Number: list.number, PerPage: list.per, Pages: (found.Total + list.per - 1) / list.per}
	if found.Next != 0 {
		next := placeOfSequence(found.Next).cursor(list.field)
		out.NextCursor = &next
	}
	for _, e := range found.Entries {
		out.Events = append(out.Events, describeEvent(e))
	}
	return out, nil
}

// auditQuery reads what an answer from the audit log is to hold.
func (x *exchange) auditQuery() (q audit.Query, err error) {
	if q.From, err = x.queryTime("from"); err != nil {
		return q, err
	}
	if q.To, err = x.queryTime("to"); err != nil {
		return q, err
	}
	q.Type, q.Actor, q.Target, q.Result = x.query("type"), x.query("actor"), x.query("target"), x.query("result")
	if q.Result != "" && q.Result != iam.AuditSuccess && q.Result != iam.AuditRefused {
		return q, iam.Invalid("result", "must be %s or %s", iam.AuditSuccess, iam.AuditRefused)
	}
	if after := x.query("after"); after != "" {
		if q.After, err = strconv.ParseUint(after, 10, 63); err != nil {
			return q, iam.Invalid("after", "must be the sequence number of an event")
		}
	}
	return q, nil
}

func (x *exchange) queryTime(name string) (iam.Time, error) {
	text := x.query(name)
	if text == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, iam.Invalid(name, "must be a time such as 2026-01-31T12:00:00Z")
	}
	return iam.TimeOf(at), nil
}

// placeOfSequence is where an event stands in a list, for its cursor.
func placeOfSequence(sequence uint64) place { return place{value: byTime(iam.Time(sequence))} }

// sequenceOf is the inverse of placeOfSequence.
func sequenceOf(p place) (sequence uint64) {
	for _, b := range []byte(p.value[:min(8, len(p.value))]) {
		sequence = sequence<<8 | uint64(b)
	}
	return min(sequence, 1<<62) // a cursor may be made up
}

func describeEvent(e iam.AuditEntry) api.AuditEvent {
	return api.AuditEvent{
		Sequence: e.Sequence, Hash: e.Hash.String(), PreviousHash: e.Previous.String(), Time: e.At.Std(),
		Type: e.Type, Actor: e.Actor, Target: e.Target, Result: e.Result, Reason: e.Reason,
		IPAddress: e.IP, UserAgent: e.UserAgent, RequestID: e.RequestID, Count: e.Count,
	}
}

// auditCheckpoints gives what the audit log can be proven by.
func (s *Server) auditCheckpoints(_ context.Context, x *exchange, _ nothing) (api.AuditCheckpoints, error) {
	q, err := x.auditQuery()
	if err != nil {
		return api.AuditCheckpoints{}, err
	}
	rows, head, err := s.Audit.Checkpoints(q.After, checkpointsAtOnce)
	out := api.AuditCheckpoints{Sequence: head.Sequence, Hash: head.Hash.String(), Checkpoints: make([]api.AuditCheckpoint, 0, len(rows))}
	for _, c := range rows {
		out.Checkpoints = append(out.Checkpoints, api.AuditCheckpoint{
			Sequence: c.Sequence, Hash: c.Hash.String(), Time: c.At.Std(), Removed: c.Removed,
			PublicKey: hex.EncodeToString(c.Key), Signature: hex.EncodeToString(c.Signature),
		})
	}
	if len(rows) == checkpointsAtOnce {
		out.Next = rows[len(rows)-1].Sequence
	}
	return out, err
}

// exportAudit writes the audit log as JSON lines, the oldest first, however long it is.
func (s *Server) exportAudit(x *exchange) error {
	if err := s.enter(x); err != nil {
		return err
	}
	q, err := x.auditQuery()
	if err != nil {
		return err
	}
	q.Most = exportAtOnce
	x.http.SetContentType(contentLines)
	conn := x.http.Conn() // the rest of x dies before the export is over
	x.http.SetBodyStreamWriter(func(w *bufio.Writer) {
		if err := s.export(w, q, func() { _ = conn.SetWriteDeadline(time.Now().Add(exportPause)) }); err != nil {
			s.Logger.Debug("an export of the audit log broke off", "error", err)
			_ = conn.Close() // so that nobody takes what arrived for the whole
		}
	})
	return nil
}

// export writes part by part. No transaction is open while it waits for the reader.
func (s *Server) export(w *bufio.Writer, q audit.Query, goOn func()) error {
	for {
		goOn()
		entries, next, err := s.Audit.Span(q)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := json.MarshalWrite(w, describeEvent(e)); err != nil {
				return err
			}
			if err := w.WriteByte('\n'); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil || next == 0 {
			return err
		}
		if err := s.life.Err(); err != nil {
			return err
		}
		q.After = next
	}
}
