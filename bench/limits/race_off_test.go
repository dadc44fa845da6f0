//go:build !race

package limits

// raceDetector allocates by itself.
const raceDetector = false
