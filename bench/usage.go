package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// usage is what the processors had done when a round began.
type usage struct {
	at         time.Time
	own        time.Duration
	busy, idle float64
}

func startUsage() usage {
	u := usage{at: time.Now(), own: ownCPU()}
	u.busy, u.idle = allCPU()
	return u
}

// shares tells how much of the processors this program and the whole machine used since.
func (u usage) shares() (own, all float64) {
	if wall := time.Since(u.at); wall > 0 {
		own = float64(ownCPU()-u.own) / float64(wall) / float64(runtime.NumCPU())
	}
	busy, idle := allCPU()
	if sum := busy + idle - u.busy - u.idle; sum > 0 {
		all = (busy - u.busy) / sum
	}
	return own, all
}

// allCPU reads what all processors together have done and have not done, in ticks; zeros where the system
// does not tell.
func allCPU() (busy, idle float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		switch {
		case err != nil: // the word cpu
		case i == 4 || i == 5: // idle, and waiting for a disk
			idle += n
		case i <= 8: // guests, which follow, are in user already
			busy += n
		}
	}
	return busy, idle
}

// machine says where the bench runs.
func machine() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	m.Processor = procValue("/proc/cpuinfo", "model name")
	if kib, err := strconv.ParseUint(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kib << 10
	}
	return m
}

// procValue is the first value of that name in a file of the kernel's; empty where there is none.
func procValue(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
