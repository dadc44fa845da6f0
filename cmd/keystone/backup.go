package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
)

func backupCommand() *cobra.Command {
	return group("backup", "Copy the state of a cluster into a file, and prove such files", backupCreateCommand(), backupVerifyCommand(), backupListCommand())
}

func backupCreateCommand() *cobra.Command {
	var recipients []string
	var passphraseFile string
	var plain, force bool
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "create FILE",
		Short: "Copy the whole state of a running cluster into an encrypted file",
		Long: `Asks a node for a consistent copy of its state, while it goes on working, and keeps it compressed and
encrypted by age. The file appears under its name when all of it is on disk and its sum was right.

It is encrypted for the recipients that are named, each of whom can open it alone, or with a passphrase:
that of --passphrase-file, of KEYSTONE_BACKUP_PASSPHRASE, or one that is asked for. With --plain it is not
encrypted: then whoever reads the file can try passwords against the hashes in it for as long as they like.

Signing keys in it are sealed by the cluster secret, which is in no backup. So keep that as well, and
elsewhere. A token for --url needs the scope admin:backup.`,
		Example: `  keystone backup create monday.ksb --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudx5u7ps2wu0fx
  keystone backup create monday.ksb --recipient ./recipients --recipient ./more-recipients
  keystone backup create monday.ksb --passphrase-file ./passphrase --url https://auth.example.org`,
		Args: cobra.ExactArgs(1),
	}))
	cmd.Flags().StringArrayVar(&recipients, "recipient", nil, "encrypt for this recipient of age (age1…), or for those in this file; may be given several times")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "encrypt with the passphrase in this file, or - for standard input")
	cmd.Flags().BoolVar(&plain, "plain", false, "do not encrypt")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil && !force {
			return fmt.Errorf("%s exists already: choose another name, or replace it with --force", args[0])
		}
		lock, err := lockFor(cmd, recipients, passphraseFile, plain)
		if err != nil {
			return err
		}
		return asOperator(cmd, func(_ context.Context, c *client.Client) error {
			// Without the deadline of other commands: there may be much to copy.
			meta, err := backup.Keep(args[0], lock, force, func(w io.Writer) error { return c.Backup(cmd.Context(), w) })
			if err != nil {
				return fmt.Errorf("no backup was made: %w", err)
			}
			return printBackup(cmd, args[0], backup.Report{Meta: meta, Encrypted: lock.Sealed(), Signature: backup.SignatureUnchecked})
		})
	}
	return cmd
}

// lockFor settles how a new backup is encrypted.
func lockFor(cmd *cobra.Command, recipients []string, passphraseFile string, plain bool) (backup.Lock, error) {
	ways := 0
	for _, given := range []bool{len(recipients) > 0, passphraseFile != "", plain} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return backup.Lock{}, errors.New("--recipient, --passphrase-file and --plain exclude each other: a backup is encrypted in one way")
	case plain:
		return backup.Plain, nil
	case len(recipients) > 0:
		return backup.ForRecipients(recipients)
	}
	passphrase, err := passphraseFrom(cmd, passphraseFile, true)
	if err != nil {
		return backup.Lock{}, err
	}
	return backup.ForPassphrase(passphrase)
}

// keyFlags are how a command opens a backup.
type keyFlags struct {
	identities     []string
	passphraseFile string
}

func (k *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&k.identities, "identity", nil, "open it with the identities of age in this file; may be given several times")
	cmd.Flags().StringVar(&k.passphraseFile, "passphrase-file", "", "open it with the passphrase in this file, or - for standard input")
}

// keys finds what opens the file. A passphrase is asked for only where it needs one.
func (k *keyFlags) keys(cmd *cobra.Command, file string) (keys backup.Keys, err error) {
	need, err := backup.NeedOf(file)
	switch {
	case err != nil:
		return keys, fmt.Errorf("the backup %s is not usable: %w", file, err)
	case need == backup.NeedPassphrase:
		passphrase, err := passphraseFrom(cmd, k.passphraseFile, false)
		if err != nil {
			return keys, err
		}
		return backup.FromPassphrase(passphrase)
	case need == backup.NeedIdentity && len(k.identities) == 0:
		return keys, fmt.Errorf("the backup %s is encrypted for recipients: give the file with an identity of one of them with --identity", file)
	}
	return backup.FromIdentities(k.identities)
}

