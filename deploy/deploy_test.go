// Package deploy_test holds what lies beside it against the program, and against the checkers of those who run it.
package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestMetrics: each metric of an alert and of the dashboard is one that a node has. The page that is compared with
// is made from what a node answers.
func TestMetrics(t *testing.T) {
	page := read(t, "../docs/metrics.md")
	name := regexp.MustCompile(`\b(?:keystone|http|auth|tokens|process)_[a-z0-9_]+`)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, file := range []string{"prometheus/alerts.yml", "grafana/dashboards/keystone.json"} {
		found := name.FindAllString(expressions(t, file), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, metric := range found {
			if strings.HasPrefix(metric, "process_") { // of the Prometheus client library
				continue
			}
			if !strings.Contains(page, "`"+suffix.ReplaceAllString(metric, "")+"`") {
				t.Errorf("%s names the metric %s, which no node has", file, metric)
			}
		}
	}
}

// expressions are those of a file, one after the other.
func expressions(t *testing.T, file string) string {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(read(t, file)), &tree); err != nil { // JSON is YAML
		t.Fatalf("%s: %v", file, err)
	}
	var all strings.Builder
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			for key, value := range n {
				if text, ok := value.(string); ok && key == "expr" {
					all.WriteString(text + "\n")
				}
				walk(value)
			}
		case []any:
			for _, value := range n {
				walk(value)
			}
		}
	}
	walk(tree)
	return all.String()
}

// TestCertificateAlert: a certificate that nobody replaces is told of.
func TestCertificateAlert(t *testing.T) {
	if !strings.Contains(expressions(t, "prometheus/alerts.yml"), "keystone_tls_certificate_expiry_seconds - time()") {
		t.Error("no alert looks at when the certificate expires")
	}
}

// TestSettings: each variable that is set here is one that the program takes.
func TestSettings(t *testing.T) {
	page := read(t, "../docs/configuration.md")
	variable := regexp.MustCompile(`\bKEYSTONE_[A-Z_]+`)
	if err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".go") || path == "sign.sh" { // which nodes never see
			return err
		}
		for _, v := range variable.FindAllString(read(t, path), -1) {
			if !strings.Contains(page, "`"+v+"`") {
				t.Errorf("%s sets %s, which is no setting", path, v)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"../Dockerfile", "../docker-compose.yml"} {
		for _, v := range variable.FindAllString(read(t, path), -1) {
			if !strings.Contains(page, "`"+v+"`") {
				t.Errorf("%s sets %s, which is no setting", path, v)
			}
		}
	}
}

// TestStopTimes: whoever stops a node gives it the 20 s that KEYSTONE_DRAIN may be, the 5 s that the rest may take, and
// some more, before it kills it.
func TestStopTimes(t *testing.T) {
	for path, setting := range map[string]string{
		"systemd/keystone.service":                 "TimeoutStopSec=30\n",
		"../docker-compose.yml":                    "stop_grace_period: 30s\n",
		"helm/keystone/templates/statefulset.yaml": "terminationGracePeriodSeconds: 30\n",
		"kubernetes/keystone.yaml":                 "terminationGracePeriodSeconds: 30\n",
	} {
		if !strings.Contains(read(t, path), setting) {
			t.Errorf("%s does not say %s", path, setting)
		}
	}
}

