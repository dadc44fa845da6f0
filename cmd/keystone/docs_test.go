package main

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/internal/testcluster"
)

// update writes the pages instead of comparing them; see make docs.
var update = flag.Bool("update", false, "write the pages of docs that are made from the code")

// page compares a page of docs with what the code says now.
func page(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/%s is not what the code says any more: run make docs (%v)", name, err)
	}
}

const configurationIntroduction = `# Configuration

*Made from the table in ` + "`cmd/keystone/settings.go`" + ` by ` + "`make docs`" + `.*

` + "`keystone serve`" + ` takes each setting from the first of these places that has it: the flag, the environment
variable, the file that ` + "`--config`" + ` or ` + "`KEYSTONE_CONFIG`" + ` names, the default. An empty variable counts as none.

- The file is YAML. A setting has the name of its variable there, in lower case, and its value as it would be written in the
  variable; lists may be written as lists. It is strict: keys that are not known, keys that come twice and values that do not
  fit stop the start with the file, the line and what is wanted.
- Secrets never stand in the file or on a command line. ` + "`NAME_FILE`" + ` names a file that holds the secret, in the environment
  as well as, in lower case, in the file. An empty one is refused.
- Paths are relative to the folder in which the program is started.
- ` + "`keystone config check`" + ` names everything that is wrong without starting anything; ` + "`keystone config show`" + ` says what
  counts, and where it comes from.
- Variables that begin with KEYSTONE_ and are none of these are told of in the log, and change nothing. ` + "`REDIS_URL`" + ` is accepted
  for the sake of old set-ups: there is no cache.

` + "```yaml" + `
# keystone.yaml
keystone_name: a
keystone_http: 10.0.0.7:8000
keystone_tls_cert: /etc/keystone/tls.crt
keystone_tls_key: /etc/keystone/tls.key
keystone_initial: [a=10.0.0.7:7400, b=10.0.0.8:7400, c=10.0.0.9:7400]
keystone_secret_file: /run/secrets/keystone
allowed_origins:
  - https://app.example.com
` + "```" + `
`

// headings begin a section of the page at the row of that variable.
var headings = map[string]string{
	"KEYSTONE_CONFIG":            "The node and its API",
	"KEYSTONE_CLUSTER":           "The cluster",
	"KEYSTONE_NO_RATE_LIMIT":     "Logs, metrics, tests",
	"JWT_ISSUER":                 "Tokens",
	"DEFAULT_USER_ROLE":          "People",
	"KEYSTONE_SMTP_HOST":         "Messages to people",
	"RATE_LIMIT_LOGIN":           "Rate limits",
	"KEYSTONE_AUDIT_KEEP_DAYS":   "The audit log",
	"KEYSTONE_ARGON2_MEMORY_KIB": "Password hashes",
	"KEYSTONE_BACKUP_DIR":        "Backups",
	"DATABASE_URL":               "The old system",
}

func TestPageOfConfiguration(t *testing.T) {
	var b strings.Builder
	b.WriteString(configurationIntroduction)
	found := 0
	for _, s := range settings {
		if title, begins := headings[s.env]; begins {
			found++
			fmt.Fprintf(&b, "\n## %s\n\n| variable | in the file | flag | default | what it is | what it must be |\n|---|---|---|---|---|---|\n", title)
		}
		names, flag, std := "`"+s.env+"`", "", ""
		if s.secret {
			names += ", `" + s.env + "_FILE`"
		}
		if s.flag != "" {
			flag = "`--" + s.flag + "`"
		}
		if s.std != "" {
			std = "`" + s.std + "`"
		}
		key := "`" + s.key() + "`"
		if s.env == configVariable {
			key = ""
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", names, key, flag, std, cell(s.doc), cell(s.want))
	}
	if found != len(headings) {
		t.Errorf("%d of %d headings are at a setting", found, len(headings))
	}
	page(t, "configuration.md", b.String())
}

// cell keeps Markdown from reading a text as anything but text.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;").Replace(text)
}

