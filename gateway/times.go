package gateway

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// Prometheus' two literal extremes: the earliest and latest time that its API
// prints and accepts (web/api/v1/api.go).
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()

	// maxSeconds is the greatest time, in seconds, that fits in milliseconds.
	maxSeconds = float64(math.MaxInt64 / 1000)

	minTimeText = minTime.Format(time.RFC3339Nano)
	maxTimeText = maxTime.Format(time.RFC3339Nano)
)

// parseTime reads a time as Prometheus' API does: float seconds, RFC 3339 or
// one of the two extremes. Infinite and undefined numbers and those beyond what
// its milliseconds can hold are refused: what they mean there depends on the
// platform.
func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(seconds) < maxSeconds {
		whole, fraction := math.Modf(seconds)
		fraction = math.Round(fraction*1000) / 1000
		return time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	switch s {
	case minTimeText:
		return minTime, nil
	case maxTimeText:
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// parseDuration reads a duration as Prometheus' API does: float seconds, or a
// number with a unit such as 5m.
func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(seconds) {
		nanos := seconds * float64(time.Second)
		if nanos > float64(math.MaxInt64) || nanos < float64(math.MinInt64) {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(nanos), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}

// formatMillis writes a time in milliseconds as every Prometheus reads it again
// to the millisecond: as a number of seconds it would lose some.
func formatMillis(t int64) string {
	if t%1000 == 0 {
		return strconv.FormatInt(t/1000, 10)
	}
	return time.UnixMilli(t).UTC().Format(time.RFC3339Nano)
}
