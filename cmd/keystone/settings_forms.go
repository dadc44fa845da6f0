package main

import (
	"errors"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// What reads the values of settings, whichever these are.

var errForm = errors.New("not of that form")

func refuse(bad bool) error {
	if bad {
		return errForm
	}
	return nil
}

func text(target func(*Config) *string, form *regexp.Regexp) func(*Config, string) error {
	return func(c *Config, v string) error {
		*target(c) = v
		return refuse(form != nil && !form.MatchString(v))
	}
}

func boolean(target func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) (err error) {
		*target(c), err = strconv.ParseBool(strings.ToLower(v))
		return err
	}
}

func number(target func(*Config) *int64, least, most, unit int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		*target(c) = n * unit
		return errors.Join(err, refuse(n < least || n > most))
	}
}

func count(target func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, v string) (err error) {
		*target(c), err = strconv.Atoi(v)
		return errors.Join(err, refuse(*target(c) < least || *target(c) > most))
	}
}

func address(target func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*target(c) = v
		return checkAddress(v)
	}
}

func checkAddress(v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return errors.Join(err, refuse(strings.ContainsAny(host, " /,=")))
}
