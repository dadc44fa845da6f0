package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/secret"
)

// samples has, for each setting, values that are taken and values that are not. The second of them
// hold the word hunter2 where the setting is a secret, which must not come back in the refusal.
var samples = map[string]struct{ good, bad []string }{
	"KEYSTONE_TRUSTED_PROXIES":        {[]string{"10.0.0.7", "10.0.0.7, 192.168.0.0/16,2001:db8::/32"}, []string{"proxy", "0.0.0.0/0", "::/0", "10.0.0.0/33"}},
	"PASSWORD_PREVENT_REUSE_COUNT":    {[]string{"0", "25"}, []string{"-1", "26", "all"}},
	"PASSWORD_MAX_AGE_DAYS":           {[]string{"0", "3650"}, []string{"-1", "3651", "90d"}},
	"KEYSTONE_SMTP_HOST":              {[]string{"smtp.example.com", "10.0.0.7", "::1"}, []string{"smtp example", "smtp://host"}},
	"KEYSTONE_SMTP_PORT":              {[]string{"1", "65535"}, []string{"0", "65536", "smtp"}},
	"KEYSTONE_SMTP_TLS":               {[]string{"starttls", "tls", "none"}, []string{"ssl", "STARTTLS"}},
	"KEYSTONE_SMTP_USERNAME":          {good: []string{"relay@example.com"}},
	"KEYSTONE_SMTP_PASSWORD":          {good: []string{"any thing"}},
	"KEYSTONE_SMTP_FROM":              {[]string{"no-reply@example.com", "Example <no-reply@example.com>"}, []string{"no-reply", "a@b, c@d"}},
	"KEYSTONE_PASSWORD_RESET_URL":     {[]string{"https://app.example.com/reset?token={token}"}, []string{"https://app.example.com/reset", "app.example.com/{token}", "javascript:{token}"}},
	"KEYSTONE_EMAIL_VERIFICATION_URL": {[]string{"https://app.example.com/verify#{token}"}, []string{"https://app.example.com/verify", "/{token}"}},
	"KEYSTONE_MAIL_TO_LOG":            {[]string{"true", "false"}, []string{"maybe"}},
	"KEYSTONE_RATE_LIMIT_MAIL":        {[]string{"10/hour"}, []string{"10", "10/fortnight"}},
	"KEYSTONE_AUDIT_KEEP_DAYS":        {[]string{"0", "36500"}, []string{"-1", "36501", "year"}},
	"KEYSTONE_AUDIT_KEEP_COUNT":       {[]string{"0", "1000000000"}, []string{"-1", "1000000001", "many"}},
	"KEYSTONE_BACKUP_DIR":             {good: []string{"/var/backups/keystone"}},
	"KEYSTONE_BACKUP_EVERY":           {[]string{"1m", "24h", "8760h"}, []string{"59s", "8761h", "daily"}},
	"KEYSTONE_BACKUP_KEEP":            {[]string{"1", "10000"}, []string{"0", "10001", "all"}},
	"KEYSTONE_BACKUP_RECIPIENTS":      {[]string{"plain", "age1x, ./recipients", "AGE-SECRET-KEY-1,"}, []string{",", "age1x,"}},
	"KEYSTONE_CONFIG":                 {bad: []string{"/nowhere/to/be/found"}},
	"KEYSTONE_NAME":                   {[]string{"a", "node-1.example_x"}, []string{"a b", "-a", "a/b", strings.Repeat("a", 64)}},
	"KEYSTONE_DATA":                   {good: []string{"./here", "/var/lib/keystone"}},
	"KEYSTONE_HTTP":                   {[]string{":0", "127.0.0.1:1", "[::1]:8000", "name:65535"}, []string{"8000", "127.0.0.1", "a:b", ":65536", "a b:1"}},
	"HOST":                            {good: []string{"0.0.0.0", "::1"}},
	"PORT":                            {[]string{"0", "65535"}, []string{"65536", "-1", "http", "tcp://10.0.0.1:8000"}},
	"KEYSTONE_PUBLIC_URL":             {[]string{"https://auth.example.com", "http://[::1]:8000/"}, []string{"auth.example.com", "https://a/b"}},
	"KEYSTONE_TLS_CERT":               {good: []string{"/etc/keystone/tls.crt"}},
	"KEYSTONE_TLS_KEY":                {good: []string{"/etc/keystone/tls.key"}},
	"KEYSTONE_ACME_DOMAINS":           {[]string{"auth.example.com", "auth.example.com, b.Example.com", "localhost"}, []string{"*.example.com", "a,", "a,a", "10.0.0.7", "https://a", "-a"}},
	"KEYSTONE_ACME_AGREE":             {[]string{"true", "false"}, []string{"yes"}},
	"KEYSTONE_ACME_EMAIL":             {[]string{"ops@example.com"}, []string{"ops", "a b@c"}},
	"KEYSTONE_ACME_DIRECTORY":         {[]string{"https://ca.example.com:9000/acme/directory"}, []string{"http://ca.example.com/directory", "ca.example.com"}},
	"KEYSTONE_ACME_CA":                {good: []string{"/etc/keystone/ca.pem"}},
	"KEYSTONE_ACME_HTTP":              {[]string{":80", "10.0.0.7:80"}, []string{"80", "http://a"}},
	"KEYSTONE_HTTP_INSECURE":          {[]string{"true", "false"}, []string{"yes"}},
	"ALLOWED_ORIGINS":                 {[]string{"https://a.example", "https://a.example, http://localhost:3000", `["https://a.example","http://b.example:8080"]`, "capacitor://localhost", "http://[::1]:3000"}, []string{"*", "null", "https://*.example.com", "a.example", "https://a.example/app", "https://", `["https://a.example"`, `[1]`, "https://a.example,", "https://u@a.example", "https://bücher.example"}},
	"ALLOWED_HOSTS":                   {[]string{"auth.example.com", ".example.org,*.example.net", `["10.0.0.7","*"]`, "[::1]", "::1", "*"}, []string{"auth.example.com:8000", "https://a", "a b", "a.*.b", "*a", "", "a,", "-a"}},
	"KEYSTONE_CLUSTER":                {[]string{"10.0.0.7:7400", ":7400,10.0.0.7:7400"}, []string{"7400", "10.0.0.7", ":7400,"}},
	"KEYSTONE_ADVERTISE":              {[]string{"10.0.0.7:7400"}, []string{"10.0.0.7"}},
	"KEYSTONE_INITIAL":                {[]string{"keystone-x=10.0.0.7:7400"}, []string{"10.0.0.7:7400", "a=10.0.0.7", "a=b:1,a=c:1"}},
	"KEYSTONE_JOIN":                   {[]string{"10.0.0.7:7400,b:7400"}, []string{"10.0.0.7", ":7400"}},
	"KEYSTONE_SECRET":                 {[]string{secret.NewClusterSecret().Reveal(), secret.NewClusterSecret().Reveal() + "\n" + secret.NewClusterSecret().Reveal()}, []string{"hunter2", "kss_hunter2", secret.NewClusterSecret().Reveal() + " hunter2"}},
	"KEYSTONE_SECRET_PREVIOUS":        {[]string{secret.NewClusterSecret().Reveal() + "," + secret.NewClusterSecret().Reveal()}, []string{"hunter2", "kss_hunter2,"}},
	"KEYSTONE_NO_RATE_LIMIT":          {[]string{"true", "False", "1", "0"}, []string{"yes", "on", "2"}},
	"KEYSTONE_LEASE":                  {[]string{"100ms", "1s", "3s"}, []string{"99ms", "3.1s", "1"}},
	"KEYSTONE_LEASE_MARGIN":           {[]string{"1%", "5", "50%"}, []string{"0%", "51%", "NaN", "a lot"}},
	"KEYSTONE_STALE_READS":            {[]string{"0s", "30s", "1h"}, []string{"-1s", "61m", "30"}},
	"KEYSTONE_DRAIN":                  {[]string{"0s", "5s", "20s"}, []string{"-1s", "21s", "5"}},
	"KEYSTONE_MIN_FREE_DISK_MIB":      {[]string{"0", "64", "1048576"}, []string{"-1", "1048577", "64MiB"}},
	"KEYSTONE_NON_VOTER":              {[]string{"true", "false"}, []string{"yes"}},
	"LOG_LEVEL":                       {[]string{"debug", "INFO", "warning", "Warn", "ERROR", "critical"}, []string{"loud", "info+2", "-4"}},
	"LOG_FORMAT":                      {[]string{"json", "text", "auto"}, []string{"xml", "JSON"}},
	"DEBUG":                           {[]string{"true", "False", "0"}, []string{"yes", "release"}},
	"KEYSTONE_METRICS_TOKEN":          {[]string{"0123456789abcdef"}, []string{"hunter2", "hunter2 hunter2 hunter2", "hunter2-hunter2-ü"}},
	"JWT_ISSUER":                      {[]string{"keystone-auth", "https://auth.example.com"}, []string{"a b", "a\n", strings.Repeat("a", 256)}},
	"JWT_ALGORITHM":                   {[]string{"ES256", "EdDSA", "RS256", "PS256"}, []string{"none", "es256", "RS512"}},
	"JWT_SECRET_KEY":                  {[]string{strings.Repeat("k", 32)}, []string{"hunter2", strings.Repeat("hunter2", 4)}},
	"KEYSTONE_KEY_ROTATION_DAYS":      {[]string{"0", "3650"}, []string{"-1", "3651", "x"}},
	"ACCESS_TOKEN_EXPIRE_MINUTES":     {[]string{"1", "1440"}, []string{"0", "1441", "15m"}},
	"REFRESH_TOKEN_EXPIRE_DAYS":       {[]string{"1", "3650"}, []string{"0", "3651", "1.5"}},
	"SERVICE_TOKEN_EXPIRE_MINUTES":    {[]string{"1", "1440"}, []string{"0", "1441", ""}},
	"DEFAULT_USER_ROLE":               {[]string{"user", "reader"}, []string{"two words", strings.Repeat("a", 300)}},
	"MAX_LOGIN_ATTEMPTS":              {[]string{"0", "1000"}, []string{"-1", "1001", "five"}},
	"ACCOUNT_LOCKOUT_MINUTES":         {[]string{"1", "525600"}, []string{"0", "525601"}},
	"PASSWORD_MIN_LENGTH":             {[]string{"1", "128"}, []string{"0", "129", "x"}},
	"PASSWORD_MAX_LENGTH":             {[]string{"8", "1024"}, []string{"7", "1025"}},
	"PASSWORD_REQUIRE_UPPERCASE":      {[]string{"true", "false"}, []string{"y"}},
	"PASSWORD_REQUIRE_LOWERCASE":      {[]string{"true", "false"}, []string{"y"}},
	"PASSWORD_REQUIRE_DIGITS":         {[]string{"true", "false"}, []string{"y"}},
	"PASSWORD_REQUIRE_SPECIAL":        {[]string{"true", "false"}, []string{"y"}},
	"RATE_LIMIT_LOGIN":                {[]string{"5/minute", "10/30s", "off"}, []string{"5", "often", "0/minute"}},
	"RATE_LIMIT_REGISTER":             {[]string{"3/hour"}, []string{"3 an hour"}},
	"RATE_LIMIT_REFRESH":              {[]string{"10/minute"}, []string{"/minute"}},
	"RATE_LIMIT_SERVICE_TOKEN":        {[]string{"20/minute"}, []string{"20/fortnight"}},
	"RATE_LIMIT_API":                  {[]string{"100/minute"}, []string{"-1/minute"}},
	"KEYSTONE_ARGON2_MEMORY_KIB":      {[]string{"8", "65536"}, []string{"7", "x"}},
	"KEYSTONE_ARGON2_PASSES":          {[]string{"1", "64"}, []string{"0", "65"}},
	"KEYSTONE_ARGON2_LANES":           {[]string{"1", "16"}, []string{"0", "17"}},
	"KEYSTONE_HASH_WORKERS":           {[]string{"1", "1024"}, []string{"0", "1025"}},
	"KEYSTONE_HASH_QUEUE":             {[]string{"1", "100000"}, []string{"0", "100001"}},
	"DATABASE_URL":                    {[]string{"postgresql://u:p@db/auth", "postgresql+asyncpg://u:p@db:5432/auth"}, []string{"mysql://u:hunter2@db/auth", "hunter2", "postgresql://", "postgresql://u:hunter2%zz@db/a"}},
}

