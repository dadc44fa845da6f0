package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keystone-auth/keystone/bench"
	"github.com/keystone-auth/keystone/view"
)

// Curve shows how something grows with something else.
type Curve struct {
	Name   string       `json:"name"`
	Title  string       `json:"title"`
	X      string       `json:"x"`
	Y      string       `json:"y"`
	Points [][2]float64 `json:"points"`
}

// SVG draws the curve, as a file of its own.
func (c *Curve) SVG() string {
	return bench.Chart{Title: c.Title, X: c.X, Y: c.Y, LogX: true, Lines: []bench.Line{{Name: c.Y, Points: c.Points}}}.SVG()
}

// curve is how one comes about: a figure for each size up to the largest.
type curve struct {
	name, title, x, y string
	sizes             []int
	measure           func(ctx context.Context, l *lab, size int) (float64, error)
}

var curves = []curve{
	{
		"tokens", "Introspection by distinct tokens", "distinct tokens", "introspections a second", decades(1_000_000), growTokens,
	},
	{
		"lookups", "User look-ups by users", "users", "profiles a second", []int{1000, 10_000, 100_000, 1_000_000}, growLookups,
	},
	{
		"logins", "Logins by users", "users", "logins a second", []int{1000, 10_000, 100_000, 1_000_000}, growLogins,
	},
	{
		"writes", "Refreshes by concurrency", "in flight", "refreshes a second", []int{1, 2, 4, 8, 16, 32, 64, 128, 256}, growWrites,
	},
}

func decades(most int) (sizes []int) {
	for size := 1; size <= most; size *= 10 {
		sizes = append(sizes, size)
	}
	return sizes
}

// Grow measures every curve up to a largest number of tokens and users.
func Grow(ctx context.Context, o Options, most int) (all []Curve, err error) {
	lab, err := openLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lab.close()) }()
	for _, c := range curves {
		grown := Curve{Name: c.name, Title: c.title, X: c.x, Y: c.y}
		for _, size := range c.sizes {
			if size > most {
				break
			}
			o.Say(fmt.Sprintf("%s: %d", c.title, size))
			var figures []float64
			for range o.Rounds {
				figure, err := c.measure(ctx, lab, size)
				if err != nil {
					return nil, fmt.Errorf("%s, %d: %w", c.title, size, err)
				}
				figures = append(figures, figure)
			}
			grown.Points = append(grown.Points, [2]float64{float64(size), bench.SpreadOf(figures).Median})
		}
		all = append(all, grown)
	}
	return all, nil
}

// growTokens asks about each of so many tokens, all of which were seen before if the node remembers so many.
func growTokens(ctx context.Context, l *lab, size int) (float64, error) {
	p := l.plan()
	p.Tokens = size
	// First sight of a token costs a signature, and tokens are asked about at random: to meet nearly all of as many
	// as a node remembers takes several times as many questions.
	p.Warmup += time.Duration(min(size, view.DefaultRemembered)) * 300 * time.Microsecond
	return throughput(ctx, l.cluster(1), "introspect", "introspect", p)
}

// growLookups reads the profiles of some users among many.
func growLookups(ctx context.Context, l *lab, size int) (float64, error) {
	site, err := l.among(ctx, size)
	if err != nil {
		return 0, err
	}
	return throughput(ctx, site, "verify", "verify", l.plan())
}

func growLogins(ctx context.Context, l *lab, size int) (float64, error) {
	site, err := l.among(ctx, size)
	if err != nil {
		return 0, err
	}
	return throughput(ctx, site, "login", "login", l.longer())
}

func growWrites(ctx context.Context, l *lab, size int) (float64, error) {
	p := l.plan()
	p.Connections = size
	return throughput(ctx, l.cluster(len(l.nodes)), "refresh", "refresh", p)
}
