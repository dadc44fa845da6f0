package node

import (
	"context"
	"io"
	"math"
	"time"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/secret"
)

// backupEnd is how long a node that stops waits for a backup under way.
const backupEnd = time.Second

// startBackups makes what copies this node's state, asked or by a schedule.
func (n *Node) startBackups(s secret.ClusterSecret) {
	n.backups = &backup.Source{
		Store: n.store, Folder: n.folder.snapshotPath(), ClusterID: n.cluster.ClusterID, Secret: s,
		Node: n.config.Name, Keystone: n.config.Version, Free: n.spareRoom,
	}
	n.keeper = backup.NewKeeper(n.config.Backup, n.backups, func() bool { return n.cluster.Role() == "leader" }, n.config.Logger)
	n.cluster.Lead(func(context.Context) { n.keeper.Wake() })
}

// keepBackups begins to make backups by the schedule, if there is one.
func (n *Node) keepBackups(ctx context.Context) {
	if n.config.Backup.Folder == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{}) // closed here alone
	go func() {
		defer close(done)
		n.keeper.Run(ctx)
	}()
	n.endBackup = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(backupEnd): // it is proving a large copy, of which nothing else depends
		}
	}
}

// spareRoom is how much may be written beside the data before this node would rather let another one lead.
func (n *Node) spareRoom() uint64 {
	free := n.cluster.Stats().DiskFree
	if free == 0 {
		return math.MaxUint64 // the system does not tell, or writing will
	}
	return free - min(free, n.config.MinFree)
}

func (n *Node) openBackup() (io.ReadCloser, int64, error) {
	a, err := n.backups.Open()
	if err != nil {
		return nil, 0, err
	}
	return a, a.Size, nil
}