// TestEverySetting holds each row against values that are good and values that are not, from the
// environment and, where it is no secret, from a file.
func TestEverySetting(t *testing.T) {
	for _, s := range settings {
		sample, ok := samples[s.env]
		if !ok || len(sample.good)+len(sample.bad) == 0 || s.want != "" && len(sample.bad) == 0 {
			t.Errorf("%s has no samples in settings_test.go: add values that are taken and values that are refused", s.env)
			continue
		}
		for _, v := range sample.good {
			if err := s.set(new(Config), v); err != nil {
				t.Errorf("%s refuses %q: %v", s.env, v, err)
			}
		}
		for _, v := range sample.bad {
			if v == "" {
				continue // an empty variable counts as none, which other tests look at
			}
			for source, err := range refusals(t, s, v) {
				if err == nil {
					t.Errorf("%s takes %q from the %s", s.env, v, source)
				} else if said := err.Error(); !strings.Contains(strings.ToUpper(said), s.env) || strings.Contains(said, "hunter2") || strings.Contains(said, "\n") {
					t.Errorf("about %q as %s the %s says %q, which does not name the setting, or holds a secret or a line break", v, s.env, source, said)
				}
			}
		}
	}
	if len(samples) != len(settings) {
		t.Errorf("there are samples for %d settings, and %d settings", len(samples), len(settings))
	}
}

