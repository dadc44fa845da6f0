package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	wrapping "github.com/jedib0t/go-pretty/v6/text"

	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/secret"
)

// shownReasons is how many of them a person wants to read on a terminal.
const shownReasons = 20

func printPlan(out io.Writer, where string, plan []importer.PlannedTable) {
	fmt.Fprintf(out, "From %s:\n", where)
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"table", "there", "rows", "used", "ignored", "missing"})
	const width = 40
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 4, WidthMax: width, WidthMaxEnforcer: wrapping.WrapSoft},
		{Number: 5, WidthMax: width, WidthMaxEnforcer: wrapping.WrapSoft},
		{Number: 6, WidthMax: width, WidthMaxEnforcer: wrapping.WrapSoft},
	})
	for _, p := range plan {
		rows := any(p.Rows)
		if p.Note != "" || strings.Contains(p.Name, "_") && p.Rows == 0 { // links are not counted
			rows = ""
		}
		there := p.Source
		if there == "" {
			there = "-"
		}
		ignored := strings.Join(p.Ignored, ", ")
		if p.Note != "" {
			ignored = p.Note
		}
		t.AppendRow(table.Row{p.Name, there, rows, strings.Join(p.Used, ", "), ignored, strings.Join(p.Missing, ", ")})
	}
	t.Render()
}

func printImport(out io.Writer, r *importer.Report, file string) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"", "read", "created", "updated", "unchanged", "refused"})
	for _, c := range append(r.Tables, r.Sum()) {
		name := c.Kind + "s"
		if c.Kind == "" {
			t.AppendSeparator()
			name = "all"
		}
		t.AppendRow(table.Row{name, c.Read, c.Created, c.Updated, c.Unchanged, c.Refused})
	}
	t.Render()
	printNotes(out, r, file)
	summary(out, r)
}

// printNotes says what there is to say about rows: each reason once, with how many they are and one of them.
func printNotes(out io.Writer, r *importer.Report, file string) {
	if len(r.Reasons) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"", "outcome", "field", "reason", "rows", "such as"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 4, WidthMax: 70, WidthMaxEnforcer: wrapping.WrapSoft}})
	for _, n := range r.Reasons[:min(len(r.Reasons), shownReasons)] {
		t.AppendRow(table.Row{n.Kind, n.Outcome, n.Field, n.Reason, n.Rows, n.First})
	}
	t.Render()
	where := "--report FILE takes the note on each row."
	if file != "" {
		where = "The note on each row is in " + file + "."
	}
	fmt.Fprintln(out, where)
}

// formAtSource says which form the hash of a user's password has at the source.
func formAtSource(ctx context.Context, url string, mapping importer.Mapping, username string) (string, error) {
	source, err := importer.Open(ctx, url, mapping)
	if err != nil {
		return "", err
	}
	hash, found, err := source.HashOf(ctx, username)
	if err != nil {
		return "", err
	}
	if !found {
		return "the source has no user of that name", nil
	}
	form, err := secret.Recognize(hash)
	if err != nil {
		return fmt.Sprintf("nobody can log in with it, %s", err), nil
	}
	return form + " at the source", nil
}
