package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keystone-auth/keystone/internal/testacme"
)

// authority is what a script has started by acme; one script at a time does.
var authority *testacme.Server

// startACME NODE... starts a certificate authority that looks for names at the nodes, at each in turn, and sets
// ACME_DIRECTORY and ACME_CA.
func startACME(t *testing.T, ts *testscript.TestScript, args []string) {
	authority = testacme.Start(t, time.Hour)
	authority.Nodes(args...)
	ts.Setenv("ACME_DIRECTORY", authority.Directory)
	text, err := os.ReadFile(authority.RootsFile)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), text, 0o600))
}

// certified ORDERS NODE... waits until all nodes serve one certificate of the authority, for which it was asked so
// many times.
func certified(ts *testscript.TestScript, _ bool, args []string) {
	orders, err := strconv.Atoi(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		var serials []string
		err := error(nil)
		for _, at := range args[1:] {
			leaf, wrong := authority.Served(at, "localhost")
			if wrong != nil {
				err = wrong
				break
			}
			serials = append(serials, leaf.SerialNumber.String())
		}
		if err == nil {
			for _, s := range serials[1:] {
				if s != serials[0] {
					ts.Fatalf("the nodes serve the certificates %v", serials)
				}
			}
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not all nodes serve a certificate: %v", err)
		}
	}
	if got := authority.Orders(); got != orders {
		ts.Fatalf("%s", fmt.Sprintf("%d certificates were ordered, want %d", got, orders))
	}
}
