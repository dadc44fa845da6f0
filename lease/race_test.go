//go:build race

package lease_test

// The race detector makes the simulation ten times slower, and it has but one goroutine.
const slower = 10
