package main

import (
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/limit"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/secret"
)

// settings is the table from which the flags of `keystone serve`, the environment, the keys of the YAML
// file, `keystone config`, the help and docs/configuration.md come. A new setting is one row, and
// `make docs`.
var settings = []setting{
	configRow(),
	{
		flag: "name", env: "KEYSTONE_NAME", doc: "name of this node, unique in its cluster (default: the machine's name; for a lone node keystone)",
		want: "1 to 63 letters, digits, dots, hyphens or underscores",
		set:  text(func(c *Config) *string { return &c.Node.Name }, nodeName),
	},
	{
		flag: "data", env: "KEYSTONE_DATA", std: "./keystone-data", doc: "folder for everything that this node keeps",
		set: text(func(c *Config) *string { return &c.Node.DataDir }, nil),
	},
	{
		flag: "http", env: "KEYSTONE_HTTP", doc: "address of the API, as host:port (default 127.0.0.1:8000)",
		want: "an address such as 127.0.0.1:8000 or :8000",
		set:  address(func(c *Config) *string { return &c.HTTP }),
	},
	{
		env: "HOST", std: "127.0.0.1", doc: "host of the API's address, where KEYSTONE_HTTP is not set",
		set: text(func(c *Config) *string { return &c.Host }, nil),
	},
	{
		env: "PORT", std: "8000", doc: "port of the API's address, where KEYSTONE_HTTP is not set",
		want: "a port number from 0 to 65535",
		set: func(c *Config, v string) error {
			_, err := strconv.ParseUint(v, 10, 16)
			c.Port = v
			return err
		},
	},
	tlsCert(), tlsKey(), httpInsecure(),
	acmeDomains(), acmeAgree(), acmeEmail(), acmeDirectory(), acmeCA(), acmeHTTP(),
	allowedOrigins(),
	allowedHosts(),
	{
		env: "KEYSTONE_PUBLIC_URL", doc: "how clients reach the cluster, for /.well-known/oauth-authorization-server (default: as each request names the server)",
		want: "a URL without a path such as https://auth.example.com",
		set:  publicURL,
	},
	{
		flag: "cluster", env: "KEYSTONE_CLUSTER", doc: "address to listen on for the other nodes, and after a comma the one at which they reach it",
		want: "an address such as 10.0.0.7:7400, or two with a comma between them",
		set:  clusterAddress,
	},
	{
		flag: "advertise", env: "KEYSTONE_ADVERTISE", doc: "address at which the other nodes reach this one, where it differs from --cluster",
		want: "an address such as 10.0.0.7:7400",
		set:  address(func(c *Config) *string { return &c.Node.Advertise }),
	},
	{
		flag: "initial", env: "KEYSTONE_INITIAL", doc: "the nodes that form a new cluster, name=host:port with commas between; the same list on each",
		want: "a list such as a=10.0.0.7:7400,b=10.0.0.8:7400,c=10.0.0.9:7400 in which no name or address comes twice",
		set:  initialNodes,
		list: true,
	},
	{
		flag: "join", env: "KEYSTONE_JOIN", doc: "nodes of the cluster to enter, host:port with commas between; one that answers is enough",
		want: "addresses such as 10.0.0.7:7400,10.0.0.8:7400",
		set:  joinAddresses,
		list: true,
	},
	{
		flag: "non-voter", env: "KEYSTONE_NON_VOTER", std: "false", doc: "enter the cluster as a node that answers like all others and never votes: for more reads, or for an edge site",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.Node.NonVoter }),
	},
	{
		env: "KEYSTONE_SECRET", secret: true, doc: "the cluster secret, the same on every node; a lone node makes its own and keeps it in the data folder. Of several, with white space between them, the first counts and all are taken, while it is being exchanged",
		set: func(c *Config, v string) (err error) {
			c.Node.Secret, c.Node.Previous, err = secret.ParseClusterSecrets(v)
			return err
		},
	},
	{
		env: "KEYSTONE_SECRET_PREVIOUS", secret: true, doc: "the cluster secret before, while it is being exchanged",
		set: previousSecrets,
	},
	{
		env: "KEYSTONE_TRUSTED_PROXIES", doc: "proxies in front of the API whose X-Forwarded-For or Forwarded header says who asks, with commas between",
		want: "addresses and networks such as 10.0.0.7,192.168.0.0/16,2001:db8::/32, none of which is everybody",
		set:  trustedProxies,
	},
	{
		flag: "no-rate-limit", env: "KEYSTONE_NO_RATE_LIMIT", std: "false", doc: "switch all rate limits off, for tests and measurements",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.NoRateLimit }),
	},
	{
		env: "LOG_LEVEL", std: "info", doc: "the least that is logged: debug, info, warning or error",
		want: "debug, info, warning or error",
		set:  logLevel,
	},
	{
		env: "LOG_FORMAT", std: "auto", doc: "json, text, or auto: text on a terminal, else json",
		want: "json, text or auto",
		set:  text(func(c *Config) *string { return &c.LogFormat }, regexp.MustCompile(`^(json|text|auto)$`)),
	},
	debugRow(),
	metricsToken(),
	leaseLength(),
	leaseMargin(),
	staleReads(),
	drainTime(),
	minFreeDisk(),
	{
		env: "JWT_ISSUER", std: "keystone-auth", doc: "issuer of the tokens, and their audience where the client has none",
		want: "1 to 255 characters without spaces and line breaks, such as keystone-auth or https://auth.example.com",
		set:  issuer,
	},
	{
		env: "JWT_ALGORITHM", std: "ES256", doc: "how tokens are signed: " + strings.Join(iam.Algorithms, ", "),
		want: "one of " + strings.Join(iam.Algorithms, ", "),
		set: func(c *Config, v string) error {
			c.Node.Settings.Algorithm = v
			return refuse(!slices.Contains(iam.Algorithms, v))
		},
	},
	{
		env: "JWT_SECRET_KEY", secret: true, doc: "key of JWT_ALGORITHM=HS256, shared with the services that verify tokens by themselves",
		want: "at least 32 bytes (RFC 7518 §3.2)",
		set: func(c *Config, v string) error {
			c.Node.SharedKey = secret.NewText(v)
			return refuse(len(v) < 32)
		},
	},
	{
		env: "KEYSTONE_KEY_ROTATION_DAYS", std: "90", doc: "age at which the signing key is replaced; 0 = never by itself",
		want: "a whole number of days from 0 to 3650, such as 90",
		set: func(c *Config, v string) error {
			var days int
			err := count(func(*Config) *int { return &days }, 0, 3650)(c, v)
			c.Node.RotateKeys = time.Duration(days) * 24 * time.Hour
			return err
		},
	},
	{
		env: "ACCESS_TOKEN_EXPIRE_MINUTES", std: "15", doc: "how long an access token is good",
		want: "a whole number of minutes from 1 to 1440, such as 15",
		set:  number(func(c *Config) *int64 { return &c.Node.Settings.AccessSeconds }, 1, 1440, 60),
	},
	{
		env: "REFRESH_TOKEN_EXPIRE_DAYS", std: "30", doc: "how long a refresh token, and with it a session, is good",
		want: "a whole number of days from 1 to 3650, such as 30",
		set:  number(func(c *Config) *int64 { return &c.Node.Settings.RefreshSeconds }, 1, 3650, 86400),
	},
	{
		env: "SERVICE_TOKEN_EXPIRE_MINUTES", std: "15", doc: "how long a service token is good, where its client has no lifetime of its own",
		want: "a whole number of minutes from 1 to 1440, such as 15",
		set:  number(func(c *Config) *int64 { return &c.Node.Settings.ServiceSeconds }, 1, 1440, 60),
	},
	{
		env: "DEFAULT_USER_ROLE", std: iam.RoleUser, doc: "role of those who register",
		want: "the name of a role, such as user",
		set: func(c *Config, v string) error {
			c.Node.Settings.DefaultRole = v
			return iam.CheckRoleName(v)
		},
	},
	{
		env: "MAX_LOGIN_ATTEMPTS", std: "5", doc: "wrong passwords in a row after which an account is locked; 0 = never",
		want: "a whole number from 0 to 1000",
		set:  count(func(c *Config) *int { return &c.Node.Lockout.Attempts }, 0, 1000),
	},
	{
		env: "ACCOUNT_LOCKOUT_MINUTES", std: "15", doc: "how long it is locked",
		want: "a whole number of minutes from 1 to 525600, such as 15",
		set: func(c *Config, v string) error {
			var minutes int
			err := count(func(*Config) *int { return &minutes }, 1, 525_600)(c, v)
			c.Node.Lockout.For = time.Duration(minutes) * time.Minute
			return err
		},
	},
	{
		env: "PASSWORD_MIN_LENGTH", std: "8", doc: "characters that a new password has at least",
		want: "a whole number from 1 to 128",
		set:  count(func(c *Config) *int { return &c.Node.Policy.MinLength }, 1, 128),
	},
	{
		env: "PASSWORD_MAX_LENGTH", std: "128", doc: "characters that a new password has at most",
		want: "a whole number from 8 to 1024",
		set:  count(func(c *Config) *int { return &c.Node.Policy.MaxLength }, 8, 1024),
	},
	required("UPPERCASE", "an upper-case letter", func(p *login.Policy) *bool { return &p.RequireUpper }),
	required("LOWERCASE", "a lower-case letter", func(p *login.Policy) *bool { return &p.RequireLower }),
	required("DIGITS", "a digit", func(p *login.Policy) *bool { return &p.RequireDigit }),
	required("SPECIAL", "a special character", func(p *login.Policy) *bool { return &p.RequireSpecial }),
	{
		env: "PASSWORD_PREVENT_REUSE_COUNT", std: "5", doc: "how many of a person's last passwords cannot be chosen again; 0 = all can",
		want: "a whole number from 0 to 25",
		set:  count(func(c *Config) *int { return &c.Node.Policy.PreventReuse }, 0, iam.MaxPreviousHashes+1),
	},
	{
		env: "PASSWORD_MAX_AGE_DAYS", std: "0", doc: "age from which a password logs in no more and has to be reset; 0 = never",
		want: "a whole number of days from 0 to 3650, such as 365",
		set: func(c *Config, v string) error {
			var days int
			err := count(func(*Config) *int { return &days }, 0, 3650)(c, v)
			c.Node.Policy.MaxAge = time.Duration(days) * 24 * time.Hour
			return err
		},
	},
	{
		env: "KEYSTONE_SMTP_HOST", doc: "mail server that sends password resets and e-mail verifications (default: nothing is sent)",
		want: "a host name such as smtp.example.com",
		set:  text(func(c *Config) *string { return &c.Mail.SMTP.Host }, hostForm),
	},
	{
		env: "KEYSTONE_SMTP_PORT", doc: "its port (default 587; with KEYSTONE_SMTP_TLS=tls 465; with none 25)",
		want: "a port number from 1 to 65535",
		set:  count(func(c *Config) *int { return &c.Mail.SMTP.Port }, 1, 65535),
	},
	{
		env: "KEYSTONE_SMTP_TLS", std: login.TLSStart, doc: "how the connection to it is protected: starttls, tls from the first byte on, or none",
		want: "starttls, tls or none",
		set:  text(func(c *Config) *string { return &c.Mail.SMTP.TLS }, regexp.MustCompile(`^(starttls|tls|none)$`)),
	},
	{
		env: "KEYSTONE_SMTP_USERNAME", doc: "name to log in to it with (default: none)",
		set: text(func(c *Config) *string { return &c.Mail.SMTP.Username }, nil),
	},
	{
		env: "KEYSTONE_SMTP_PASSWORD", secret: true, doc: "and the password",
		set: func(c *Config, v string) error {
			c.Mail.SMTP.Password = secret.NewText(v)
			return nil
		},
	},
	{
		env: "KEYSTONE_SMTP_FROM", doc: "address from which messages come; needed with KEYSTONE_SMTP_HOST",
		want: "an address such as no-reply@example.com or Example <no-reply@example.com>",
		set: func(c *Config, v string) error {
			c.Mail.SMTP.From = v
			return login.CheckFrom(v)
		},
	},
	{
		env: "KEYSTONE_PASSWORD_RESET_URL", doc: "your page for a new password, which posts the token to /api/v1/users/password-reset/confirm (default: the message holds the token alone)",
		want: "a URL that holds {token}, such as https://app.example.com/reset?token={token}",
		set:  linkTemplate(func(c *Config) *string { return &c.Node.Links.Reset }),
	},
	{
		env: "KEYSTONE_EMAIL_VERIFICATION_URL", doc: "your page that posts the token to /api/v1/users/email-verification/confirm (default: the message holds the token alone)",
		want: "a URL that holds {token}, such as https://app.example.com/verify?token={token}",
		set:  linkTemplate(func(c *Config) *string { return &c.Node.Links.Verify }),
	},
	{
		env: "KEYSTONE_MAIL_TO_LOG", std: "false", doc: "write messages, with the secrets that they hold, to the log instead; for tests on one's own machine",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.Mail.ToLog }),
	},
	rate("RATE_LIMIT_LOGIN", "logins", func(s *limit.Set) *limit.Limit { return &s.Login }),
	rate("RATE_LIMIT_REGISTER", "registrations", func(s *limit.Set) *limit.Limit { return &s.Register }),
	rate("RATE_LIMIT_REFRESH", "refreshes", func(s *limit.Set) *limit.Limit { return &s.Refresh }),
	rate("RATE_LIMIT_SERVICE_TOKEN", "service tokens", func(s *limit.Set) *limit.Limit { return &s.ServiceToken }),
	rate("KEYSTONE_RATE_LIMIT_MAIL", "requests that end in a message to somebody", func(s *limit.Set) *limit.Limit { return &s.Mail }),
	rate("RATE_LIMIT_API", "all other requests", func(s *limit.Set) *limit.Limit { return &s.API }),
	{
		env: "KEYSTONE_AUDIT_KEEP_DAYS", std: "365", doc: "how many days an entry of the audit log is kept; 0 = for ever",
		want: "a whole number of days from 0 to 36500, such as 365",
		set:  number(func(c *Config) *int64 { return &c.Node.Settings.AuditKeepDays }, 0, iam.MaxAuditDays, 1),
	},
	{
		env: "KEYSTONE_AUDIT_KEEP_COUNT", std: "10000000", doc: "how many entries of the audit log are kept, at about 400 bytes each; up to 1,000 more stay until they go together; 0 = all",
		want: "a whole number of entries from 0 to 1000000000, such as 10000000",
		set:  number(func(c *Config) *int64 { return &c.Node.Settings.AuditKeepCount }, 0, iam.MaxAuditCount, 1),
	},
	{
		env: "KEYSTONE_ARGON2_MEMORY_KIB", std: "65536", doc: "memory that one password hash takes",
		want: "a number of KiB from 8 to 1048576, such as 65536",
		set: func(c *Config, v string) error {
			n, err := strconv.ParseUint(v, 10, 21)
			c.Node.Hasher.Params.MemoryKiB = uint32(n)
			return errors.Join(err, refuse(n < 8))
		},
	},
	{
		env: "KEYSTONE_ARGON2_PASSES", std: "3", doc: "how often a password hash goes over that memory",
		want: "a whole number from 1 to 64",
		set: func(c *Config, v string) error {
			n, err := strconv.ParseUint(v, 10, 7)
			c.Node.Hasher.Params.Passes = uint32(n)
			return errors.Join(err, refuse(n < 1 || n > 64))
		},
	},
	{
		env: "KEYSTONE_ARGON2_LANES", std: "1", doc: "how many threads one password hash takes",
		want: "a whole number from 1 to 16",
		set: func(c *Config, v string) error {
			n, err := strconv.ParseUint(v, 10, 5)
			c.Node.Hasher.Params.Lanes = uint8(n)
			return errors.Join(err, refuse(n < 1 || n > 16))
		},
	},
	{
		env: "KEYSTONE_HASH_WORKERS", doc: "passwords that are hashed at once (default: one for each processor)",
		want: "a whole number from 1 to 1024",
		set:  count(func(c *Config) *int { return &c.Node.Hasher.Workers }, 1, 1024),
	},
	{
		env: "KEYSTONE_HASH_QUEUE", doc: "passwords that may wait for that (default: 32 for each worker)",
		want: "a whole number from 1 to 100000",
		set:  count(func(c *Config) *int { return &c.Node.Hasher.Queue }, 1, 100_000),
	},
	backupFolder(), backupEvery(), backupKeep(), backupRecipients(),
	databaseURL(),
}

