package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadFile is load with a YAML file; want is the beginning of the only problem, with FILE for the path
// of the file, or nothing.
func loadFile(t *testing.T, args, yaml string, environ ...string) (Config, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keystone.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, args, append(environ, "KEYSTONE_CONFIG="+path)...)
	if err != nil {
		return c, strings.ReplaceAll(err.Error(), path, "FILE")
	}
	return c, ""
}

func TestConfigFile(t *testing.T) {
	c, problem := loadFile(t, "", `
# A comment.
keystone_name: a
keystone_initial: [a=10.0.0.1:7400, b=10.0.0.2:7400]
password_min_length: 12
password_require_special: false
"jwt_issuer": 'https://auth.example.com'
rate_limit_login: 7/minute
allowed_origins:
  - https://app.example.com
  - http://localhost:3000
`)
	if problem != "" {
		t.Fatal(problem)
	}
	n := c.Node
	if n.Name != "a" || len(n.Initial) != 2 || n.Policy.MinLength != 12 || n.Policy.RequireSpecial ||
		n.Settings.Issuer != "https://auth.example.com" || n.Limits.Login.Count != 7 || len(n.AllowedOrigins) != 2 {
		t.Errorf("the file became %+v", n)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}", "~"} {
		if _, problem := loadFile(t, "", empty); problem != "" {
			t.Errorf("the file %q: %s", empty, problem)
		}
	}
}

// TestConfigFileIsTakenLiterally: a value is what is written, whatever YAML would make of it.
func TestConfigFileIsTakenLiterally(t *testing.T) {
	for _, name := range []string{"0x10", "1e3", "no", "yes", "2026-11-25", "1_000", "007"} {
		if c, problem := loadFile(t, "", "keystone_name: "+name+"\n"); problem != "" || c.Node.Name != name {
			t.Errorf("the name %s became %q: %s", name, c.Node.Name, problem)
		}
	}
}

func TestOrderWithFile(t *testing.T) {
	f := func(args, yaml string, environ []string, want string) {
		t.Helper()
		c, problem := loadFile(t, args, yaml, append(environ, "KEYSTONE_HTTP_INSECURE=true")...)
		if problem != "" || c.Node.HTTP != want {
			t.Errorf("flags %q, file %q, environment %q: the API is at %s, want %s: %s", args, yaml, environ, c.Node.HTTP, want, problem)
		}
	}
	f("", "keystone_http: :1", nil, ":1")
	f("", "keystone_http: :1", []string{"KEYSTONE_HTTP=:2"}, ":2")
	f("--http :3", "keystone_http: :1", []string{"KEYSTONE_HTTP=:2"}, ":3")
	f("", "keystone_http: :1", []string{"KEYSTONE_HTTP="}, ":1")
	f("", "{host: 0.0.0.0, port: 9000}", nil, "0.0.0.0:9000")
	f("", "{keystone_http: ':1', port: 9000}", nil, ":1")
	f("", "keystone_http: 10.0.0.1:1", []string{"PORT=9000"}, "10.0.0.1:9000")
	f("", "keystone_http: 10.0.0.1:1", []string{"HOST=::1"}, "[::1]:1")
	f("--http :3", "port: 9000", []string{"PORT=9001"}, ":3")
}

