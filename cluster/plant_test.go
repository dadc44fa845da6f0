package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/keystone-auth/keystone/cluster"
)

// TestFailedPlanting: a folder whose state did not get its place is as it was, and at no time before that would
// a node start on it.
func TestFailedPlanting(t *testing.T) {
	folder := t.TempDir()
	if _, err := cluster.NewSeed("c", "no name", ""); err == nil {
		t.Error("a name that no node may have was taken")
	}
	seed, err := cluster.NewSeed("c", "a", "10.0.0.7:7400")
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	if err := seed.Plant(folder, 7, func() error {
		if _, err := os.Stat(filepath.Join(folder, "cluster.json")); err == nil || !cluster.HasData(folder) {
			t.Error("the folder counts as that of a node before its state is there, or as an empty one")
		}
		return full
	}); !errors.Is(err, full) {
		t.Errorf("the planting gives %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 || cluster.HasData(folder) {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if err := seed.Plant(folder, 1, func() error { return nil }); err == nil {
		t.Error("a log in the term of one that nobody has used was made")
	}
	if err := seed.Plant(folder, 7, func() error { return nil }); err != nil || !cluster.HasData(folder) {
		t.Error(err)
	}
	if err := seed.Plant(folder, 7, func() error { return nil }); err == nil || !cluster.HasData(folder) {
		t.Errorf("a second one in the same folder gives %v", err)
	}
}
