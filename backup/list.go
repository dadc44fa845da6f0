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
	// Verified is when the file got its name, which it does once it has been read back.
	Verified time.Time `json:"verified"`
}

// keptName is what scheduled backups are called. No other file in their folder is ever touched.
var keptName = regexp.MustCompile(`^keystone-(\d{8}T\d{6}Z)-(\d{1,20})\.ksb$`)

// partName is what Keep calls such a file before it has its name.
var partName = regexp.MustCompile(`^\.keystone-\d{8}T\d{6}Z-\d{1,20}\.ksb-\d+$`)

// partAge is when a file that never got its name belongs to nobody any more.
const partAge = 24 * time.Hour

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
		all = append(all, Kept{e.Name(), created, index, info.Size(), info.ModTime().UTC()})
	}
	slices.SortFunc(all, func(a, b Kept) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Index, a.Index))
	})
	return all, nil
}

// retain removes all but the latest backups of a folder, and what is left of those whose process was killed.
func retain(folder string, keep int) error {
	all, err := List(folder)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var old []string
	for _, f := range all[min(keep, len(all)):] {
		old = append(old, f.Name)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && partName.MatchString(e.Name()) && time.Since(info.ModTime()) > partAge {
			old = append(old, e.Name())
		}
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("an old backup cannot be removed: %w", err)
		}
	}
	return nil
}
