package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
)

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// nameOfMachine makes the name of a node of the machine's: its first part, with hyphens for what no name has.
func nameOfMachine() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(host, ".")
	name := strings.Trim(notInNames.ReplaceAllString(first, "-"), "-_")
	return name[:min(len(name), 63)]
}

// somewhere is an address to which nothing is ever sent (RFC 5737): a route to it is one to the outside.
const somewhere = "192.0.2.1:9"

// ownAddress finds the address at which the other nodes reach this machine: the one by which it reaches them, or
// before there are others a private one.
func ownAddress(join []string) (string, error) {
	for _, address := range join {
		if own := routeTo(address); own.IsValid() {
			return own.String(), nil
		}
	}
	outside, private := routeTo(somewhere), privateAddresses()
	switch {
	case len(join) > 0:
		return "", fmt.Errorf("this machine has no route to %s: name its own address with --cluster, such as 10.0.0.8:7400", strings.Join(join, " or "))
	case outside.IsPrivate():
		return outside.String(), nil
	case len(private) == 1:
		return private[0].String(), nil
	case len(private) == 0:
		return "", errors.New("this machine has no private address: name with --cluster the one at which the other nodes reach it, such as 10.0.0.7:7400")
	}
	return "", fmt.Errorf("this machine has several addresses: name with --cluster the one at which the other nodes reach it, %s:7400 or another", private[0])
}

// routeTo is the address that packets to there would come from. None is sent.
func routeTo(address string) netip.Addr {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	at, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return at.Addr().Unmap()
}

func privateAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var private []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Unmap().IsPrivate() && !slices.Contains(private, prefix.Addr()) {
			private = append(private, prefix.Addr().Unmap())
		}
	}
	return private
}