// TestBundleIsReproducible packs the same programs twice, which stand in for real ones, with other times, in another
// time zone and for a user with another umask. What Go builds is reproducible by itself.
func TestBundleIsReproducible(t *testing.T) {
	for _, tool := range []string{"dpkg-deb", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed, so no bundle was made", tool)
		}
	}
	bin, scripts := t.TempDir(), map[string]string{
		"keystone": "echo $*", "cyclonedx-gomod": `while [ "$1" != -output ]; do shift; done; echo {} > "$2"`, "html": `echo page > "$2/README.html"`,
		"linux-amd64/keystone": "one", "linux-arm64/keystone": "other",
	}
	for name, text := range scripts {
		file := filepath.Join(bin, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var made []string
	for i, zone := range []string{"UTC", "Asia/Tokyo"} {
		out := t.TempDir()
		bundle := exec.CommandContext(t.Context(), "sh", "-c", []string{"umask 022", "umask 077"}[i]+"; exec ./bundle.sh v1 "+out+" "+bin)
		bundle.Env = append(os.Environ(), "TZ="+zone, "SOURCE_DATE_EPOCH=1700000000")
		if text, err := bundle.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		made = append(made, filepath.Join(out, "keystone-v1-bundle.tar.gz"))
		if err := os.Chtimes(filepath.Join(bin, "linux-amd64/keystone"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, made[0]) != read(t, made[1]) {
		t.Errorf("two bundles of the same differ: diffoscope %s %s", made[0], made[1])
	}
	signed(t, made[0])
}

// signed signs a file with a key of its own, as a release is, and holds a changed file against the signature.
func signed(t *testing.T, file string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	t.Setenv("KEYSTONE_SIGNING_KEY", strings.TrimSpace(read(t, key)))
	if out := run(t, "", "./sign.sh", file); strings.Contains(out, "thrown away") {
		t.Errorf("the key that was given was not taken: %s", out)
	}
	for text, good := range map[string]bool{read(t, file): true, read(t, file) + "x": false} {
		verify := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", file+".signers", "-I", "keystone-release", "-n", "keystone-bundle", "-s", file+".sig")
		verify.Stdin = strings.NewReader(text)
		if out, err := verify.CombinedOutput(); (err == nil) != good {
			t.Errorf("good: %v, and ssh-keygen says %v: %s", good, err, out)
		}
	}
}

// TestImageHasEverySource: what .dockerignore does not name is not there when the image is built.
func TestImageHasEverySource(t *testing.T) {
	rooms, err := filepath.Glob("../*/*.go")
	if err != nil || len(rooms) == 0 {
		t.Fatal(rooms, err)
	}
	named := strings.Split(read(t, "../.dockerignore"), "\n")
	for _, file := range append(rooms, "../cmd/keystone/main.go", "../internal/house/doc.go") {
		room := strings.Split(file, "/")[1]
		if room != "deploy" && !slices.Contains(named, "!"+room) {
			t.Errorf(".dockerignore leaves %s out", room)
		}
	}
}

// TestYAML: what no checker on this machine reads is at least YAML.
func TestYAML(t *testing.T) {
	for _, pattern := range []string{"*/*.y*ml", "*/*/*.y*ml", "grafana/*/*/*.yml", "helm/keystone/*.yaml", "../docker-compose.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			decoder := yaml.NewDecoder(strings.NewReader(read(t, file)))
			for {
				var tree any
				if err := decoder.Decode(&tree); err != nil {
					if err.Error() != "EOF" {
						t.Errorf("%s: %v", file, err)
					}
					break
				}
			}
		}
	}
}

// run runs a checker, and skips the test where it is not installed.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed, so nothing was checked by it", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestSystemdUnit lets systemd read the unit, and judge how much a process that was taken over could do.
func TestSystemdUnit(t *testing.T) {
	const most = 2.0
	dir := t.TempDir()
	unit := filepath.Join(dir, "keystone.service")
	program := filepath.Join(dir, "keystone")
	text := strings.ReplaceAll(read(t, "systemd/keystone.service"), "/usr/bin/keystone", program)
	for path, mode := range map[string]os.FileMode{unit: 0o600, program: 0o700} {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(t, "", "systemd-analyze", "verify", unit); strings.Contains(out, "keystone.service") {
		t.Errorf("systemd complains: %s", out)
	}
	out := run(t, "", "systemd-analyze", "security", "--offline=true", "--no-pager", unit)
	found := regexp.MustCompile(`exposure level for keystone.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no score in %s", out)
	}
	if score, err := strconv.ParseFloat(found[1], 64); err != nil || score >= most {
		t.Errorf("an exposure of %s, and it must be under %.1f", found[1], most)
	}
}

// certificate writes one that is good enough for a check of a configuration.
func certificate(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNginx(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"auth.example.com", "app.example.com"} {
		certificate(t, filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	}
	servers := strings.ReplaceAll(read(t, "proxies/nginx.conf"), "/etc/nginx/tls", dir)
	config := filepath.Join(dir, "nginx.conf")
	text := "pid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" + servers + "}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "nginx", "-t", "-c", config)
}

func TestCaddy(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	run(t, "", "caddy", "validate", "--adapter", "caddyfile", "--config", "proxies/Caddyfile")
}

// chart is what the chart makes, with everything that can be switched on.
func chart(t *testing.T) string {
	t.Helper()
	return run(t, "", "helm", "template", "keystone", "helm/keystone",
		"--set", "serviceMonitor.enabled=true", "--set", "env.JWT_ISSUER=https://auth.example.com")
}

func TestHelmChart(t *testing.T) {
	run(t, "", "helm", "lint", "--strict", "helm/keystone")
	secured := run(t, "", "helm", "template", "keystone", "helm/keystone", "--set", "tls.existingSecret=keystone-tls")
	if strings.Count(secured, "scheme: HTTPS") != 3 || !strings.Contains(secured, "secretName: keystone-tls") || strings.Contains(secured, "KEYSTONE_HTTP_INSECURE") {
		t.Errorf("with a certificate the chart makes %s", secured)
	}
	made := chart(t)
	for _, want := range []string{
		"kind: StatefulSet", "kind: PodDisruptionBudget", "kind: NetworkPolicy", "kind: ServiceMonitor", "publishNotReadyAddresses: true",
		`"keystone-0=keystone-0.keystone-peers:7400,keystone-1=keystone-1.keystone-peers:7400,keystone-2=keystone-2.keystone-peers:7400"`,
		`value: "https://auth.example.com"`,
	} {
		if !strings.Contains(made, want) {
			t.Errorf("the chart makes no %s", want)
		}
	}
}

// TestManifests: the plain manifests are what the chart makes without any setting.
func TestManifests(t *testing.T) {
	made := run(t, "", "helm", "template", "keystone", "helm/keystone")
	if got := read(t, "kubernetes/keystone.yaml"); strings.TrimSpace(got) != strings.TrimSpace(made) {
		t.Error("kubernetes/keystone.yaml is not what the chart makes: run make manifests")
	}
}

func TestKubeconform(t *testing.T) {
	if _, err := exec.LookPath("kubeconform"); err == nil && os.Getenv("KEYSTONE_ONLINE") == "" {
		t.Skip("kubeconform fetches its schemas, and make check-deploy needs none: set KEYSTONE_ONLINE=1 where that is possible")
	}
	run(t, read(t, "kubernetes/keystone.yaml"), "kubeconform", "-strict", "-ignore-missing-schemas", "-")
}

func TestCompose(t *testing.T) {
	if _, err := exec.LookPath("docker"); err == nil && exec.CommandContext(t.Context(), "docker", "compose", "version").Run() != nil {
		t.Skip("docker has no compose here, so nothing was checked by it: make check-deploy reads the file by the library of compose")
	}
	made := run(t, "", "docker", "compose", "--file", "../docker-compose.yml", "--profile", "postgres", "--profile", "monitoring", "config", "--format", "json")
	var project struct {
		Services map[string]any `json:"services"`
	}
	if err := json.Unmarshal([]byte(made), &project); err != nil || len(project.Services) != 6 {
		t.Errorf("%d services, want 6: %v", len(project.Services), err)
	}
}

// TestImage builds the image from a program that was built before, where there is an engine to do so.
func TestImage(t *testing.T) {
	if exec.CommandContext(t.Context(), "docker", "info").Run() != nil {
		t.Skip("no Docker engine answers here, so no image was built")
	}
	if _, err := os.Stat("../bin/keystone"); err != nil {
		t.Skip("bin/keystone is missing: make build, then test again")
	}
	run(t, "", "docker", "build", "--target", "prebuilt", "--tag", "keystone-test", "..")
	if out := run(t, "", "docker", "run", "--rm", "--read-only", "--network", "none", "keystone-test", "version"); out == "" {
		t.Error("the image prints no version")
	}
}
