package importer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// VerifyOptions says how two sides are compared.
type VerifyOptions struct {
	// Strict counts what a cluster does by itself once it is in use as a difference as well: rows of its own, which no
	// import brought, and logins, passwords and counters that moved on.
	Strict bool
	// Most is how many differences are listed; all are counted.
	Most int
	// Progress is told how many rows of a kind were compared so far. It may be nil.
	Progress func(kind string, rows int64)
}

// Verification is what a comparison came to.
type Verification struct {
	Index       uint64         `json:"index"` // of the log entry up to which the cluster was looked at
	Same        bool           `json:"same"`  // there is no difference
	Kinds       []VerifiedKind `json:"kinds"`
	Differences []Difference   `json:"differences"` // the first of them
	More        int64          `json:"more"`        // how many are not listed
}

// VerifiedKind counts the rows of one kind.
type VerifiedKind struct {
	Kind            string `json:"kind"` // scope, role, user or client
	Source          int64  `json:"source"`
	Cluster         int64  `json:"cluster"`
	Same            int64  `json:"same"`
	Different       int64  `json:"different"`
	OnlyAtSource    int64  `json:"only_at_source"`
	OnlyInCluster   int64  `json:"only_in_cluster"`
	Own             int64  `json:"own"`             // rows of the cluster that no import brought, which are no differences
	MovedOn         int64  `json:"moved_on"`        // same rows that were used in the cluster since
	MustReset       int64  `json:"must_reset"`      // same rows whose password hash has a form that nobody can verify
	HashedAnew      int64  `json:"hashed_anew"`     // same rows whose password Keystone hashed anew at a login
	Unrepresentable int64  `json:"unrepresentable"` // rows of the source that an import has to refuse; they are differences
}

// What is different about a row.
const (
	OnlyAtSource    = "only at the source"
	OnlyInCluster   = "only in the cluster"
	Different       = "different"
	Unrepresentable = "cannot be imported"
)

// Difference is one row that is not the same on both sides. It names members and never says what stands in them.
type Difference struct {
	Kind   string   `json:"kind"`
	ID     string   `json:"id"` // at the source, or in the cluster where it is there alone
	What   string   `json:"what"`
	Fields []string `json:"fields,omitempty"` // which are different
	Reason string   `json:"reason,omitempty"` // why it cannot be imported
}

// findings is what comparing two rows came to.
type findings struct {
	fields                         []string
	movedOn, mustReset, hashedAnew bool
}

func (f *findings) differ(field string, differs bool) {
	if differs {
		f.fields = append(f.fields, field)
	}
}

// verifier is a comparison on its way.
type verifier struct {
	o      VerifyOptions
	now    *side
	report *Verification
	kind   *VerifiedKind
	names  map[iam.ID]string // of roles and scopes
}

func (v *verifier) begin(kind string) {
	v.report.Kinds = append(v.report.Kinds, VerifiedKind{Kind: kind})
	v.kind = &v.report.Kinds[len(v.report.Kinds)-1]
}

func (v *verifier) add(id, what, reason string, fields ...string) {
	switch what {
	case OnlyAtSource:
		v.kind.OnlyAtSource++
	case OnlyInCluster:
		v.kind.OnlyInCluster++
	case Unrepresentable:
		v.kind.Unrepresentable++
	default:
		v.kind.Different++
	}
	v.report.Same = false
	if len(v.report.Differences) >= v.o.Most {
		v.report.More++
		return
	}
	v.report.Differences = append(v.report.Differences, Difference{Kind: v.kind.Kind, ID: id, What: what, Fields: fields, Reason: reason})
}

// compared counts a row that is on both sides.
func (v *verifier) compared(id string, f findings) {
	if len(f.fields) > 0 {
		v.add(id, Different, "", f.fields...)
		return
	}
	v.kind.Same++
	for _, c := range []struct {
		into *int64
		is   bool
	}{{&v.kind.MovedOn, f.movedOn}, {&v.kind.MustReset, f.mustReset}, {&v.kind.HashedAnew, f.hashedAnew}} {
		if c.is {
			*c.into++
		}
	}
}

// here counts a row that the cluster has and the source does not. One that an import brought was deleted there.
func (v *verifier) here(kind iam.ImportKind, id iam.ID) {
	v.kind.Cluster++
	if _, brought := v.now.Imported(kind, id); brought || v.o.Strict {
		v.add(id.String(), OnlyInCluster, "")
		return
	}
	v.kind.Own++
}

func (v *verifier) tell() {
	if n := v.kind.Source; v.o.Progress != nil && n%1000 == 0 {
		v.o.Progress(v.kind.Kind, n)
	}
}

