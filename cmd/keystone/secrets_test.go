package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
)

// TestSecretsStayInside has a cluster do what it is for, with everything logged, and looks for every
// secret that was used in whatever the nodes leave behind or show.
func TestSecretsStayInside(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks at processes in /proc")
	}
	const sharedKey, metricsToken, wrong = "shared-key-hunter2-of-thirty-two-bytes", "metrics-hunter2-token", "Wrong-hunter2-horse"
	dir := t.TempDir()
	for name, text := range map[string]string{"jwt": sharedKey, "metrics": metricsToken} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	t.Setenv("DEBUG", "true")
	t.Setenv("LOG_FORMAT", "json")
	t.Setenv("JWT_ALGORITHM", "HS256")
	t.Setenv("JWT_SECRET_KEY_FILE", filepath.Join(dir, "jwt"))
	t.Setenv("KEYSTONE_METRICS_TOKEN_FILE", filepath.Join(dir, "metrics"))
	t.Setenv("DATABASE_URL", "postgresql://auth:database-hunter2@127.0.0.1/auth")
	t.Setenv("REDIS_URL", "redis://:redis-hunter2@127.0.0.1/0")
	t.Setenv(tokenVariable, "token-hunter2")
	data := filepath.Join(dir, "cluster")
	dev := startDev(t, "--data", data, "--nodes", "2", "--port", strconv.Itoa(freePorts(t, 2)))

	secrets := map[string]string{
		"the shared key": sharedKey, "the metrics token": metricsToken, "a wrong password": wrong,
		"the database's password": "database-hunter2", "the cache's password": "redis-hunter2", "the operator's token": "token-hunter2",
		"the administrator's password": dev.Admin.Password, "the demo client's secret": dev.Client.Secret, "the cluster secret": clusterSecretOf(t, data),
	}
	dev.useSecrets(t, secrets, wrong)
	shown := map[string]string{"standard error": dev.stderr.String()}
	for i, n := range dev.Nodes {
		for _, file := range []string{"cmdline", "environ"} {
			shown[fmt.Sprintf("%s of %s", file, n.Name)] = readFile(t, filepath.Join("/proc", strconv.Itoa(dev.pid(t, i)), file))
		}
		shown["metrics of "+n.Name] = dev.metrics(t, i, metricsToken)
		shown["health of "+n.Name] = dev.fetch(t, i, "/health")
	}
	dev.stop(t)
	for _, n := range dev.Nodes {
		for _, file := range []string{"log", "raft/log.db", "state.db"} {
			shown[file+" of "+n.Name] = readFile(t, filepath.Join(data, n.Name, file))
		}
		if log := shown["log of "+n.Name]; !strings.Contains(log, `"level":"DEBUG"`) || !strings.Contains(log, `"endpoint":"/api/v1/auth/`) {
			t.Errorf("the log of %s is not what was asked for: %s", n.Name, log)
		}
	}
	for _, args := range [][]string{{"config", "check"}, {"config", "show"}, {"serve"}} {
		shown["keystone "+strings.Join(args, " ")] = refusedRun(t, wrong, args...)
	}
	for place, text := range shown {
		for what, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s is in the %s, or was not used", what, place)
			}
		}
	}
}

// useSecrets logs in, refreshes, revokes, makes a client and fails in several ways, and adds the secrets
// that came of it.
func (r *devRun) useSecrets(t *testing.T, secrets map[string]string, wrong string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	node := r.node(t, 0)
	first, err := node.Login(ctx, api.TokenRequest{Username: r.Admin.Username, Password: r.Admin.Password})
	must(err)
	second, err := r.node(t, 1).Refresh(ctx, api.RefreshRequest{RefreshToken: first.RefreshToken})
	must(err)
	admin := node.WithToken(second.AccessToken)
	made, err := admin.CreateClient(ctx, api.CreateClientRequest{ClientID: "made", Name: "Made"})
	must(err)
	_, err = admin.CreateUser(ctx, api.CreateUserRequest{Username: "carol", Email: "carol@example.org", Password: "Zx9!hunter2-Moor"})
	must(err)
	service, err := node.ServiceToken(ctx, api.ServiceTokenRequest{ClientID: r.Client.ID, ClientSecret: r.Client.Secret})
	must(err)
	_, err = node.WithCredentials(r.Client.ID, r.Client.Secret).Introspect(ctx, second.AccessToken)
	must(err)
	must(admin.Revoke(ctx, first.AccessToken))
	fails := func(_ any, err error) {
		t.Helper()
		if client.CodeOf(err) == "" {
			t.Errorf("what should have been refused gives %v", err)
		}
	}
	fails(node.Login(ctx, api.TokenRequest{Username: r.Admin.Username, Password: wrong}))
	fails(node.Login(ctx, api.TokenRequest{Username: wrong, Password: wrong}))
	fails(node.WithCredentials("made", wrong).Introspect(ctx, "x"))
	fails(node.Refresh(ctx, api.RefreshRequest{RefreshToken: first.RefreshToken[:40] + wrong}))
	fails(node.WithToken(wrong).Profile(ctx))
	for what, secret := range map[string]string{
		"the first access token": first.AccessToken, "the first refresh token": first.RefreshToken, "the second access token": second.AccessToken,
		"the second refresh token": second.RefreshToken, "a new client's secret": made.ClientSecret, "a new user's password": "Zx9!hunter2-Moor",
		"a service token": service.AccessToken,
	} {
		secrets[what] = secret
	}
}

// metrics reads the metrics page of a node.
func (r *devRun) metrics(t *testing.T, i int, bearer string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Nodes[i].HTTP+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the metrics: %d %v", resp.StatusCode, err)
	}
	return string(text)
}

func clusterSecretOf(t *testing.T, data string) string {
	t.Helper()
	var kept devCluster
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(data, "dev.json"))), &kept); err != nil {
		t.Fatal(err)
	}
	return kept.Secret
}

// refusedRun runs the program with secrets that are no good, and returns what it says.
func refusedRun(t *testing.T, wrong string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("keystone", args...)
	cmd.Env = append(os.Environ(), "JWT_SECRET_KEY_FILE=", "KEYSTONE_METRICS_TOKEN_FILE=", "JWT_SECRET_KEY="+wrong, "KEYSTONE_SECRET="+wrong,
		"KEYSTONE_METRICS_TOKEN="+wrong+" ", "DATABASE_URL=mysql://u:"+wrong+"@db/x", "KEYSTONE_SECRET_PREVIOUS=kss_"+wrong)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err == nil || !strings.Contains(out.String(), "JWT_SECRET_KEY must be at least 32 bytes") && !strings.Contains(out.String(), "KEYSTONE_SECRET: ") {
		t.Errorf("keystone %s: %v: %s", args, err, &out)
	}
	return out.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		t.Fatalf("%s is empty or cannot be read: %v", path, err)
	}
	return string(text)
}
