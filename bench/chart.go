package bench

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is a chart of lines. It is drawn without a library, so that a report needs nothing from outside.
type Chart struct {
	Title      string
	X, Y       string // what the axes measure, and in which unit
	LogX, LogY bool   // logarithmic axes, on which nothing at or below zero can be drawn
	// LabelX and LabelY write what stands at the ticks; nil: the plain number.
	LabelX, LabelY func(float64) string
	Lines          []Line
}

// Line is one line of a Chart. A point that is no finite number is left out, and parts the line there.
type Line struct {
	Name   string
	Points [][2]float64
}

// The measures of a drawing, in pixels before a page scales it.
const (
	chartWidth  = 860
	plotHeight  = 260
	chartMargin = 24
	titleBase   = 26 // where the writing of the title stands
	legendRow   = 20
	legendMark  = 26 // the piece of line before a name
	tickGap     = 8  // between an axis and what stands at its ticks
	glyphWidth  = 7  // a letter or digit is hardly ever wider
	dotRadius   = 2.5
)

const (
	longestName  = 60 // letters in a legend
	longestTitle = 90
	colours      = 8   // that chartStyle has
	dashes       = 4   // that chartStyle has
	aboutTicks   = 6   // on a linear axis
	mostDecades  = 8   // that get a tick each
	fewDecades   = 2.5 // leave room for ticks at 2 and 5
	// Larger numbers, and on a logarithmic axis smaller ones, are left out: their differences overflow.
	largest, smallest = 1e100, 1e-100
	// A range that is narrower than this share of its values cannot be told from a single value.
	flat = 1e-9
)

// chartStyle travels within each drawing, so that one works in a file of its own, too. The names are
// prefixed because a page takes the style of an inline drawing for its own.
const chartStyle = `
.kc{color:#1f2328;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
.kc text{fill:currentColor}.kc-back{fill:#fff}.kc-title{font-size:15px;font-weight:600}.kc-soft{opacity:.72}
.kc-grid{stroke:currentColor;stroke-opacity:.13}.kc-axis{stroke:currentColor;stroke-opacity:.55}
.kc-line{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linejoin:round}.kc-dot{fill:currentColor}
.kc-d1{stroke-dasharray:8 3}.kc-d2{stroke-dasharray:3 2}.kc-d3{stroke-dasharray:10 3 2 3}
.kc-0{color:#0b62c4}.kc-1{color:#c8500a}.kc-2{color:#1a7f37}.kc-3{color:#8250df}
.kc-4{color:#0f7b8a}.kc-5{color:#bf3989}.kc-6{color:#7a5c1e}.kc-7{color:#57606a}
@media (prefers-color-scheme:dark){.kc{color:#d7dde4}.kc-back{fill:#14181d}
.kc-0{color:#6cb6ff}.kc-1{color:#f69d50}.kc-2{color:#6bc46d}.kc-3{color:#c297ff}
.kc-4{color:#56d4dd}.kc-5{color:#f778ba}.kc-6{color:#d9b25f}.kc-7{color:#adbac7}}
`

