package cache

// Since is the part of series whose samples are of a time or later, in milliseconds,
// without the series that have none there.
func Since(series []Series, t int64) []Series {
	part := make([]Series, 0, len(series))
	for _, s := range series {
		s.Values, s.Histograms = from(s.Values, t), from(s.Histograms, t)
		if len(s.Values) > 0 || len(s.Histograms) > 0 {
			part = append(part, s)
		}
	}
	return part
}

// Until is the part of series whose samples are of a time or earlier, in
// milliseconds, without the series that have none there.
func Until(series []Series, t int64) []Series {
	part := make([]Series, 0, len(series))
	for _, s := range series {
		s.Values, s.Histograms = until(s.Values, t), until(s.Histograms, t)
		if len(s.Values) > 0 || len(s.Histograms) > 0 {
			part = append(part, s)
		}
	}
	return part
}