// nodeName keeps names usable in lists, in logs and as parts of host names.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// issuerForm keeps out what a file with a line break at its end, or a misplaced quotation mark, brings
// along: it would be in every token, and services that compare it by eye would never find out. The
// last of the characters is what stands for bytes that are not UTF-8.
var issuerForm = regexp.MustCompile(`^[^\pC\pZ\x{FFFD}]+$`)

// issuer counts the length apart from the form: as {1,255} in there it would keep 255 copies of the tables
// of Unicode, 5 MB, in the memory of every process for as long as it lives.
func issuer(c *Config, v string) error {
	c.Node.Settings.Issuer = v
	return refuse(utf8.RuneCountInString(v) > 255 || !issuerForm.MatchString(v))
}

// number reads a whole number and keeps it in a smaller unit.
// address reads host:port. The host may be empty, which means every address of the machine.
// required is the row of one kind of character that passwords must hold.
func required(kind, what string, of func(*login.Policy) *bool) setting {
	return setting{
		env: "PASSWORD_REQUIRE_" + kind, std: "true", doc: "whether a new password must hold " + what,
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return of(&c.Node.Policy) }),
	}
}

// rate is the row of one rate limit. Its default is the one that package limit documents.
func rate(env, what string, of func(*limit.Set) *limit.Limit) setting {
	defaults := limit.Defaults()
	std := of(&defaults)
	return setting{
		env: env, std: std.String(), doc: "how many " + what + " a caller may make in how long, or off",
		want: "a rate such as 5/minute, 100/hour or 10/30s, or off",
		set: func(c *Config, v string) error {
			l, err := limit.ParseLimit(v)
			*of(&c.Limits) = l.Named(std.Name)
			return err
		},
	}
}

// publicURL takes where the cluster is, to which paths are then added.
func publicURL(c *Config, v string) error {
	v = strings.TrimSuffix(v, "/")
	u, err := url.Parse(v)
	if err != nil {
		return err
	}
	c.Node.PublicURL = v
	plain := u.Scheme + "://" + u.Host
	return refuse(u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || v != plain)
}

// logLevel takes the names of Python's logging too, which the old system's settings have.
func logLevel(c *Config, v string) error {
	switch name := strings.ToUpper(v); name {
	case "WARNING":
		c.LogLevel = slog.LevelWarn
	case "CRITICAL", "FATAL":
		c.LogLevel = slog.LevelError
	case "DEBUG", "INFO", "WARN", "ERROR":
		return c.LogLevel.UnmarshalText([]byte(name))
	default:
		return errForm
	}
	return nil
}
