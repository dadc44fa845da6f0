// Package house holds no code, only the tests that keep the building upright: which room may know
// which (docs/architecture.md), what the state machine must not touch, and how the source is kept.
//
// What a linter checks belongs into .golangci.yml, and what concerns one room alone into that room.
package house
