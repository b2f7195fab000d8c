package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// What the gateway is to reach. The CPU times are those beside a Prometheus that
// alone spends aloneCPU on the same refreshes; a slower machine, or fewer
// refreshes, are brought to that scale.
const (
	targetRatio         = 0.15
	targetProxyCPU      = 0.5 // seconds
	targetPrometheusCPU = 1.0
	aloneCPU            = 7.0
)

func printRuns(out io.Writer, runs []*measurement) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "who\tencoding\tcold refresh\twarm, median\tall, median\tof Prometheus'\tproxy CPU\tPrometheus CPU\ton the wire\tcache\t")
	for _, m := range runs {
		ratio, proxy, cache := "–", "–", "–"
		if m.alone != nil {
			ratio = fmt.Sprintf("%.2f", m.ratio())
			proxy = fmt.Sprintf("%.2f s", m.proxyCPU.Seconds())
			cache = m.cached()
		}
		warm := "–"
		if len(m.refreshes) > 1 {
			warm = milliseconds(median(m.refreshes[1:]))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f s\t%.1f MB\t%s\t\n", m.who, m.encoding, milliseconds(m.refreshes[0]), warm,
			milliseconds(median(m.refreshes)), ratio, proxy, m.prometheusCPU.Seconds(), float64(m.bytes)/1e6, cache)
	}
	return w.Flush()
}

// printTargets tells what of the targets is reached. Missing one is no error:
// times are of this machine, at this moment.
func printTargets(out io.Writer, runs []*measurement) {
	fmt.Fprintf(out, "\nTargets; CPU on the scale of a Prometheus that alone spends %.1f s\n", aloneCPU)
	for _, m := range runs {
		if m.alone == nil {
			continue
		}
		alone := m.alone.prometheusCPU.Seconds()
		line := func(what string, got, most float64, more string) {
			mark := "reached"
			if !(got <= most) { // nor if there is none
				mark = "MISSED "
			}
			fmt.Fprintf(out, "  %s  %s %s: %s %.2f, at most %.2f%s\n", mark, m.who, m.encoding, what, got, most, more)
		}
		cpu := func(what string, used time.Duration, most float64) {
			line(what, used.Seconds()*aloneCPU/alone, most, fmt.Sprintf(" (%.2f s here, where Prometheus alone spends %.2f s)", used.Seconds(), alone))
		}
		line("median refresh, of Prometheus'", m.ratio(), targetRatio, "")
		cpu("proxy CPU", m.proxyCPU, targetProxyCPU)
		cpu("Prometheus CPU behind it", m.prometheusCPU, targetPrometheusCPU)
	}
}

// ratio is the median refresh, of Prometheus' own in the same encoding.
func (m *measurement) ratio() float64 {
	return float64(median(m.refreshes)) / float64(median(m.alone.refreshes))
}

// cached counts what the gateway says of its cache.
func (m *measurement) cached() string {
	counts := map[string]int{}
	for _, a := range m.answers {
		if a.cache != "" {
			counts[a.cache]++
		}
	}
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[outcome], outcome))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1000) }