// SVG draws the chart. The answer can stand inline in a page and alone in a file.
func (c Chart) SVG() string {
	var names []string
	var all [2][]float64
	for _, l := range c.Lines {
		names = append(names, l.Name)
		for _, p := range l.Points {
			if c.drawable(p) {
				all[0], all[1] = append(all[0], p[0]), append(all[1], p[1])
			}
		}
	}
	x, y := newAxis(all[0], c.LogX, false, c.LabelX), newAxis(all[1], c.LogY, true, c.LabelY)
	legend, legendHeight := legend(c.Lines)
	top := titleBase + legendHeight + 2*legendRow
	x.from, x.to = float64(chartMargin+y.widest()+tickGap), chartWidth-chartMargin
	y.from, y.to = float64(top+plotHeight), float64(top)
	height := top + plotHeight + 2*chartMargin

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="kc" role="img" width="%d" height="%d" viewBox="0 0 %d %d">`,
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<title>%s</title><desc>%s</desc><style>%s</style>`, escape(c.Title),
		escape(fmt.Sprintf("Across: %s. Upwards: %s. Lines: %s.", c.X, c.Y, strings.Join(names, ", "))), chartStyle)
	fmt.Fprintf(&b, `<rect class="kc-back" width="%d" height="%d"/>`, chartWidth, height)
	fmt.Fprintf(&b, `<text class="kc-title" x="%d" y="%d">%s</text>`, chartMargin, titleBase, escape(shorten(c.Title, longestTitle)))
	b.WriteString(legend)
	fmt.Fprintf(&b, `<text class="kc-soft" x="%d" y="%d">%s</text>`, chartMargin, top-legendRow/2, escape(shorten(c.Y, longestTitle)))
	fmt.Fprintf(&b, `<text class="kc-soft" text-anchor="middle" x="%.1f" y="%d">%s</text>`,
		(x.from+x.to)/2, height-8, escape(shorten(c.X, longestTitle)))
	for _, t := range y.ticks {
		at := y.at(t)
		fmt.Fprintf(&b, `<line class="kc-grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x.from, at, x.to, at)
		fmt.Fprintf(&b, `<text text-anchor="end" x="%.1f" y="%.1f">%s</text>`, x.from-tickGap, at+4, escape(y.label(t)))
	}
	for _, t := range x.ticks {
		at := x.at(t)
		fmt.Fprintf(&b, `<line class="kc-grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, at, y.from, at, y.to)
		label := x.label(t)
		inside := chartWidth - float64(glyphWidth*len([]rune(label)))/2 // as far right as it is not cut off
		fmt.Fprintf(&b, `<text text-anchor="middle" x="%.1f" y="%.1f">%s</text>`, min(at, inside), y.from+18, escape(label))
	}
	fmt.Fprintf(&b, `<path class="kc-axis" fill="none" d="M%.1f %.1fV%.1fH%.1f"/>`, x.from, y.to, y.from, x.to)
	for i, l := range c.Lines {
		fmt.Fprintf(&b, `<g class="kc-%d"><title>%s</title>%s</g>`, i%colours, escape(l.Name), c.path(i, l, x, y))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// path draws one line. A point without neighbours becomes a dot, since a line of no length is not seen.
func (c Chart) path(number int, l Line, x, y axis) string {
	var d, dots strings.Builder
	for i, p := range l.Points {
		if !c.drawable(p) {
			continue
		}
		before := i > 0 && c.drawable(l.Points[i-1])
		after := i+1 < len(l.Points) && c.drawable(l.Points[i+1])
		switch px, py := x.at(p[0]), y.at(p[1]); {
		case before:
			fmt.Fprintf(&d, "L%.1f %.1f", px, py)
		case after:
			fmt.Fprintf(&d, "M%.1f %.1f", px, py)
		default:
			fmt.Fprintf(&dots, `<circle class="kc-dot" cx="%.1f" cy="%.1f" r="%.1f"/>`, px, py, dotRadius)
		}
	}
	if d.Len() == 0 {
		return dots.String()
	}
	return fmt.Sprintf(`<path class="kc-line kc-d%d" d="%s"/>%s`, dash(number), d.String(), dots.String())
}

func (c Chart) drawable(p [2]float64) bool {
	for i, log := range []bool{c.LogX, c.LogY} {
		if v := p[i]; math.IsNaN(v) || math.Abs(v) > largest || log && v < smallest {
			return false
		}
	}
	return true
}

// dash tells lines apart for those who see no colours, and lines that share a colour.
func dash(number int) int { return (number + number/colours) % dashes }

// legend writes the names of the lines below the title, in as many rows as they take.
func legend(lines []Line) (drawing string, height int) {
	var b strings.Builder
	at, base := chartMargin, titleBase
	for i, l := range lines {
		if l.Name == "" {
			continue
		}
		name := shorten(l.Name, longestName)
		wide := legendMark + glyphWidth*len([]rune(name)) + chartMargin
		if base == titleBase || at+wide > chartWidth {
			at, base = chartMargin, base+legendRow+2
		}
		fmt.Fprintf(&b, `<path class="kc-line kc-%d kc-d%d" d="M%d %dh%d"/><text x="%d" y="%d">%s</text>`,
			i%colours, dash(i), at, base-4, legendMark-6, at+legendMark, base, escape(name))
		at += wide
	}
	return b.String(), base - titleBase
}

// axis is one direction of a chart.
type axis struct {
	log       bool
	low, high float64 // the values at its ends
	from, to  float64 // where its ends are drawn
	ticks     []float64
	label     func(float64) string
}

// newAxis chooses ends and ticks for some values. An upright axis begins at zero where it is linear, so that
// heights can be compared, and ends at ticks; along the other one the values take all the room.
func newAxis(values []float64, log, upright bool, label func(float64) string) axis {
	a := axis{log: log, label: label}
	if label == nil {
		a.label = number
	}
	if len(values) == 0 {
		values = []float64{1}
	}
	a.low, a.high = slices.Min(values), slices.Max(values)
	if log {
		a.logarithmic(upright)
		return a
	}
	if upright {
		a.low, a.high = min(a.low, 0), max(a.high, 0)
	}
	widest := max(math.Abs(a.low), math.Abs(a.high))
	if a.high-a.low <= max(smallest, flat*widest) {
		a.high += max(1, widest/10)
	}
	step := roundStep(a.high - a.low)
	if upright {
		a.low, a.high = math.Floor(a.low/step)*step, math.Ceil(a.high/step)*step
	}
	a.ticks = ticksBetween(a.low, a.high, step)
	return a
}

// logarithmic widens the axis to the next steps of 1, 2 and 5, and puts the ticks: at decades where there
// are enough of them, else at these steps, and within a single decade at equal distances.
func (a *axis) logarithmic(upright bool) {
	var steps []float64 // three for each decade, and one decade more than needed at each end
	least, most := int(math.Floor(math.Log10(a.low)))-1, int(math.Ceil(math.Log10(a.high)))+1
	for e := least; e <= most; e++ {
		steps = append(steps, math.Pow10(e), 2*math.Pow10(e), 5*math.Pow10(e))
	}
	first, exact := slices.BinarySearch(steps, a.low)
	if !exact {
		first--
	}
	last, _ := slices.BinarySearch(steps, a.high)
	last = max(last, first+1)
	decades := math.Log10(steps[last] / steps[first])
	if upright && decades > fewDecades { // only decades get a tick
		first, last = first-first%3, last+(3-last%3)%3
	}
	a.low, a.high = steps[first], steps[last]
	if decades < 1 {
		a.ticks = ticksBetween(a.low, a.high, roundStep(a.high-a.low))
		return
	}
	apart := max(1, int(math.Ceil(decades/mostDecades)))
	for i := first; i <= last; i++ {
		if decades <= fewDecades || i%3 == 0 && (least+i/3)%apart == 0 {
			a.ticks = append(a.ticks, steps[i])
		}
	}
}

// roundStep is the step of 1, 2 or 5 times a power of ten that parts a range into about as many as wanted.
func roundStep(wide float64) float64 {
	power := math.Pow10(int(math.Floor(math.Log10(wide / aboutTicks))))
	for _, n := range []float64{1, 2, 5} {
		if n*power*aboutTicks >= wide {
			return n * power
		}
	}
	return 10 * power
}

// ticksBetween counts in whole steps: adding them up would add up the errors of rounding, too.
func ticksBetween(low, high, step float64) (ticks []float64) {
	first, last := math.Ceil(low/step-flat), math.Floor(high/step+flat)
	for i := range int(last-first) + 1 {
		ticks = append(ticks, min(max((first+float64(i))*step, low), high))
	}
	return ticks
}

// at is where a value is drawn.
func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(v), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// widest is the room that the labels take.
func (a axis) widest() (pixels int) {
	for _, t := range a.ticks {
		pixels = max(pixels, glyphWidth*len([]rune(a.label(t))))
	}
	return pixels
}

// number writes a figure for people: 12,000 or 0.25.
func number(v float64) string {
	const decimals = 1e6
	if size := math.Abs(v); size >= 1e12 || size > 0 && size < 1/decimals {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	whole, fraction, dot := strings.Cut(strconv.FormatFloat(math.Round(v*decimals)/decimals, 'f', -1, 64), ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + fraction
	}
	return whole
}

func shorten(s string, letters int) string {
	if r := []rune(s); len(r) > letters {
		return string(r[:letters-1]) + "…"
	}
	return s
}

// escape makes a text fit for XML and HTML alike. Writing to memory cannot fail.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
