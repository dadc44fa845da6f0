package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/secret"
)

// load is configOf with a command line and an environment as one would write them.
func load(t *testing.T, args string, environ ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags)
	if err := flags.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	return configOf(flags, environ)
}

func TestDefaults(t *testing.T) {
	c, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Node
	f := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	f("name", n.Name, "keystone")
	f("data", n.DataDir, "./keystone-data")
	f("http", n.HTTP, "127.0.0.1:8000")
	f("bind", n.Bind, "")
	f("issuer", n.Settings.Issuer, "keystone-auth")
	f("algorithm", n.Settings.Algorithm, "ES256")
	f("access", n.Settings.AccessSeconds, int64(900))
	f("refresh", n.Settings.RefreshSeconds, int64(30*86400))
	f("service", n.Settings.ServiceSeconds, int64(900))
	f("role", n.Settings.DefaultRole, "user")
	f("argon2", n.Hasher.Params, secret.DefaultParams())
	f("attempts", n.Lockout.Attempts, 5)
	f("lockout", n.Lockout.For, 15*time.Minute)
	f("limits", *n.Limits, limit.Defaults())
	f("log level", c.LogLevel, slog.LevelInfo)
	f("rotation", n.RotateKeys, 90*24*time.Hour)
	f("special", n.Policy.RequireSpecial, true)
}

func TestOrderOfSources(t *testing.T) {
	f := func(args string, environ []string, want string) {
		t.Helper()
		c, err := load(t, args, append(environ, "KEYSTONE_HTTP_INSECURE=true")...)
		if err != nil {
			t.Fatal(err)
		}
		if c.Node.HTTP != want {
			t.Errorf("flags %q, environment %q: the API is at %s, want %s", args, environ, c.Node.HTTP, want)
		}
	}
	f("", []string{"KEYSTONE_HTTP=:1"}, ":1")
	f("--http :2", []string{"KEYSTONE_HTTP=:1"}, ":2")
	f("--http 127.0.0.1:8000", []string{"KEYSTONE_HTTP=:1"}, "127.0.0.1:8000") // the default, said aloud
	f("", []string{"KEYSTONE_HTTP="}, "127.0.0.1:8000")
	f("", []string{"HOST=0.0.0.0", "PORT=9000"}, "0.0.0.0:9000")
	f("", []string{"HOST=::1"}, "[::1]:8000")
	f("", []string{"HOST=0.0.0.0", "PORT=9000", "KEYSTONE_HTTP=:1"}, ":1")
}

