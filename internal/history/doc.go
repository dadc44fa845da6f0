// Package history records what clients of real nodes saw while the nodes were cut off, paused and
// restarted, and checks whether one order of events explains it all.
package history
