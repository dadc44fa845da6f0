package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/certs"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

// askWithin bounds what an operator waits for an answer.
const askWithin = 15 * time.Second

// tokenVariable holds an access token for commands that go to a node elsewhere. An argument would be in
// the list of processes, for all to read.
const tokenVariable = "KEYSTONE_TOKEN"

// operatorCommand gives a command the flags that say which node it asks, and as whom.
func operatorCommand(cmd *cobra.Command) *cobra.Command {
	addFlags(cmd.Flags(), "config", "data")
	cmd.Flags().String("url", "", "ask the node at this address, such as https://auth.example.org, with the token in "+tokenVariable+" or --token-file")
	cmd.Flags().String("token-file", "", "file that holds an access token for --url, or - for standard input")
	caFlag(cmd)
	return cmd
}

// caVariable names the file of authorities that may vouch for a node elsewhere, where --ca does not.
const caVariable = "KEYSTONE_CA"

func caFlag(cmd *cobra.Command) {
	cmd.Flags().String("ca", "", "file with the certificate of the authority that vouches for --url, as PEM (default: "+caVariable+", or those that this machine trusts)")
}

// rootsOf are the authorities that may vouch for a node elsewhere; nil: those that this machine trusts.
func rootsOf(cmd *cobra.Command) (*x509.CertPool, error) {
	from, file := "--ca", ""
	if flag := cmd.Flags().Lookup("ca"); flag != nil {
		file = flag.Value.String()
	}
	if file == "" {
		from, file = caVariable, os.Getenv(caVariable)
	}
	if file == "" {
		return nil, nil
	}
	return certs.ReadRoots(from, file)
}

// nodeElsewhere is a client of the node at a URL.
func nodeElsewhere(cmd *cobra.Command, url string) (*client.Client, error) {
	roots, err := rootsOf(cmd)
	if err != nil {
		return nil, err
	}
	return client.NewTrusting(url, roots)
}

// asOperator calls use with a client of the node that the flags name: the one whose data lies in a folder
// on this machine, where whoever may open the socket is the operator; or one elsewhere, with a token.
func asOperator(cmd *cobra.Command, use func(ctx context.Context, c *client.Client) error) error {
	var done api.Effective
	reach := overSocket
	url, _ := cmd.Flags().GetString("url")
	if url != "" {
		reach = func(cmd *cobra.Command, use func(context.Context, *client.Client) error) error {
			return withToken(cmd, url, use)
		}
	} else if file, _ := cmd.Flags().GetString("token-file"); file != "" {
		return errors.New("--token-file is for a node elsewhere: say which one with --url")
	}
	err := reach(cmd, func(ctx context.Context, c *client.Client) error { return use(ctx, c.WithReceipt(&done)) })
	if err == nil && done.Index > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "No node goes by the state before: %s confirmed, index %d, after %.1f ms.\n", done.Nodes, done.Index, done.WaitedMs)
	}
	return err
}

func withToken(cmd *cobra.Command, url string, use func(ctx context.Context, c *client.Client) error) error {
	file, _ := cmd.Flags().GetString("token-file")
	c, err := clientWithToken(cmd, url, file)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), askWithin)
	defer cancel()
	return use(ctx, c)
}

// clientWithToken is a client of a node elsewhere, with the token in a file, or in the environment.
func clientWithToken(cmd *cobra.Command, url, file string) (*client.Client, error) {
	token := os.Getenv(tokenVariable)
	if file != "" {
		text, err := lineFrom(file, cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("the token file: %w", err)
		}
		token = text
	}
	if token == "" {
		return nil, fmt.Errorf("a node elsewhere asks for an access token: log in and put it into %s or a --token-file", tokenVariable)
	}
	c, err := nodeElsewhere(cmd, url)
	if err != nil {
		return nil, err
	}
	return c.WithToken(token), nil
}

func overSocket(cmd *cobra.Command, use func(ctx context.Context, c *client.Client) error) error {
	folder, c, err := socketClient(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), askWithin)
	defer cancel()
	err = use(ctx, c)
	if errors.Is(err, syscall.ECONNREFUSED) { // the socket of a node that was killed
		return errNoNode(folder)
	}
	return err
}

// socketClient is a client of the node whose data lies in the folder that --data names.
func socketClient(cmd *cobra.Command) (folder string, c *client.Client, err error) {
	if folder, err = dataFolder(cmd.Flags()); err != nil {
		return "", nil, err
	}
	socket := node.Socket(folder)
	if _, err := os.Stat(socket); err != nil {
		if _, isDev := os.Stat(filepath.Join(folder, "dev.json")); isDev == nil {
			return "", nil, fmt.Errorf("%s holds the nodes of keystone dev: name one of them, such as --data %s", folder, filepath.Join(folder, "node-1"))
		}
		if errors.Is(err, os.ErrPermission) {
			return "", nil, fmt.Errorf("the data folder %s belongs to another user: run this as the user that runs the node", folder)
		}
		return "", nil, errNoNode(folder)
	}
	c, err = client.New("unix:" + socket)
	return folder, c, err
}

func errNoNode(folder string) error {
	return fmt.Errorf("no node runs on the data folder %s: start one, or tell with --data where its data is", folder)
}

// dataFolder is the folder that the flags, the environment or a configuration name. If none of them does, it is
// the one of the node that keystone init prepared.
func dataFolder(flags *pflag.FlagSet) (string, error) {
	from, problems := openSources(flags, os.Environ())
	if len(problems) > 0 {
		return "", problems[0]
	}
	row := slices.IndexFunc(settings, func(s setting) bool { return s.flag == "data" })
	v, err := from.find(settings[row])
	if err != nil || v.level != fromDefault || node.IsUsed(v.text) {
		return v.text, err
	}
	if made := madeConfig(); made != "" {
		file, problems := readConfigFile(made, made)
		if len(problems) > 0 {
			return "", problems[0]
		}
		if e, ok := file[settings[row].key()]; ok {
			return e.text, nil
		}
	}
	return v.text, nil
}