func TestCluster(t *testing.T) {
	type want struct{ Name, Bind, Advertise string }
	f := func(args string, w want) {
		t.Helper()
		c, err := load(t, args)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, want{c.Node.Name, c.Node.Bind, c.Node.Advertise}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
	f("--name a --initial a=10.0.0.1:7400,b=10.0.0.2:7400", want{"a", "10.0.0.1:7400", "10.0.0.1:7400"})
	f("--name b --initial a=10.0.0.1:7400,b=10.0.0.2:7400 --cluster :7400", want{"b", ":7400", "10.0.0.2:7400"})
	f("--name a --initial a=10.0.0.1:7400 --cluster 10.0.0.1:7400", want{"a", "10.0.0.1:7400", "10.0.0.1:7400"})
	f("--name a --initial a=10.0.0.1:7400 --cluster 0.0.0.0:7400", want{"a", "0.0.0.0:7400", "10.0.0.1:7400"})
	f("--name a --initial a=[2001:db8::1]:7400 --cluster [::]:7400", want{"a", "[::]:7400", "[2001:db8::1]:7400"})
	f("--name a --initial a=ks-0.ks:7400 --cluster 172.17.0.2:7401,ks-0.ks:7400", want{"a", "172.17.0.2:7401", "ks-0.ks:7400"})
	f("--name a --initial a=ks-0.ks:7400 --cluster :7401 --advertise ks-0.ks:7400", want{"a", ":7401", "ks-0.ks:7400"})
	f("--name d --join 10.0.0.1:7400 --cluster 10.0.0.4:7400", want{"d", "10.0.0.4:7400", "10.0.0.4:7400"})
	f("--name d --join 10.0.0.1:7400 --cluster 0.0.0.0:7400,ks-0.ks:7400", want{"d", "0.0.0.0:7400", "ks-0.ks:7400"})
	f("--name d --cluster 0.0.0.0:7400 --advertise ks-0.ks:7400", want{"d", "0.0.0.0:7400", "ks-0.ks:7400"})

	c, err := load(t, "--name b --initial a=10.0.0.1:7400,b=10.0.0.2:7400")
	if diff := cmp.Diff([]cluster.Peer{{Name: "a", Address: "10.0.0.1:7400"}, {Name: "b", Address: "10.0.0.2:7400"}}, c.Node.Initial); diff != "" || err != nil {
		t.Errorf("initial: %v\n%s", err, diff)
	}
}

// TestRefusals expects one sentence that begins with the name of what is wrong and, where it is a
// secret, does not hold its value.
func TestRefusals(t *testing.T) {
	f := func(args, environ, want string) {
		t.Helper()
		_, err := load(t, args, strings.Fields(environ)...)
		if err == nil {
			t.Errorf("flags %q, environment %q: accepted", args, environ)
			return
		}
		if text := err.Error(); !strings.HasPrefix(text, want) || strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
			t.Errorf("flags %q, environment %q: %q does not begin with %q, or holds a secret or a line break", args, environ, text, want)
		}
	}
	f("", "ACCESS_TOKEN_EXPIRE_MINUTES=soon", "ACCESS_TOKEN_EXPIRE_MINUTES must be a whole number of minutes from 1 to 1440, such as 15, and is \"soon\"")
	f("", "ACCESS_TOKEN_EXPIRE_MINUTES=0", "ACCESS_TOKEN_EXPIRE_MINUTES must be")
	f("", "ACCESS_TOKEN_EXPIRE_MINUTES=1441", "ACCESS_TOKEN_EXPIRE_MINUTES must be")
	f("", "ACCESS_TOKEN_EXPIRE_MINUTES=9223372036854775807", "ACCESS_TOKEN_EXPIRE_MINUTES must be")
	f("", "REFRESH_TOKEN_EXPIRE_DAYS=1.5", "REFRESH_TOKEN_EXPIRE_DAYS must be")
	f("", "SERVICE_TOKEN_EXPIRE_MINUTES=-1", "SERVICE_TOKEN_EXPIRE_MINUTES must be")
	f("", "JWT_ALGORITHM=none", "JWT_ALGORITHM must be one of")
	f("", "JWT_ALGORITHM=HS256", "JWT_ALGORITHM=HS256 signs with a key that other services share: set JWT_SECRET_KEY")
	f("", "JWT_SECRET_KEY=hunter2", "JWT_SECRET_KEY must be at least 32 bytes")
	f("", "JWT_SECRET_KEY_FILE=/nowhere/to/be/found", "JWT_SECRET_KEY_FILE names a file that cannot be read: ")
	f("", "KEYSTONE_SECRET=hunter2", "KEYSTONE_SECRET: the cluster secret does not begin with kss_")
	f("", "KEYSTONE_SECRET=kss_hunter2", "KEYSTONE_SECRET: the cluster secret is too short")
	f("", "KEYSTONE_SECRET_PREVIOUS=hunter2", "KEYSTONE_SECRET_PREVIOUS: ")
	f("", "RATE_LIMIT_LOGIN=often", "RATE_LIMIT_LOGIN must be a rate such as 5/minute")
	f("", "LOG_LEVEL=loud", "LOG_LEVEL must be debug, info, warning or error")
	f("", "LOG_FORMAT=xml", "LOG_FORMAT must be json, text or auto")
	f("", "PORT=http", "PORT must be a port number")
	f("", "PORT=65536", "PORT must be a port number")
	f("", "MAX_LOGIN_ATTEMPTS=-1", "MAX_LOGIN_ATTEMPTS must be")
	f("", "PASSWORD_REQUIRE_DIGITS=perhaps", "PASSWORD_REQUIRE_DIGITS must be true or false")
	f("", "PASSWORD_MIN_LENGTH=65 PASSWORD_MAX_LENGTH=64", "PASSWORD_MIN_LENGTH must not be over PASSWORD_MAX_LENGTH")
	f("", "KEYSTONE_ARGON2_MEMORY_KIB=1", "KEYSTONE_ARGON2_MEMORY_KIB must be")
	f("", "KEYSTONE_ARGON2_PASSES=256", "KEYSTONE_ARGON2_PASSES must be")
	f("", "KEYSTONE_ARGON2_LANES=0", "KEYSTONE_ARGON2_LANES must be")
	f("", "KEYSTONE_ARGON2_MEMORY_KIB=8 KEYSTONE_ARGON2_LANES=4", "KEYSTONE_ARGON2_MEMORY_KIB, _PASSES and _LANES do not fit together: ")
	f("", "KEYSTONE_HASH_WORKERS=many", "KEYSTONE_HASH_WORKERS must be")
	f("", "KEYSTONE_NO_RATE_LIMIT=maybe", "KEYSTONE_NO_RATE_LIMIT must be true or false")
	f("", "DEFAULT_USER_ROLE=a;b", "DEFAULT_USER_ROLE must be the name of a role")
	f("--http 8000", "", "--http must be an address such as 127.0.0.1:8000")
	for _, open := range []string{":8000", "0.0.0.0:8000", "10.0.0.7:8000", "[::]:8000", "auth.example.com:8000"} {
		f("--http "+open, "", "without TLS the API listens on this machine alone, and "+open+" is for others too: set KEYSTONE_TLS_CERT")
	}
	f("--http :8000 --tls-cert a", "", "KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY name a certificate and its key: set both")
	f("", "KEYSTONE_ACME_DOMAINS=a.example.com", "KEYSTONE_ACME_AGREE=true is missing: ")
	f("--tls-cert a --tls-key b", "KEYSTONE_ACME_DOMAINS=a.example.com", "KEYSTONE_ACME_DOMAINS and KEYSTONE_TLS_CERT exclude each other")
	f("", "KEYSTONE_ACME_DOMAINS=a.example.com KEYSTONE_ACME_AGREE=true KEYSTONE_ACME_CA=/nowhere", "KEYSTONE_ACME_CA names a file that cannot be read: ")
	f("--tls-key a", "", "KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY name a certificate and its key: set both")
	f("--name a_b/c", "", "--name must be")
	f("--initial 10.0.0.1:7400", "", "--initial must be a list")
	f("--initial a=10.0.0.1:7400,a=10.0.0.2:7400", "", "--initial must be a list")
	f("--initial a=10.0.0.1:7400,b=10.0.0.1:7400", "", "--initial must be a list")
	f("--initial a=:7400", "", "--initial must be a list")
	f("--name c --initial a=10.0.0.1:7400", "", "--initial lists no node named \"c\"")
	f("--name a --initial a=127.0.0.1:9341 --cluster 127.0.0.1:9349", "", "--initial says that a is at 127.0.0.1:9341, and --cluster says 127.0.0.1:9349: correct one of them, or give this node its own name")
	f("--name a --initial a=10.0.0.1:7400,b=10.0.0.2:7400 --cluster 10.0.0.2:7400", "", "--initial says that a is at 10.0.0.1:7400, and --cluster says 10.0.0.2:7400")
	f("--name a --initial a=10.0.0.1:7400 --cluster :7401", "", "--initial says that a is at 10.0.0.1:7400, and --cluster says :7401")
	f("--name a --initial a=10.0.0.1:7400 --advertise 10.0.0.2:7400", "", "--initial says that a is at 10.0.0.1:7400, and --advertise says 10.0.0.2:7400")
	f("--name a --initial a=10.0.0.1:7400 --cluster :7400,10.0.0.2:7400", "", "--initial says that a is at 10.0.0.1:7400, and --cluster says 10.0.0.2:7400")
	for _, proxies := range []string{"proxy", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0.1,", "fe80::1%eth0", "::ffff:0:0/96", "10.0.0.1:80"} {
		f("", "KEYSTONE_TRUSTED_PROXIES="+proxies, "KEYSTONE_TRUSTED_PROXIES must be addresses and networks such as 10.0.0.7,192.168.0.0/16")
	}
	for _, url := range []string{"auth.example.com", "ftp://auth.example.com", "https://", "https://auth.example.com/auth", "https://auth.example.com?x", "https://auth.example.com#x", "https://me@auth.example.com", "https://auth.example.com//"} {
		f("", "KEYSTONE_PUBLIC_URL="+url, "KEYSTONE_PUBLIC_URL must be a URL without a path such as https://auth.example.com")
	}
	f("", "JWT_ISSUER=key\x00stone", "JWT_ISSUER must be 1 to 255 characters")
	f("", "JWT_ISSUER=key\xffstone", "JWT_ISSUER must be 1 to 255 characters")
	f("", "JWT_ISSUER="+strings.Repeat("x", 256), "JWT_ISSUER must be 1 to 255 characters")
	f("--name a --initial a=10.0.0.1:7400 --join 10.0.0.1:7400", "", "--initial and --join exclude each other")
	f("--join 10.0.0.1", "", "--join must be addresses")
	f("--join 10.0.0.1:7400", "", "--join needs --cluster")
	f("--cluster 0.0.0.0:7400 --join 10.0.0.1:7400", "", "the other nodes cannot reach this one at 0.0.0.0:7400")
	f("--cluster :7400", "", "the other nodes cannot reach this one at :7400")
	f("--cluster 10.0.0.1:7400,10.0.0.2:7400 --advertise 10.0.0.3:7400", "", "--cluster and --advertise name two addresses")
}