func TestConfigFileRefusals(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, problem := loadFile(t, "", yaml)
		if !strings.HasPrefix(problem, want) || strings.Contains(problem, "hunter2") || strings.Contains(problem, "\n") {
			t.Errorf("the file %q gives %q, want %q", yaml, problem, want)
		}
	}
	f("keystone_naem: a", "FILE:1: keystone_naem is no setting: was keystone_name meant?")
	f("\n\nwhatever: a", "FILE:3: whatever is no setting: see keystone help environment")
	f("KEYSTONE_NAME: a", "FILE:1: KEYSTONE_NAME is no setting")
	f("keystone_config: x.yaml", "FILE:1: keystone_config is no setting")
	f("port: 1\nport: 2", "FILE:2: port is set in line 1 already: remove one of the two")
	f("port: 1\nport: 1", "FILE:2: port is set in line 1 already")
	f("port: many", "FILE:1: port must be a port number from 0 to 65535, and is \"many\"")
	f("port: [1]", "FILE:1: port must be a port number from 0 to 65535, and is a list")
	f("port:\n  http: 1", "FILE:1: port must be a port number from 0 to 65535, and is a group of lines")
	f("max_login_attempts: 1.5", "FILE:1: max_login_attempts must be a whole number from 0 to 1000, and is \"1.5\"")
	f("max_login_attempts: true", "FILE:1: max_login_attempts must be a whole number from 0 to 1000, and is \"true\"")
	f("debug: yes", "FILE:1: debug must be true or false, and is \"yes\"")
	f("jwt_issuer:", "FILE:1: jwt_issuer has no value")
	f("jwt_issuer: ''", "FILE:1: jwt_issuer is empty")
	f("jwt_issuer: &x a\nkeystone_name: *x", "FILE:2: keystone_name must not be an alias")
	f("allowed_origins: [[https://a.example]]", "FILE:1: allowed_origins must be a list of single values, and line 1 is none")
	f("allowed_origins: ['https://a.example,https://b.example']", "FILE:1: allowed_origins must be a list of single values")
	f("allowed_origins: []", "FILE:1: allowed_origins is an empty list")
	f("jwt_secret_key: hunter2", "FILE:1: jwt_secret_key is a secret, which must not be in this file: put it into a file of its own and name that by jwt_secret_key_file")
	f("keystone_secret: kss_hunter2", "FILE:1: keystone_secret is a secret")
	f("database_url: postgresql://u:hunter2@db/auth", "FILE:1: database_url is a secret")
	f("jwt_secret_key_file: /nowhere/to/be/found", "FILE:1: jwt_secret_key_file names a file that cannot be read")
	f("jwt_secret_key_file: [a]", "FILE:1: jwt_secret_key_file must be a text, and is a list")
	f("- port", "FILE:1: a file of settings has lines such as")
	f("hunter", "FILE:1: a file of settings has lines such as")
	f("? [a, b]\n: c", "FILE:1:  must be the name of a setting")
	f("port: 1\n---\nport: 2", "FILE holds more than one document")
	f("port: [1", "FILE is no YAML: line 1: ")
	f("\tport: 1", "FILE is no YAML: ")

	if _, err := load(t, "--config /nowhere/to/be/found"); err == nil || !strings.HasPrefix(err.Error(), "--config names a file that cannot be used: ") {
		t.Errorf("a file that is missing: %v", err)
	}
	if _, problem := loadFile(t, "", strings.Repeat("#", 2<<20)); !strings.Contains(problem, "larger than 1 MiB") {
		t.Errorf("a large file: %s", problem)
	}
}

func TestConfigFileSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := strings.Repeat("k", 32)
	good, empty, large := write("key", key+"\n"), write("empty", "\n"), write("large", strings.Repeat("k", 65<<10))
	c, problem := loadFile(t, "", "jwt_secret_key_file: "+good+"\njwt_algorithm: HS256\n")
	if problem != "" || c.Node.SharedKey.Reveal() != key {
		t.Errorf("the key was not read from its file: %s", problem)
	}
	other := strings.Repeat("o", 32)
	c, problem = loadFile(t, "", "jwt_secret_key_file: "+good, "JWT_SECRET_KEY="+other)
	if problem != "" || c.Node.SharedKey.Reveal() != other {
		t.Errorf("the environment does not count before the file: %s", problem)
	}
	// A secret that is empty would count as none, and whoever set it believes in its protection.
	for _, path := range []string{empty, large} {
		if _, err := load(t, "", "KEYSTONE_METRICS_TOKEN_FILE="+path); err == nil || !strings.HasPrefix(err.Error(), "KEYSTONE_METRICS_TOKEN_FILE names a file that cannot be read: it is ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("port: 1\nallowed_origins: [a, b]\n")
	f.Add("jwt_secret_key: x\n? [a]\n: &b {c: *b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, problems := parseConfig("f", text)
		for key, e := range file {
			if e.text == "" {
				t.Errorf("%s has no value", key)
			}
		}
		for _, p := range problems {
			if p.Error() == "" {
				t.Error("a problem without words")
			}
		}
	})
}

// TestTakeDatabaseURL: what the importer will be given is what its driver understands.
func TestTakeDatabaseURL(t *testing.T) {
	for given, want := range map[string]string{
		"postgresql+asyncpg://u:hunter2@db:5432/auth": "postgresql://u:hunter2@db:5432/auth",
		"postgres://db/auth?sslmode=require":          "postgresql://db/auth?sslmode=require",
		"postgresql:///auth?host=/run/postgresql":     "postgresql:///auth?host=/run/postgresql",
	} {
		c, err := load(t, "", "DATABASE_URL="+given)
		if err != nil || c.DatabaseURL.Reveal() != want {
			t.Errorf("%s became %s: %v", given, c.DatabaseURL.Reveal(), err)
		}
		if _, err := url.Parse(want); err != nil {
			t.Error(err)
		}
	}
}
