//go:build !linux

package cluster

// mappingOf is known on Linux alone.
func mappingOf(string) (address, size uintptr, err error) { return 0, 0, nil }
