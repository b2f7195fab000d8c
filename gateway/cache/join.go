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
