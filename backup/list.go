package backup

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Kept is a backup in a folder of scheduled ones, as far as its name tells.
type Kept struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Index   uint64    `json:"index"`
	Bytes   int64     `json:"bytes"` // of the file
}

// keptName is what scheduled backups are called. No other file in their folder is ever touched.
var keptName = regexp.MustCompile(`^keystone-(\d{8}T\d{6}Z)-(\d{1,20})\.ksb$`)

const keptTime = "20060102T150405Z"

func nameOf(m Meta) string {
	return fmt.Sprintf("keystone-%s-%d.ksb", m.Created.UTC().Format(keptTime), m.Index)
}

// List returns the scheduled backups in a folder, the latest first.
func List(folder string) ([]Kept, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the folder of the backups cannot be read: %w", err)
	}
	all := []Kept{}
	for _, e := range entries {
		parts := keptName.FindStringSubmatch(e.Name())
		info, err := e.Info()
		if parts == nil || err != nil || !info.Mode().IsRegular() {
			continue
		}
		created, err := time.Parse(keptTime, parts[1])
		if err != nil {
			continue
		}
		index, _ := strconv.ParseUint(parts[2], 10, 64)
		all = append(all, Kept{e.Name(), created, index, info.Size()})
	}
	slices.SortFunc(all, func(a, b Kept) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Index, a.Index))
	})
	return all, nil
}

// retain removes all but the latest backups of a folder.
func retain(folder string, keep int) error {
	all, err := List(folder)
	if err != nil {
		return err
	}
	for _, old := range all[min(keep, len(all)):] {
		if err := os.Remove(filepath.Join(folder, old.Name)); err != nil {
			return fmt.Errorf("an old backup cannot be removed: %w", err)
		}
	}
	return nil
}
