package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/keystone-auth/keystone/api"
)

// errNoWrk leaves the row out where there is no wrk.
var errNoWrk = errors.New("wrk is not installed")

// crossCheck has wrk, another load generator, ask a node about one token, as the bench does beside it. Were
// the bench much slower, its figures would be about itself.
func crossCheck(ctx context.Context, l *lab) ([]float64, string, error) {
	program, err := exec.LookPath("wrk")
	if err != nil {
		return nil, "", errNoWrk
	}
	made, err := l.admin.CreateClient(ctx, api.CreateClientRequest{ClientID: "bench-wrk", Name: "Load test"})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = l.admin.DeleteClient(ctx, made.ClientID) }()
	issued, err := l.admin.ServiceToken(ctx, api.ServiceTokenRequest{ClientID: made.ClientID, ClientSecret: made.ClientSecret})
	if err != nil {
		return nil, "", err
	}
	// A file, because arguments are for everybody's eyes.
	script := filepath.Join(l.folder, "wrk.lua")
	text := fmt.Sprintf("wrk.method = \"POST\"\nwrk.body = \"token=%s\"\nwrk.headers[\"Content-Type\"] = \"application/x-www-form-urlencoded\"\nwrk.headers[\"Authorization\"] = \"Bearer %s\"\n",
		issued.AccessToken, issued.AccessToken)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	p := l.plan()
	p.Tokens, p.Bearer = 1, true
	ratios, a, b, err := l.pairs(ctx,
		func(ctx context.Context) (float64, error) {
			return throughput(ctx, l.cluster(1), "introspect", "introspect", p)
		},
		func(ctx context.Context) (float64, error) {
			return l.wrk(ctx, program, script, l.nodes[0].HTTP+"/api/v1/auth/introspect")
		})
	return ratios, fmt.Sprintf("%.0f, and %.0f a second by wrk", a.Median, b.Median), err
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkErrors = regexp.MustCompile(`(?m)^\s*(Non-2xx|Socket errors).*$`)
)

func (l *lab) wrk(ctx context.Context, program, script, url string) (float64, error) {
	seconds := max(1, int(l.options.Duration/time.Second))
	out, err := exec.CommandContext(ctx, program, "-t", "1", "-c", strconv.Itoa(l.options.Connections), "-d", fmt.Sprintf("%ds", seconds), "-s", script, url).Output()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w", err)
	}
	if trouble := wrkErrors.Find(out); trouble != nil {
		return 0, fmt.Errorf("wrk met errors: %s", trouble)
	}
	found := wrkRate.FindSubmatch(out)
	if found == nil {
		return 0, errors.New("wrk printed no rate")
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
