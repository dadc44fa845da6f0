package main

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/secret"
)

// configVariable names the file itself, and so cannot be set in it.
const configVariable = "KEYSTONE_CONFIG"

func configRow() setting {
	return setting{
		flag: "config", env: configVariable, doc: "YAML file with settings, which count before the defaults and after everything else",
		set: text(func(c *Config) *string { return &c.File }, nil),
	}
}

func debugRow() setting {
	return setting{
		env: "DEBUG", std: "false", doc: "log like LOG_LEVEL=debug, whatever that says",
		want: "true or false",
		set:  boolean(func(c *Config) *bool { return &c.Debug }),
	}
}

func metricsToken() setting {
	return setting{
		env: "KEYSTONE_METRICS_TOKEN", secret: true, doc: "bearer token that /metrics asks for (default: it is open)",
		want: "16 or more printable characters without spaces",
		set: func(c *Config, v string) error {
			c.Node.MetricsToken = secret.NewText(v)
			return refuse(!metricsTokenForm.MatchString(v))
		},
	}
}

// metricsTokenForm is what fits into an Authorization header.
var metricsTokenForm = regexp.MustCompile(`^[!-~]{16,}$`)

func databaseURL() setting {
	return setting{ //nolint:gosec // the password in the example is none
		env: "DATABASE_URL", secret: true, doc: "PostgreSQL database of import and export; a node needs none",
		want: "the URL of a PostgreSQL database such as postgresql://user:password@db.example.com/auth",
		set:  takeDatabaseURL,
	}
}

// takeDatabaseURL takes the form of SQLAlchemy too, which names the driver in the scheme.
func takeDatabaseURL(c *Config, v string) error {
	scheme, rest, found := strings.Cut(v, "://")
	if !found || !slices.Contains([]string{"postgres", "postgresql", "postgresql+asyncpg"}, scheme) {
		return errForm
	}
	v = "postgresql://" + rest
	c.DatabaseURL = secret.NewText(v)
	u, err := url.Parse(v)
	return refuse(err != nil || u.Host == "" && !u.Query().Has("host"))
}

func allowedOrigins() setting {
	return setting{
		env: "ALLOWED_ORIGINS", list: true, doc: "origins of the web pages that may call the API from a browser, with commas between or as a JSON list (default: none)",
		want: "a list of origins such as https://app.example.com,http://localhost:3000, each named in full, without * and without a path",
		set: func(c *Config, v string) error {
			c.Node.AllowedOrigins = nil
			return eachOf(v, func(item string) error {
				origin, err := originOf(item)
				c.Node.AllowedOrigins = append(c.Node.AllowedOrigins, origin)
				return err
			})
		},
	}
}

// eachOf takes the items of a JSON list, or of a list with commas.
func eachOf(v string, take func(item string) error) error {
	items := strings.Split(v, ",")
	if strings.HasPrefix(strings.TrimSpace(v), "[") && !strings.HasPrefix(strings.TrimSpace(v), "[:") {
		items = nil
		if err := json.Unmarshal([]byte(v), &items); err != nil {
			return err
		}
	}
	for _, item := range items {
		if err := take(strings.TrimSpace(item)); err != nil {
			return err
		}
	}
	return nil
}

var originScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// originOf writes an origin as browsers do, who compare nothing: in lower case and without the port
// that goes without saying (RFC 6454 §6.2).
func originOf(v string) (string, error) {
	v = strings.ToLower(strings.TrimSuffix(v, "/"))
	scheme, host, found := strings.Cut(v, "://")
	if !found || !originScheme.MatchString(scheme) || strings.ContainsAny(host, "*/?#@\\ ") {
		return "", errForm
	}
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" || !isASCII(v) {
		return "", errForm
	}
	switch port := u.Port(); {
	case scheme == "https" && port == "443", scheme == "http" && port == "80", strings.HasSuffix(host, ":"):
		host = strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
	}
	return scheme + "://" + host, nil
}

func isASCII(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
}

func allowedHosts() setting {
	return setting{
		env: "ALLOWED_HOSTS", list: true,
		doc:  "host names that requests may be for, with commas between or as a JSON list; .example.org is example.org with all names below it, *.example.org those alone (default: all)",
		want: "a list of host names or addresses without ports, such as auth.example.com,.example.org,10.0.0.7, or * for all",
		set: func(c *Config, v string) error {
			c.Node.AllowedHosts = nil
			all := false
			err := eachOf(v, func(item string) error {
				all = all || item == "*"
				host, err := hostOf(item)
				c.Node.AllowedHosts = append(c.Node.AllowedHosts, host)
				return err
			})
			if all {
				c.Node.AllowedHosts = nil
			}
			return err
		},
	}
}

var allowedHostForm = regexp.MustCompile(`^(\*?\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// hostOf reads one entry of the list: a name, an address, or everything below a name.
func hostOf(v string) (string, error) {
	v = strings.TrimSuffix(strings.ToLower(v), ".")
	bare := strings.Trim(v, "[]")
	if ip := net.ParseIP(bare); ip != nil {
		return ip.String(), nil
	}
	return v, refuse(v != "*" && !allowedHostForm.MatchString(v))
}