func TestTrustedProxies(t *testing.T) {
	c, err := load(t, "", "KEYSTONE_TRUSTED_PROXIES=10.0.0.7, 192.168.5.0/16,2001:db8::/32,::ffff:172.16.0.0/108,::1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.Node.TrustedProxies), "[10.0.0.7/32 192.168.0.0/16 2001:db8::/32 172.16.0.0/12 ::1/128]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c, err := load(t, ""); err != nil || len(c.Node.TrustedProxies) != 0 {
		t.Errorf("without the setting %v are trusted, %v", c.Node.TrustedProxies, err)
	}
}

// TestTextsOfOneLine looks at values which a shell or a file made longer than they were meant to be.
func TestTextsOfOneLine(t *testing.T) {
	for _, issuer := range []string{"keystone auth", "keystone\n", " keystone", "key\u2028stone", "key\tstone"} {
		if _, err := load(t, "", "JWT_ISSUER="+issuer); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("the issuer %q: %v", issuer, err)
		}
	}
	for given, want := range map[string]string{"https://auth.example.com": "https://auth.example.com", "http://[::1]:8000/": "http://[::1]:8000"} {
		c, err := load(t, "", "KEYSTONE_PUBLIC_URL="+given, "JWT_ISSUER="+want)
		if err != nil || c.Node.PublicURL != want || c.Node.Settings.Issuer != want {
			t.Errorf("%s became %q: %v", given, c.Node.PublicURL, err)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	want := secret.NewClusterSecret()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(want.Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "", "KEYSTONE_SECRET_FILE="+path)
	if err != nil || c.Node.Secret.Reveal() != want.Reveal() {
		t.Errorf("the secret was not read from its file: %v", err)
	}
	if _, err = load(t, "", "KEYSTONE_SECRET_FILE="+path, "KEYSTONE_SECRET="+want.Reveal()); err == nil {
		t.Error("a secret that is given twice is accepted")
	}
}

// TestSettings looks for rows that say less than a person needs.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		if s.env == "" || s.doc == "" || seen[s.env] || s.flag != "" && seen["--"+s.flag] {
			t.Errorf("the row %q / %q has no name or no text, or is there twice", s.env, s.flag)
		}
		seen[s.env], seen["--"+s.flag] = true, true
		if s.secret && s.flag != "" {
			t.Errorf("%s is a secret and must not be on a command line", s.env)
		}
		if s.std != "" {
			if err := s.set(new(Config), s.std); err != nil {
				t.Errorf("%s refuses its own default: %v", s.env, err)
			}
		}
	}
}

func TestRemarks(t *testing.T) {
	f := func(environ string, want ...string) {
		t.Helper()
		got := remarks(strings.Fields(environ))
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " ")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: remarks about %q, want %q", environ, got, want)
		}
	}
	f("REDIS_URL=redis://:hunter2@cache:6379/0", "REDIS_URL")
	f("REDIS_URL=")
	f("KEYSTONE_INITIALS=a=b:1", "KEYSTONE_INITIALS")
	f("KEYSTONE_SECRET_FILE=/run/secret KEYSTONE_HTTP=:1")
	f("KEYSTONE_HTTP_FILE=/run/http", "KEYSTONE_HTTP_FILE") // no secret, so it has no file
	f("KEYSTONE_SERVICE_HOST=10.0.0.1 KEYSTONE_PORT=tcp://10.0.0.1:8000 KEYSTONE_PORT_8000_TCP_ADDR=10.0.0.1 KEYSTONE_CLUSTER_SERVICE_PORT_RAFT=7400")
	f("DATABASE_URL=postgresql://u:hunter2@db/auth PATH=/bin")
}