// refusals is what is said of a value in each place where it can stand.
func refusals(t *testing.T, s setting, v string) map[string]error {
	t.Helper()
	said := map[string]error{}
	_, said["environment"] = load(t, "", s.env+"="+v)
	path := filepath.Join(t.TempDir(), "value")
	writeFile(t, path, v+"\n")
	switch {
	case s.env == configVariable:
	case s.secret:
		_, said["file of a secret"] = load(t, "", s.env+"_FILE="+path)
		writeFile(t, path+".yaml", s.key()+": "+path+"\n")
		_, said["file"] = load(t, "", "KEYSTONE_CONFIG="+path+".yaml")
	case !strings.ContainsAny(v, "\n\""):
		writeFile(t, path+".yaml", s.key()+": \""+v+"\"\n")
		_, said["file"] = load(t, "", "KEYSTONE_CONFIG="+path+".yaml")
	}
	return said
}

func TestOrigins(t *testing.T) {
	for given, want := range map[string]string{
		"https://App.Example.com": "https://app.example.com", "https://a.example:443": "https://a.example", "http://a.example:80/": "http://a.example",
		"https://a.example:80": "https://a.example:80", "http://[::1]:3000": "http://[::1]:3000",
	} {
		if got, err := originOf(given); got != want || err != nil {
			t.Errorf("%s became %q, %v", given, got, err)
		}
	}
}

