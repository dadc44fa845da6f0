package cluster

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mappingOf finds where this process has mapped a file (proc_pid_maps(5)); a size of 0 means nowhere.
func mappingOf(path string) (address, size uintptr, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, 0, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return 0, 0, err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if !strings.HasSuffix(lines.Text(), " "+path) {
			continue
		}
		var end uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &address, &end); err != nil {
			return 0, 0, fmt.Errorf("/proc/self/maps cannot be read: %w", err)
		}
		return address, end - address, nil
	}
	return 0, 0, nil
}
