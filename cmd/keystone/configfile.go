package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configFile is what a YAML file sets, by key. Of secrets it has the paths of the files that hold them.
type configFile map[string]entry

// entry is one line of the file: what it sets, and what a complaint calls it.
type entry struct{ text, name string }

// largestConfig bounds what is read of a file that may be another one than was meant.
const largestConfig = 1 << 20

// key is the setting's name in a file: that of the variable, in lower case.
func (s setting) key() string {
	if s.secret {
		return strings.ToLower(s.env) + "_file"
	}
	return strings.ToLower(s.env)
}

// readConfigFile reads the file that named names. It is strict: what it does not know could be a
// misspelt protection, so all of it has to be understood. The problems are one sentence each.
func readConfigFile(named, path string) (configFile, []error) {
	refuse := func(err error) (configFile, []error) {
		return nil, []error{fmt.Errorf("%s names a file that cannot be used: %w", named, err)}
	}
	file, err := os.Open(path)
	if err != nil {
		return refuse(fmt.Errorf("%w: name one that this user may read", err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, largestConfig+1))
	if err != nil {
		return refuse(fmt.Errorf("%w: name one that this user may read", err))
	}
	if len(text) > largestConfig {
		return refuse(fmt.Errorf("%s is larger than 1 MiB: name one that holds settings alone", path))
	}
	return parseConfig(path, string(text))
}

func parseConfig(path, text string) (configFile, []error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil // nothing, or comments alone
	}
	if err != nil {
		return nil, []error{fmt.Errorf("%s is no YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF { //nolint:errorlint // the decoder gives io.EOF as it is
		return nil, []error{fmt.Errorf("%s holds more than one document: remove what follows the first", path)}
	}
	top := document.Content[0]
	if isNull(top) {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, []error{fmt.Errorf("%s:%d: a file of settings has lines such as jwt_issuer: keystone-auth", path, top.Line)}
	}
	return entriesOf(path, top)
}

// entriesOf reads the lines. The values are taken as they are written, whatever type YAML would make of
// them: a name like 0x10 or 1e3 stays that name, and each setting says itself what it takes.
func entriesOf(path string, top *yaml.Node) (configFile, []error) {
	file, problems := configFile{}, []error(nil)
	seen := map[string]int{}
	for i := 0; i < len(top.Content); i += 2 {
		key, content := top.Content[i], top.Content[i+1]
		name := fmt.Sprintf("%s:%d: %s", path, key.Line, key.Value)
		s, err := settingOf(key)
		if before := seen[key.Value]; before != 0 && key.Kind == yaml.ScalarNode {
			err = fmt.Errorf("is set in line %d already: remove one of the two", before)
		}
		seen[key.Value] = key.Line
		var text string
		if err == nil {
			text, err = s.textOf(content)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %w", name, err))
			continue
		}
		file[key.Value] = entry{text, name}
	}
	return file, problems
}

// settingOf finds the row of a key. The secrets themselves have no place in the file: it is copied,
// committed and shown to others, as nothing with a secret in it may be.
func settingOf(key *yaml.Node) (setting, error) {
	if key.Kind != yaml.ScalarNode {
		return setting{}, errors.New("must be the name of a setting")
	}
	for _, s := range settings {
		switch {
		case s.env == configVariable:
		case s.key() == key.Value:
			return s, nil
		case s.secret && strings.EqualFold(s.env, key.Value):
			return s, fmt.Errorf("is a secret, which must not be in this file: put it into a file of its own and name that by %s", s.key())
		}
	}
	var keys []string
	for _, s := range settings {
		keys = append(keys, s.key())
	}
	if meant := nearest(key.Value, keys); meant != "" {
		return setting{}, fmt.Errorf("is no setting: was %s meant?", meant)
	}
	return setting{}, errors.New("is no setting: see keystone help environment, whose names are written in lower case here")
}

// textOf is a value as it would stand in a variable.
func (s setting) textOf(content *yaml.Node) (string, error) {
	want := s.want
	if want == "" || s.secret {
		want = "a text"
	}
	switch {
	case content.Kind == yaml.ScalarNode && isNull(content):
		return "", errors.New("has no value: give it one, or remove the line")
	case content.Kind == yaml.ScalarNode && content.Value == "":
		return "", errors.New("is empty: give it a value, or remove the line")
	case content.Kind == yaml.ScalarNode:
		return content.Value, nil
	case content.Kind == yaml.SequenceNode && s.list:
		return listOf(content)
	case content.Kind == yaml.SequenceNode:
		return "", fmt.Errorf("must be %s, and is a list", want)
	case content.Kind == yaml.AliasNode:
		return "", errors.New("must not be an alias: write the value out")
	}
	return "", fmt.Errorf("must be %s, and is a group of lines", want)
}

func listOf(content *yaml.Node) (string, error) {
	var items []string
	for _, item := range content.Content {
		if item.Kind != yaml.ScalarNode || item.Value == "" || isNull(item) || strings.Contains(item.Value, ",") {
			return "", fmt.Errorf("must be a list of single values, and line %d is none", item.Line)
		}
		items = append(items, item.Value)
	}
	if items == nil {
		return "", errors.New("is an empty list: give it a value, or remove the line")
	}
	return strings.Join(items, ","), nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
