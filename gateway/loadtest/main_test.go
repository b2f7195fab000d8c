package loadtest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

var (
	phaseTime = flag.Duration("load.duration", 2*time.Second, "how long each phase lasts")
	// A test among others, on a machine that does other things, can tell whether
	// requests are answered, not how fast.
	report = flag.Bool("load.report", false, "on a quiet machine: ten times the load, check latencies as well, and print the figures as Markdown")
)

func TestMain(m *testing.M) {
	code := m.Run()
	if *report {
		figures.print()
	}
	os.Exit(code)
}

// scale is what rates and places are multiplied by.
func scale() int {
	if *report {
		return 10
	}
	return 1
}

// table collects the figures of all scenarios.
type table struct {
	mu   sync.Mutex
	rows []string
}

var figures table

// add keeps a row for the stream that it is of.
func (f *table) add(scenario, phase string, s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, fmt.Sprintf("| %s | %s | %s | %.0f | %.1f | %.1f | %d | %s | %s | %s | %s |",
		scenario, phase, s.name, s.offered(), s.perSecond(s.count(answered)), s.perSecond(s.count(refused)),
		s.count(failed), milliseconds(s.quantile(answered, 0.5)), milliseconds(s.quantile(answered, 0.99)),
		milliseconds(s.quantile(refused, 0.99)), milliseconds(s.lateness(0.99))))
}

func (f *table) print() {
	fmt.Printf("\n%d cores, %s, %s/%s; %s a phase. Rates are per second, times in milliseconds from the instant\nat which a request was due. Late: how long after it the generator began.\n\n",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, *phaseTime)
	fmt.Println("| scenario | phase | who | offered | answered | 429 | failed | p50 | p99 | p99 of 429 | p99 late |")
	fmt.Println("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, row := range f.rows {
		fmt.Println(row)
	}
}

// milliseconds prints a duration; nothing where there was none to take.
func milliseconds(d time.Duration) string {
	if d < 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}
