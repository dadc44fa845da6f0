package bench_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/bench"
)

// drawn is what a test wants to know of a drawing.
type drawn struct {
	texts, titles []string
	lines         []string // the d of the lines, without those of the legend
	dots          int
}

var coordinates = regexp.MustCompile(`[A-Za-z]([-0-9.e]+)(?: ([-0-9.e]+))?`)

// read parses a drawing and checks that all of it lies within its view box.
func read(t *testing.T, svg string) (d drawn) {
	t.Helper()
	var width, height float64
	within := func(text string, limit float64) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= limit) {
			t.Errorf("a coordinate is %q, and the limit %v", text, limit)
		}
	}
	var inside []string
	var attributes map[string]string
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return d
		}
		if err != nil {
			t.Fatalf("the drawing is no XML: %v\n%s", err, svg)
		}
		switch e := token.(type) {
		case xml.StartElement:
			inside = append(inside, e.Name.Local)
			attributes = map[string]string{}
			for _, a := range e.Attr {
				attributes[a.Name.Local] = a.Value
			}
			if e.Name.Local == "svg" {
				box := strings.Fields(attributes["viewBox"])
				width, _ = strconv.ParseFloat(box[2], 64)
				height, _ = strconv.ParseFloat(box[3], 64)
				if e.Name.Space != "http://www.w3.org/2000/svg" || attributes["width"] != box[2] || attributes["height"] != box[3] {
					t.Errorf("it cannot stand alone: %v", e)
				}
			}
			for name, value := range attributes {
				switch name {
				case "x", "x1", "x2", "cx":
					within(value, width)
				case "y", "y1", "y2", "cy":
					within(value, height)
				}
			}
			if e.Name.Local == "circle" {
				d.dots++
			}
			if path := attributes["d"]; e.Name.Local == "path" && len(inside) == 3 {
				d.lines = append(d.lines, path)
				for _, c := range coordinates.FindAllStringSubmatch(path, -1) {
					within(c[1], width)
					within(c[2], height)
				}
			}
		case xml.EndElement:
			inside = inside[:len(inside)-1]
		case xml.CharData:
			switch strings.Join(inside, " ") {
			case "svg text":
				d.texts = append(d.texts, string(e))
				if at, _ := strconv.ParseFloat(attributes["x"], 64); attributes["text-anchor"] == "middle" && at+3.5*float64(len([]rune(string(e)))) > width {
					t.Errorf("%q is cut off at the right", e)
				}
			case "svg title", "svg g title":
				d.titles = append(d.titles, string(e))
			}
		}
	}
}

func TestAnyLineCanBeDrawn(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, points := range map[string][][2]float64{
		"none": nil, "one": {{5, 7}}, "zero": {{0, 0}}, "equal": {{3, 3}, {3, 3}},
		"no numbers": {{nan, 1}, {1, nan}, {inf, 1}, {1, -inf}},
		"negative":   {{-5, -7}, {-1, -2}}, "tiny": {{5e-324, 5e-324}, {0, 0}}, "huge": {{-math.MaxFloat64, math.MaxFloat64}, {1e99, -1e99}},
		"close": {{1e15, 1}, {1e15 + 1, 1 + 1e-15}}, "wide": {{1e-90, 1e-90}, {1e90, 1e90}}, "decades": {{1, 0.3}, {1e4, 2e6}},
		"steps": {{2, 20}, {5, 50}}, "edge": {{1, 1}, {100_000, 2}}, "within": {{210, 480}, {4.1, 4.2}},
	} {
		for i := range 4 {
			c := bench.Chart{Title: name, LogX: i&1 > 0, LogY: i&2 > 0, Lines: []bench.Line{{Name: name, Points: points}}}
			read(t, c.SVG())
		}
	}
	read(t, bench.Chart{}.SVG())
}

func TestPointsThatAreNoNumbersPartALine(t *testing.T) {
	d := read(t, bench.Chart{Lines: []bench.Line{{Points: [][2]float64{
		{0, 1}, {1, 2}, {2, math.NaN()}, {3, 1}, {4, 1}, {5, math.Inf(1)}, {6, 4},
	}}}}.SVG())
	if len(d.lines) != 1 || strings.Count(d.lines[0], "M") != 2 || strings.Count(d.lines[0], "L") != 2 || d.dots != 1 {
		t.Errorf("lines %q and %d dots, want two strokes of two points and one dot", d.lines, d.dots)
	}
}

func TestTicksAreRound(t *testing.T) {
	d := read(t, bench.Chart{LogX: true, Lines: []bench.Line{{Points: [][2]float64{{1, 130}, {20_000, 11_300}}}}}.SVG())
	got := " " + strings.Join(d.texts, " ") + " "
	for _, want := range []string{" 0 2,000 4,000 6,000 8,000 10,000 12,000 ", " 1 10 100 1,000 10,000 "} {
		if !strings.Contains(got, want) {
			t.Errorf("the ticks are %q, and lack %q", got, want)
		}
	}
	d = read(t, bench.Chart{LogX: true, LogY: true, Lines: []bench.Line{{Points: [][2]float64{{3, 230}, {80, 2e6}}}}}.SVG())
	got = " " + strings.Join(d.texts, " ") + " "
	if want := " 100 1,000 10,000 100,000 1,000,000 10,000,000 2 5 10 20 50 100 "; !strings.Contains(got, want) {
		t.Errorf("the logarithmic ticks are %q, and lack %q", got, want)
	}
}

func TestHigherValuesAreDrawnHigher(t *testing.T) {
	for _, log := range []bool{false, true} {
		d := read(t, bench.Chart{LogY: log, Lines: []bench.Line{{Points: [][2]float64{{1, 10}, {2, 1000}}}}}.SVG())
		c := coordinates.FindAllStringSubmatch(d.lines[0], -1)
		x1, _ := strconv.ParseFloat(c[0][1], 64)
		y1, _ := strconv.ParseFloat(c[0][2], 64)
		x2, _ := strconv.ParseFloat(c[1][1], 64)
		y2, _ := strconv.ParseFloat(c[1][2], 64)
		if x2 <= x1 || y2 >= y1-100 {
			t.Errorf("log %t: the line is %q", log, d.lines[0])
		}
	}
}

func TestTextsOfAChartAreEscaped(t *testing.T) {
	evil := "</title><script>\"&'\x00"
	svg := bench.Chart{
		Title: evil, X: evil, Y: evil, Lines: []bench.Line{{Name: evil + strings.Repeat("long", 99), Points: [][2]float64{{1, 1}}}},
		LabelY: func(float64) string { return evil },
	}.SVG()
	d := read(t, svg)
	if strings.Contains(svg, "<script") || len(d.titles) != 2 || !strings.HasPrefix(d.titles[0], `</title><script>"&'`) {
		t.Errorf("titles %q in %s", d.titles, svg)
	}
}
