package cache

import "bytes"

// from returns those of the samples whose time is t or later, and until those
// whose time is t or earlier. Times are in milliseconds. Samples stand in the
// order of time, so that a few probes find the place; floats and histograms
// are told apart by their text alone, so that both are found alike.
func from(samples []byte, t int64) []byte { return samples[search(samples, t):] }

func until(samples []byte, t int64) []byte {
	n := search(samples, t+1)
	if n == 0 {
		return nil
	}
	if n == len(samples) {
		return samples
	}
	return samples[:n-1] // without the comma
}

// near is how many bytes are looked through one sample after the other.
const near = 128

// search returns where the first sample of time t or later begins; the length of
// samples: there is none.
func search(samples []byte, t int64) int {
	low, high := 0, len(samples) // what begins before low is earlier; what begins at high or after is not
	if high > 4*near {
		low, high = around(samples, t)
	}
	for high-low > near {
		middle := next(samples[:high], low+(high-low)/2)
		if middle >= high { // the one before is longer than half of the rest
			break
		}
		if timeOf(samples[middle:]) < t {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for at := begin(samples, low); at < high; at = next(samples, at+1) {
		if timeOf(samples[at:]) >= t {
			return at
		}
	}
	return high
}

// around guesses where a time is, as samples are of about the same length, and
// looks in wider and wider steps for what is on the other side of it.
func around(samples []byte, t int64) (low, high int) {
	last := lastOf(samples)
	first, end := timeOf(samples), timeOf(samples[last:])
	switch {
	case t <= first:
		return 0, 0
	case t > end:
		return len(samples), len(samples)
	}
	low, high = 0, last
	at := int(float64(t-first) / float64(end-first) * float64(last))
	earlier, later := false, false // than t: what was found so far
	for step := near; at > low && at < high && !(earlier && later); step *= 2 {
		found := next(samples[:high], at)
		switch {
		case found >= high:
			return low, high
		case timeOf(samples[found:]) < t:
			low, at, earlier = found+1, found+step, true
		default:
			high, at, later = found, found-step, true
		}
	}
	return low, high
}

// begin is where the first sample at i or after it begins.
func begin(samples []byte, i int) int {
	if i == 0 {
		return 0
	}
	return next(samples, i)
}

// between separates two samples: no sample holds it, since what stands between
// two arrays inside a histogram is followed by a digit and a comma.
var between = []byte(`],[`)

// next is where the first sample after i begins, the one that begins at i left
// out; the length of samples: there is none.
func next(samples []byte, i int) int {
	for i < len(samples) {
		n := bytes.Index(samples[i:], between)
		if n < 0 {
			return len(samples)
		}
		if i += n + 2; isSample(samples, i) {
			return i
		}
	}
	return len(samples)
}

// isSample tells a sample from a histogram's bucket, [0,"1","2","3"]: a bucket
// stands inside an array of buckets, and so is never preceded by what ends a
// sample, "] or }].
func isSample(samples []byte, i int) bool {
	if i < 3 {
		return false
	}
	// A float ends in "], as does a bucket; a histogram in }].
	if samples[i-3] == '}' {
		return true
	}
	// Of what ends in "] a float has two elements and a bucket four.
	end := i - 3 // the last quote
	quotes := 0
	for j := end; j >= 0; j-- {
		switch samples[j] {
		case '"':
			quotes++
		case '[':
			return quotes == 2
		}
	}
	return false
}

// timeOf reads the time of the sample that begins the text, in milliseconds.
func timeOf(sample []byte) int64 {
	t, i, negative := int64(0), 1, false
	if i < len(sample) && sample[i] == '-' {
		negative, i = true, 2
	}
	for ; i < len(sample) && sample[i] >= '0' && sample[i] <= '9'; i++ {
		t = t*10 + int64(sample[i]-'0')
	}
	t *= 1000
	if i < len(sample) && sample[i] == '.' {
		for unit := int64(100); unit > 0; unit /= 10 {
			if i++; i >= len(sample) || sample[i] < '0' || sample[i] > '9' {
				break
			}
			t += int64(sample[i]-'0') * unit
		}
	}
	if negative {
		return -t
	}
	return t
}

// Valid tells whether a scanned piece can be joined and kept: its series stand in
// Prometheus' order, none of them twice, and the first and the last sample of each
// lie within the span. What is between them is not looked at.
func Valid(series []Series, span Span) bool {
	for _, s := range series {
		if !lies(s.Values, span) || !lies(s.Histograms, span) {
			return false
		}
	}
	return ascending(series)
}

func lies(samples []byte, span Span) bool {
	if len(samples) == 0 {
		return true
	}
	first, last := timeOf(samples), timeOf(samples[lastOf(samples):])
	return span.From <= first && first <= last && last <= span.To
}

// lastOf is where the last sample begins.
func lastOf(samples []byte) int {
	for i := len(samples); ; {
		if i = bytes.LastIndex(samples[:i], between); i < 0 {
			return 0
		}
		if isSample(samples, i+2) {
			return i + 2
		}
	}
}