func backupVerifyCommand() *cobra.Command {
	var k keyFlags
	cmd := jsonFlag(&cobra.Command{
		Use:   "verify FILE",
		Short: "Prove that a backup is whole and what a cluster has made",
		Long: `Opens a backup and proves it: its sums, each row against its indexes, the audit log from its first entry to
its last, and the state hash, computed anew from the rows. No node is needed.

With the cluster secret, that of KEYSTONE_SECRET or KEYSTONE_SECRET_FILE or the one in the data folder, it also
proves that a node of that cluster has made the backup.

The state is unpacked into TMPDIR meanwhile, readable for this user alone.`,
		Example: `  keystone backup verify monday.ksb --identity ./identity
  keystone backup verify monday.ksb --passphrase-file ./passphrase --json`,
		Args: cobra.ExactArgs(1),
	})
	addFlags(cmd.Flags(), "data")
	k.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := k.keys(cmd, args[0])
		if err != nil {
			return err
		}
		secrets, err := secretsOf(cmd, "")
		if err != nil {
			return err
		}
		scratch, err := os.MkdirTemp("", "keystone-verify-*")
		if err != nil {
			return fmt.Errorf("there is no place to unpack the backup: %w: set TMPDIR to a folder that has room", err)
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		report, err := backup.Verify(args[0], keys, scratch, secrets...)
		if err != nil {
			return err
		}
		return printBackup(cmd, args[0], report)
	}
	return cmd
}

func printBackup(cmd *cobra.Command, file string, r backup.Report) error {
	encrypted := "no"
	if r.Encrypted {
		encrypted = "yes"
	}
	var rows []table.Row
	for _, row := range [][2]any{
		{"file", file},
		{"made", r.Created.Format(time.RFC3339)},
		{"by", r.Node + ", Keystone " + r.Keystone},
		{"cluster", r.ClusterID},
		{"encrypted", encrypted},
		{"signature", r.Signature},
		{"log index", r.Index},
		{"epoch", r.Epoch},
		{"state hash", r.StateHash},
		{"state bytes", r.Bytes},
		{"users", r.Rows["users"]},
		{"clients", r.Rows["clients"]},
		{"roles", r.Rows["roles"]},
		{"scopes", r.Rows["scopes"]},
		{"sessions", r.Rows["sessions"]},
		{"audit entries", r.Rows["audit"]},
	} {
		rows = append(rows, table.Row{row[0], row[1]})
	}
	return present(cmd, r, table.Row{"backup", ""}, rows)
}

func backupListCommand() *cobra.Command {
	cmd := jsonFlag(&cobra.Command{
		Use:     "list FOLDER",
		Short:   "List the scheduled backups in a folder, the latest first",
		Example: `  keystone backup list /var/backups/keystone`,
		Args:    cobra.ExactArgs(1),
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := backup.List(args[0])
		if err != nil {
			return err
		}
		var rows []table.Row
		for _, f := range all {
			rows = append(rows, table.Row{f.Name, f.Created.Format(time.RFC3339), f.Index, f.Bytes})
		}
		return present(cmd, all, table.Row{"file", "made", "log index", "bytes"}, rows)
	}
	return cmd
}

func restoreCommand() *cobra.Command {
	var k keyFlags
	var newCluster bool
	cmd := jsonFlag(&cobra.Command{
		Use:   "restore FILE",
		Short: "Begin a cluster from a backup, in the empty data folder of one node",
		Long: `Proves the backup as a whole, and only then makes the data folder, which must be empty, that of a node with
the state of the backup. The node is a cluster of one. Start it with keystone serve, and the others on empty data
folders as ever, with the same --initial list or with --join: they are sent the state. Do this on one node alone.

Give the name, the address and the secret that keystone serve is given. Everything that was issued before is dead
afterwards: tokens, sessions and mailed links, for some of them may have been revoked since the backup. Everybody
logs in again, with the passwords of the backup. The signing keys are replaced; the shared secret of the compatible
mode stays, so that services which verify tokens by it alone take old ones until these expire.

Make sure that no node of the old cluster comes back: it would be a second cluster of the same name.

With --force-new-cluster the cluster gets a new id. Only then may the backup be of a cluster with another secret,
and only then is a secret made where none is given. What is in a foreign backup cannot be proven to be what its
cluster has made: take none from a source that you do not trust.`,
		Example: `  keystone restore monday.ksb --identity ./identity --name a --cluster 10.0.0.7:7400 --data /var/lib/keystone
  keystone restore monday.ksb --passphrase-file ./passphrase --force-new-cluster --data ./copy-of-production`,
		Args: cobra.ExactArgs(1),
	})
	addFlags(cmd.Flags())
	k.add(cmd)
	cmd.Flags().BoolVar(&newCluster, "force-new-cluster", false, "give the cluster a new id, and take a backup of a cluster with another secret")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := nodeConfig(cmd.Flags())
		if err != nil {
			return err
		}
		keys, err := k.keys(cmd, args[0])
		if err != nil {
			return err
		}
		out, err := node.Restore(c.Node, args[0], keys, newCluster)
		if err != nil {
			return err
		}
		return printRestored(cmd, c, out)
	}
	return cmd
}

func printRestored(cmd *cobra.Command, c Config, out backup.Restored) error {
	return present(cmd, out, table.Row{"restored", ""}, []table.Row{
		{"node", c.Node.Name},
		{"data", c.Node.DataDir},
		{"cluster", out.NewClusterID},
		{"as of", out.Created.Format(time.RFC3339)},
		{"users", out.Rows["users"]},
		{"log index", out.NewIndex},
		{"epoch", out.NewEpoch},
		{"signature", cmp.Or(out.Signature, "-")},
	})
}