// Verify compares a source, read as an import reads it, with the state of a cluster. Both are walked in the order of
// ids at the same time, so that it needs little memory for any number of rows.
func Verify(ctx context.Context, source *Source, snapshot *Snapshot, o VerifyOptions) (*Verification, error) {
	report := &Verification{Same: true, Differences: []Difference{}}
	r := &reader{source: source, rows: pageSize, patience: verifyPatience, say: func(string) {}}
	defer r.disconnect(ctx)
	err := snapshot.view(func(now *side) error {
		report.Index = now.index
		v := &verifier{o: o, now: now, report: report, names: map[iam.ID]string{}}
		return v.run(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

// verifyPatience is how long the source may be away.
const verifyPatience = 30 * time.Second

func (v *verifier) run(ctx context.Context, r *reader) error {
	err := byName(v, iam.ImportScope, rowsOf(ctx, r, scopesShape, (*row).scope), scopeKind.all(v.now),
		func(s *api.ImportScope) string { return s.Name }, func(s *iam.Scope) (string, iam.ID) { return s.Name, s.ID }, v.scope)
	if err != nil {
		return err
	}
	err = byName(v, iam.ImportRole, rowsOf(ctx, r, rolesShape, (*row).role), roleKind.all(v.now),
		func(s *api.ImportRole) string { return s.Name }, func(r *iam.Role) (string, iam.ID) { return r.Name, r.ID }, v.role)
	if err != nil {
		return err
	}
	if err := join(ctx, v, iam.ImportUser, rowsOf(ctx, r, usersShape, (*row).user), userKind.all(v.now), userKind.id, v.user); err != nil {
		return err
	}
	return join(ctx, v, iam.ImportClient, rowsOf(ctx, r, clientsShape, (*row).client), clientKind.all(v.now), clientKind.id, v.client)
}

// rowsOf yields the rows of a table of the source in the order of ids; none where the mapping leaves the table out.
func rowsOf[S any](ctx context.Context, r *reader, s *shape, read func(*row) S) iter.Seq2[sourced[S], error] {
	return func(yield func(sourced[S], error) bool) {
		t := r.source.tables[s]
		if t == nil {
			return
		}
		nameless, err := r.nameless(ctx, t)
		if err != nil {
			yield(sourced[S]{}, err)
			return
		}
		for range nameless {
			if !yield(sourced[S]{problem: &Difference{Fields: []string{"id"}, Reason: "is null where there must be a value"}}, nil) {
				return
			}
		}
		for after := ""; ; {
			page, err := r.page(ctx, t, after)
			if err != nil {
				yield(sourced[S]{}, err)
				return
			}
			for _, one := range page {
				after, _ = one.value("id")
				found := sourced[S]{row: read(one)}
				found.id, _ = iam.ParseID(one.id("id"))
				if one.reason != "" {
					found.problem = &Difference{ID: one.name(), Fields: []string{one.field}, Reason: one.reason}
				}
				if !yield(found, nil) {
					return
				}
			}
			if len(page) < r.rows {
				return
			}
		}
	}
}

// sourced is a row of the source.
type sourced[S any] struct {
	id      iam.ID
	row     S
	problem *Difference // why it cannot be imported
}

// join compares rows that both sides give in the order of ids, and needs no memory for what it has seen.
func join[S, T any](ctx context.Context, v *verifier, kind iam.ImportKind, source iter.Seq2[sourced[S], error], cluster iter.Seq[T],
	idOf func(*T) iam.ID, compare func(*S, *T) findings,
) error {
	v.begin(kind.String())
	next, stop := iter.Pull(cluster)
	defer stop()
	row, more := next()
	var last iam.ID
	for s, err := range source {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		v.kind.Source++
		v.tell()
		if s.problem != nil { // its id may be what is wrong with it
			v.add(s.problem.ID, Unrepresentable, s.problem.Reason, s.problem.Fields...)
			if s.id.IsZero() {
				continue
			}
		}
		if !last.IsZero() && !less(last, s.id) {
			return fmt.Errorf("the source does not give its rows of %s in the order of their ids, so that they cannot be compared: let its ids be of the type uuid", v.kind.Kind)
		}
		last = s.id
		for more && less(idOf(&row), s.id) {
			v.here(kind, idOf(&row))
			row, more = next()
		}
		if !more || idOf(&row) != s.id {
			if s.problem == nil {
				v.add(s.id.String(), OnlyAtSource, "")
			}
			continue
		}
		v.kind.Cluster++
		if s.problem == nil {
			v.compared(s.id.String(), compare(&s.row, &row))
		}
		row, more = next()
	}
	for ; more; row, more = next() {
		v.here(kind, idOf(&row))
	}
	return nil
}

// byName compares roles or scopes, which have other ids on both sides where the cluster had one of the name already.
// There are never many of them.
func byName[S, T any](v *verifier, kind iam.ImportKind, source iter.Seq2[sourced[S], error], cluster iter.Seq[T],
	nameOf func(*S) string, nameHere func(*T) (string, iam.ID), compare func(*S, *T) findings,
) error {
	v.begin(kind.String())
	rows := map[string]T{}
	for row := range cluster {
		name, id := nameHere(&row)
		rows[name], v.names[id] = row, name
	}
	for s, err := range source {
		if err != nil {
			return err
		}
		v.kind.Source++
		name := nameOf(&s.row)
		row, there := rows[name]
		switch {
		case s.problem != nil:
			v.add(s.problem.ID, Unrepresentable, s.problem.Reason, s.problem.Fields...)
		case !there:
			v.add(s.id.String(), OnlyAtSource, "")
		default:
			v.kind.Cluster++
			v.compared(s.id.String(), compare(&s.row, &row))
		}
		delete(rows, name)
	}
	left := make([]iam.ID, 0, len(rows))
	for _, row := range rows {
		_, id := nameHere(&row)
		left = append(left, id)
	}
	slices.SortFunc(left, func(a, b iam.ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range left {
		v.here(kind, id)
	}
	return nil
}

// sameNames compares names of what a row holds, of which the source may have some twice and in any order.
func (v *verifier) sameNames(theirs []string, ours []iam.ID) bool {
	return slices.Equal(distinctNames(theirs), distinctNames(v.namesOf(ours)))
}

func (v *verifier) namesOf(ids []iam.ID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = v.names[id]
	}
	return names
}

func distinctNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// sameName compares a username or an e-mail address, in which letter case means nothing.
func sameName(a, b string) bool { return iam.Fold(a) == iam.Fold(b) }
