package bench

import (
	"fmt"
	"html"
	"strings"
)

// markup is HTML in the making. It is written by hand because html/template would make the program, which
// a node is too, a quarter larger: the linker must then keep every method of every type.
type markup struct{ strings.Builder }

// put writes markup as it is, and in the place of each %s a text, in which nothing has a meaning.
func (m *markup) put(format string, texts ...string) {
	escaped := make([]any, len(texts))
	for i, text := range texts {
		escaped[i] = html.EscapeString(text)
	}
	fmt.Fprintf(m, format, escaped...)
}

// optional is put for a text that may be missing.
func (m *markup) optional(format, text string) {
	if text != "" {
		m.put(format, text)
	}
}

// write makes the whole page.
func (p *page) write() string {
	m := new(markup)
	title := "keystone bench"
	if p.Scenario != "" {
		title += ": " + p.Scenario
	}
	m.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>%s</title>
<style>
`, title)
	m.WriteString(reportStyle)
	m.put("</style>\n</head>\n<body>\n")
	p.writeHeader(m)
	m.put("<main>\n")
	p.writeFacts(m)
	p.writeOperations(m)
	p.writeKinds(m)
	p.writeDrawings(m)
	m.put("</main>\n</body>\n</html>\n")
	return m.String()
}

func (p *page) writeHeader(m *markup) {
	heading := p.Scenario
	if heading == "" {
		heading = "Report"
	}
	m.put("<header>\n<h1>%s</h1>\n<p class=\"soft\">keystone bench", heading)
	m.optional(" · %s", p.When)
	m.put("</p>\n</header>\n")
}

func (p *page) writeFacts(m *markup) {
	m.optional(`<p class="warning" role="alert"><strong>Wrong answers: %s.</strong>
The cluster gave answers that must never be given, such as “active” about a token that was revoked. This is a fault of
the server, and no other figure on this page matters before it is explained.</p>
`, p.Warning)
	m.put("<p>%s</p>\n<dl>\n", p.Sentence)
	if len(p.Targets) > 0 {
		m.put("<dt>Targets</dt><dd>")
		for _, target := range p.Targets {
			m.put("<div>%s</div>", target)
		}
		m.put("</dd>\n")
	}
	for _, f := range p.Facts {
		m.put("<dt>%s</dt><dd>%s</dd>\n", f.Name, f.Value)
	}
	m.put("</dl>\n")
	if len(p.Notes) > 0 {
		m.put("<h2>Notes</h2>\n<ul>")
		for _, note := range p.Notes {
			m.put("<li>%s</li>", note)
		}
		m.put("</ul>\n")
	}
}

func (p *page) writeOperations(m *markup) {
	m.put("<h2>Operations</h2>\n")
	if len(p.Operations) == 0 {
		m.put("<p>Nothing was measured.</p>\n")
	} else {
		m.put(`<div class="scroll" role="region" aria-label="Operations" tabindex="0">
<table>
<thead><tr><th scope="col">operation</th><th scope="col">answered a second</th><th scope="col">p50</th><th scope="col">p90</th>
<th scope="col">p99</th><th scope="col">p99.9</th><th scope="col">max</th>
<th scope="col">errors</th><th scope="col">unsent</th><th scope="col">wrong</th></tr></thead>
<tbody>
`)
		for _, o := range p.Operations {
			o.write(m)
		}
		m.put(`</tbody>
</table>
</div>
<p class="soft">Median over the rounds, and below it the least and the most of any round. Errors, unsent requests and wrong
answers are those of all rounds together.`)
		if p.Plan.Rate > 0 {
			m.put(` The latency counts from when a request was due, so that a stall is counted against every
request that should have been sent during it.`)
		}
		m.put("</p>\n")
	}
	if len(p.Rounds) > 0 {
		m.put("<dl>\n<dt>Processors used by the bench</dt><dd>%s", p.OwnCPU.Median)
		m.optional(" <small>(%s)</small>", p.OwnCPU.Range)
		m.put("</dd>\n<dt>Processors used on its machine</dt><dd>%s", p.AllCPU.Median)
		m.optional(" <small>(%s)</small>", p.AllCPU.Range)
		m.put("</dd>\n</dl>\n")
	}
}

func (o *operationRow) write(m *markup) {
	m.put(`<tr><th scope="row">%s</th>`, o.Name)
	for _, f := range o.Figures {
		m.put("<td>%s", f.Median)
		m.optional("<small>%s</small>", f.Range)
		m.put("</td>")
	}
	m.put("<td"+bad(o.Bad)+">%s</td><td"+bad(o.Bad)+">%s</td><td"+bad(o.Never)+">%s</td></tr>\n", o.Errors, o.Unsent, o.Wrong)
}

// bad marks a cell that nobody should overlook.
func bad(is bool) string {
	if is {
		return ` class="bad"`
	}
	return ""
}

func (p *page) writeKinds(m *markup) {
	if len(p.Kinds) == 0 {
		return
	}
	m.put(`<h2>Errors and wrong answers by kind</h2>
<div class="scroll"><table class="narrow">
<thead><tr><th scope="col">operation</th><th scope="col">number</th><th scope="col" class="text">kind</th></tr></thead>
<tbody>
`)
	for _, k := range p.Kinds {
		m.put(`<tr><th scope="row">%s</th><td>%s</td><td class="text wrapped">%s</td></tr>`+"\n", k.Operation, k.Count, k.Kind)
	}
	m.put("</tbody>\n</table></div>\n")
}

func (p *page) writeDrawings(m *markup) {
	if len(p.Drawings) == 0 {
		return
	}
	m.WriteString(`<h2>Charts</h2>
<p class="soft">At 99.9 % of the first chart, one of 1,000 requests took longer. A gap in a line over time parts two rounds, or is a
second without an answer.`)
	if p.Calm {
		m.put(" No second had an error, so there is no chart of errors.")
	}
	m.put("</p>\n")
	for _, drawing := range p.Drawings {
		m.WriteString("<figure>" + drawing + "</figure>\n") // it has escaped its texts itself
	}
}