// TestAllHosts: the list of the old system says * for no check at all.
func TestAllHosts(t *testing.T) {
	c, err := load(t, "", `ALLOWED_HOSTS=["*"]`)
	if err != nil || len(c.Node.AllowedHosts) != 0 {
		t.Errorf("* became %q, %v", c.Node.AllowedHosts, err)
	}
}

// TestAllProblemsAreTold: whoever mends one of five should not start the program five times.
func TestAllProblemsAreTold(t *testing.T) {
	_, err := load(t, "", "DEBUG=x", "PORT=x", "JWT_ALGORITHM=HS256", "KEYSTONE_JOIN=b:7400")
	if err == nil || !strings.HasPrefix(err.Error(), "PORT must be") || !strings.HasSuffix(err.Error(), "(and 3 more: keystone config check lists all)") {
		t.Errorf("four problems give %v", err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"KEYSTONE_INITIAL", "KEYSTONE_NAME", "KEYSTONE_DATA"}
	for given, want := range map[string]string{
		"KEYSTONE_INITIALS": "KEYSTONE_INITIAL", "KEYSTONE_NAEM": "KEYSTONE_NAME", "KEYSTONE_DAT": "KEYSTONE_DATA", "KEYSTONE_SOMETHING_ELSE": "", "": "",
	} {
		if got := nearest(given, names); got != want {
			t.Errorf("%s is nearest to %q, want %q", given, got, want)
		}
	}
}

func TestDebug(t *testing.T) {
	c, err := load(t, "", "DEBUG=true", "LOG_LEVEL=error")
	if err != nil || c.LogLevel.String() != "DEBUG" {
		t.Errorf("DEBUG=true logs from %v, %v", c.LogLevel, err)
	}
}

// TestBackupRecipients: a folder needs to be told for whom, and a secret key that was put in their place is not
// repeated.
func TestBackupRecipients(t *testing.T) {
	for want, recipients := range map[string]string{
		"needs KEYSTONE_BACKUP_RECIPIENTS": "", "none of age": "age1nonsense", "AGE-SECRET-KEY-…": "AGE-SECRET-KEY-1HUNTER2,",
	} {
		c := Config{backupFor: nil}
		c.Node.Backup.Folder = "backups"
		if recipients != "" {
			if err := backupRecipients().set(&c, recipients); err != nil {
				t.Errorf("%s: %v", recipients, err)
			}
		}
		if err := c.finishBackup(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "HUNTER2") {
			t.Errorf("the recipients %q give %v", recipients, err)
		}
	}
	c := Config{}
	c.Node.Backup.Folder = "backups"
	for recipients, sealed := range map[string]bool{"plain": false, "age1rjafjgp8z3zqmsqrjt7tucx577q52guqe4gjg8k0vve83u3un9nq4ea953": true} {
		if err := errors.Join(backupRecipients().set(&c, recipients), c.finishBackup()); err != nil || c.Node.Backup.Lock.Sealed() != sealed {
			t.Errorf("the recipients %q give %v", recipients, err)
		}
	}
}
