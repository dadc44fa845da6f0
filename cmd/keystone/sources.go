package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// level is where a value came from, the weakest first: a value of a higher level counts.
type level uint8

const (
	fromDefault level = iota
	fromFile
	fromEnvironment
	fromFlag
)

// value is what a setting is set to.
type value struct {
	text  string
	name  string // of the place, as a person would call it, for complaints
	level level
}

// origin names the place for a list in which the setting's own name stands beside it.
func (v value) origin() string {
	switch v.level {
	case fromDefault:
		return "default"
	case fromFile:
		return v.name[:strings.LastIndex(v.name, ": ")] // file and line
	}
	return v.name
}

// sources are the places where values come from.
type sources struct {
	flags *pflag.FlagSet
	env   map[string]string
	file  configFile
}

// openSources reads the file that --config or KEYSTONE_CONFIG names, if either does. The problems are
// those of the file.
func openSources(flags *pflag.FlagSet, environ []string) (sources, []error) {
	from := sources{flags: flags, env: environment(environ)}
	named, err := from.find(configRow())
	if err != nil || named.text == "" {
		return from, nil
	}
	file, problems := readConfigFile(named.name, named.text)
	from.file = file
	return from, problems
}

// find returns the value that counts. An empty variable counts as none: compose files hand on what is
// not set that way.
func (f sources) find(s setting) (value, error) {
	if flag := f.flags.Lookup(s.flag); s.flag != "" && flag != nil && flag.Changed {
		return value{flag.Value.String(), "--" + s.flag, fromFlag}, nil
	}
	text, path := f.env[s.env], ""
	if s.secret {
		path = f.env[s.env+"_FILE"]
	}
	switch {
	case text != "" && path != "":
		return value{}, fmt.Errorf("%s and %s_FILE are both set: unset one of them", s.env, s.env)
	case path != "":
		return secretFrom(s.env+"_FILE", path, fromEnvironment)
	case text != "":
		return value{text, s.env, fromEnvironment}, nil
	}
	if e, ok := f.file[s.key()]; ok {
		if s.secret {
			return secretFrom(e.name, e.text, fromFile)
		}
		return value{e.text, e.name, fromFile}, nil
	}
	return value{s.std, s.env, fromDefault}, nil
}

// longestSecret is more than any key or list of keys needs, and less than a file that was named by
// mistake may take of the memory.
const longestSecret = 64 << 10

// secretFrom reads the file of a secret. An empty one is refused: it would count as if the secret had
// not been set, and the node would start without what it was to be protected by.
func secretFrom(name, path string, at level) (value, error) {
	file, err := os.Open(path)
	if err != nil {
		return value{}, unreadableSecret(name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, longestSecret+1))
	line := strings.TrimRight(string(text), "\r\n")
	switch {
	case err == nil && len(text) > longestSecret:
		err = errors.New("it is larger than 64 KiB")
	case err == nil && line == "":
		err = errors.New("it is empty")
	}
	if err != nil {
		return value{}, unreadableSecret(name, err)
	}
	return value{line, name, at}, nil
}

func unreadableSecret(name string, err error) error {
	return fmt.Errorf("%s names a file that cannot be read: %w: name one that holds the secret and that this user may read, or unset it", name, err)
}

func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}
