package login

// SortAtMost changes how many matches are sorted in memory, and returns what changes it back.
func SortAtMost(n int) func() {
	was := mostSorted
	mostSorted = n
	return func() { mostSorted = was }
}
