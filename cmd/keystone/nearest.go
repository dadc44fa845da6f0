package main

// nearest is the name that somebody who wrote given most likely meant, or nothing where none is near.
func nearest(given string, names []string) string {
	best, distance := "", len(given)/4+1
	for _, name := range names {
		if d := edits(given, name); d > 0 && d <= distance && (best == "" || d < distance) {
			best, distance = name, d
		}
	}
	return best
}

// edits counts the characters that have to be put in, taken out or replaced to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