const metricsIntroduction = `# Metrics

*Made from what a node answers on ` + "`/metrics`" + `, by ` + "`make docs`" + `.*

` + "`GET /metrics`" + ` answers in Prometheus' text format on every node. It is open unless ` + "`KEYSTONE_METRICS_TOKEN`" + ` is set, which the
scraper then presents as a bearer token; where ` + "`ALLOWED_HOSTS`" + ` is set, the address that is scraped has to be on that list. No
label has values that callers make up: endpoints are those of the route table, and what matches none is ` + "`unknown`" + `.

Worth an alarm: ` + "`keystone_lease_held == 0`" + ` or ` + "`keystone_raft_leader_known == 0`" + ` for longer than an election takes;
` + "`keystone_disk_full == 1`" + `; ` + "`keystone_clock_jumps_total`" + ` that moves; ` + "`keystone_raft_apply_lag`" + ` that grows;
` + "`increase(keystone_raft_transitions_total{to=\"candidate\"}[1h])`" + ` of more than a few; ` + "`keystone_hash_refused_total`" + ` that moves, for
then people cannot log in; ` + "`auth_attempts_total{result=\"error\"}`" + `; ` + "`process_open_fds`" + ` near ` + "`process_max_fds`" + `;
` + "`keystone_tls_certificate_expiry_seconds - time()`" + ` of less than two weeks, where it is not 0.

Beside these there are the usual ` + "`go_*` and `process_*`" + ` of the Prometheus client library.

| metric | type | labels | meaning |
|---|---|---|---|
`

func TestPageOfMetrics(t *testing.T) {
	families := scrape(t)
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	var b strings.Builder
	b.WriteString(metricsIntroduction)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), cell(f.GetHelp()))
	}
	page(t, "metrics.md", b.String())
}

// scrape asks a real node, after a login, for its metrics.
func scrape(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	c := testcluster.Start(t, 1)
	c.CreateUser("alice")
	if _, err := c.Nodes[0].Client().Login(t.Context(), api.TokenRequest{Username: "alice", Password: testcluster.Password}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + c.Nodes[0].Running().HTTP() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var all []*dto.MetricFamily
	for _, f := range byName {
		all = append(all, f)
	}
	measured(t, byName)
	return all
}

// measured proves that what a login touches has moved, so that no figure is wired to nothing.
func measured(t *testing.T, byName map[string]*dto.MetricFamily) {
	t.Helper()
	for _, name := range []string{
		"keystone_raft_term", "keystone_raft_last_index", "keystone_raft_commit_index", "keystone_raft_applied_index", "keystone_raft_members",
		"keystone_store_bytes", "keystone_raft_leader_known", "keystone_raft_is_leader", "keystone_http_requests_in_flight",
	} {
		if f := byName[name]; f == nil || f.Metric[0].GetGauge().GetValue() < 1 {
			t.Errorf("%s is missing or 0: %v", name, f)
		}
	}
	for _, name := range []string{"keystone_raft_commit_seconds", "keystone_raft_dispatch_seconds", "keystone_raft_fsm_seconds", "http_request_duration_seconds"} {
		f, count := byName[name], uint64(0)
		for _, m := range f.GetMetric() {
			count += m.GetHistogram().GetSampleCount()
		}
		if count == 0 {
			t.Errorf("%s has measured nothing", name)
		}
	}
	value := func(name, label, want string) float64 {
		for _, m := range byName[name].GetMetric() {
			for _, l := range m.Label {
				if l.GetName() == label && l.GetValue() == want {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		return -1
	}
	if v := value("keystone_proposal_seconds", "outcome", "made"); v < 2 {
		t.Errorf("%v changes were measured", v)
	}
	if value("keystone_raft_state", "state", "leader") != 1 || value("keystone_raft_state", "state", "follower") != 0 {
		t.Error("the state of a lone node is not leader")
	}
	if value("keystone_raft_transitions_total", "to", "leader") < 1 {
		t.Error("nobody became leader")
	}
	if f := byName["keystone_build_info"]; f.GetMetric()[0].GetGauge().GetValue() != 1 {
		t.Error("no build info")
	}
}
