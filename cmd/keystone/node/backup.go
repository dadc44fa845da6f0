package node

import (
	"io"
	"math"

	"github.com/keystone-auth/keystone/backup"
	"github.com/keystone-auth/keystone/secret"
)

// backupSource makes copies of this node's state.
func (n *Node) backupSource(s secret.ClusterSecret) *backup.Source {
	return &backup.Source{
		Store: n.store, Folder: n.folder.snapshotPath(), ClusterID: n.cluster.ClusterID, Secret: s,
		Node: n.config.Name, Keystone: n.config.Version, Free: n.spareRoom,
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
