package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

// askWithin bounds what an operator waits for an answer.
const askWithin = 15 * time.Second

// operatorCommand gives a command the flag that says which node's socket it uses.
func operatorCommand(cmd *cobra.Command) *cobra.Command {
	addFlags(cmd.Flags(), "data")
	return cmd
}

// asOperator calls use with a client of the node whose data lies in the folder that the flag or the
// environment names. Whoever may open the socket in there is the operator.
func asOperator(cmd *cobra.Command, use func(ctx context.Context, c *client.Client) error) error {
	folder, err := dataFolder(cmd.Flags())
	if err != nil {
		return err
	}
	socket := node.Socket(folder)
	if _, err := os.Stat(socket); err != nil {
		if _, isDev := os.Stat(filepath.Join(folder, "dev.json")); isDev == nil {
			return fmt.Errorf("%s holds the nodes of keystone dev: name one of them, such as --data %s", folder, filepath.Join(folder, "node-1"))
		}
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("the data folder %s belongs to another user: run this as the user that runs the node", folder)
		}
		return errNoNode(folder)
	}
	c, err := client.New("unix:" + socket)
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

func errNoNode(folder string) error {
	return fmt.Errorf("no node runs on the data folder %s: start one, or tell with --data where its data is", folder)
}

func dataFolder(flags *pflag.FlagSet) (string, error) {
	for _, s := range settings {
		if s.flag == "data" {
			_, value, err := s.find(flags, environment(os.Environ()))
			return value, err
		}
	}
	return "", errors.New("BUG: there is no setting for the data folder")
}
