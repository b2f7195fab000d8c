package cache

// Joined is one series of an answer that is made of several pieces of time.
type Joined struct {
	Metric []byte
	// Values and Histograms are the pieces' samples, in the order of time.
	Values, Histograms [][]byte
}

// Join adds a piece that is later than all before to what was joined. Both are in
// Prometheus' order, and so is what it returns.
func Join(joined []Joined, piece []Series) []Joined {
	i, missing := 0, 0
	for _, s := range piece {
		for i < len(joined) && compare(joined[i].Metric, s.Metric) < 0 {
			i++
		}
		if i == len(joined) || compare(joined[i].Metric, s.Metric) != 0 {
			missing++
		}
	}
	if missing > 0 {
		joined = widen(joined, piece, missing)
	}
	i = 0
	for _, s := range piece {
		for compare(joined[i].Metric, s.Metric) != 0 {
			i++
		}
		if len(s.Values) > 0 {
			joined[i].Values = append(joined[i].Values, s.Values)
		}
		if len(s.Histograms) > 0 {
			joined[i].Histograms = append(joined[i].Histograms, s.Histograms)
		}
	}
	return joined
}

// widen makes room for the series of a piece that were not there yet.
func widen(joined []Joined, piece []Series, missing int) []Joined {
	wide := make([]Joined, 0, len(joined)+missing)
	i := 0
	for _, s := range piece {
		for i < len(joined) && compare(joined[i].Metric, s.Metric) < 0 {
			wide = append(wide, joined[i])
			i++
		}
		if i < len(joined) && compare(joined[i].Metric, s.Metric) == 0 {
			continue
		}
		wide = append(wide, Joined{Metric: s.Metric})
	}
	return append(wide, joined[i:]...)
}

// Append writes an answer as Prometheus would have written it.
func Append(body []byte, joined []Joined) []byte {
	body = append(body, matrixHead...)
	first := true
	for _, s := range joined {
		if len(s.Values) == 0 && len(s.Histograms) == 0 {
			continue
		}
		if !first {
			body = append(body, ',')
		}
		first = false
		body = append(body, `{"metric":`...)
		body = append(body, s.Metric...)
		body = appendSamples(body, valuesHead, s.Values)
		body = appendSamples(body, histogramsHead, s.Histograms)
		body = append(body, '}')
	}
	return append(body, matrixTail...)
}

func appendSamples(body, head []byte, pieces [][]byte) []byte {
	if len(pieces) == 0 {
		return body
	}
	body = append(body, head...)
	for i, p := range pieces {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, p...)
	}
	return append(body, ']')
}
