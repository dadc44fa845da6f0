package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/backup"
)

// plainBackups in place of recipients asks for backups that are not encrypted.
const plainBackups = "plain"

func backupFolder() setting {
	return setting{
		env: "KEYSTONE_BACKUP_DIR", doc: "folder for scheduled backups, which the node that leads makes: set it on every node, to a folder that they share or to one each (default: none are made)",
		set: text(func(c *Config) *string { return &c.Node.Backup.Folder }, nil),
	}
}

func backupEvery() setting {
	return setting{
		env: "KEYSTONE_BACKUP_EVERY", std: "24h", doc: "how old the latest backup in the folder becomes before the next one is made",
		want: "a duration from 1m to 8760h, such as 6h",
		set: func(c *Config, v string) (err error) {
			c.Node.Backup.Every, err = time.ParseDuration(v)
			return cmp.Or(err, refuse(c.Node.Backup.Every < time.Minute || c.Node.Backup.Every > 365*24*time.Hour))
		},
	}
}

func backupKeep() setting {
	return setting{
		env: "KEYSTONE_BACKUP_KEEP", std: "14", doc: "how many scheduled backups are kept in the folder; older ones are removed, and no other files",
		want: "a whole number from 1 to 10000",
		set:  count(func(c *Config) *int { return &c.Node.Backup.Keep }, 1, 10_000),
	}
}

func backupRecipients() setting {
	return setting{
		env: "KEYSTONE_BACKUP_RECIPIENTS", list: true, want: "recipients such as age1…, files of such, or plain",
		doc: "for whom scheduled backups are encrypted: recipients of age (age1…), or files of such, with commas between; plain: they are not encrypted",
		set: func(c *Config, v string) error {
			c.backupFor = nil
			for item := range strings.SplitSeq(v, ",") {
				c.backupFor = append(c.backupFor, strings.TrimSpace(item))
			}
			// A value that is refused here is repeated, and somebody may have put the secret half of a key
			// there: of that finishBackup tells.
			return refuse(slices.Contains(c.backupFor, "") && !strings.Contains(v, "AGE-SECRET-KEY"))
		},
	}
}

// finishBackup settles how scheduled backups are encrypted.
func (c *Config) finishBackup() error {
	switch {
	case c.Node.Backup.Folder == "":
		return nil
	case len(c.backupFor) == 0:
		return errors.New("KEYSTONE_BACKUP_DIR needs KEYSTONE_BACKUP_RECIPIENTS: the recipients of age for whom backups are encrypted, or plain")
	case len(c.backupFor) == 1 && c.backupFor[0] == plainBackups:
		c.Node.Backup.Lock = backup.Plain
		return nil
	}
	lock, err := backup.ForRecipients(c.backupFor)
	if err != nil {
		return fmt.Errorf("KEYSTONE_BACKUP_RECIPIENTS: %w", err)
	}
	c.Node.Backup.Lock = lock
	return nil
}
