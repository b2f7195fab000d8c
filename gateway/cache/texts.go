package cache

// Pieces of an answer that do not change.
var (
	comma       = []byte(`,`)
	metricStart = []byte(`{"metric":`)
	arrayClose  = []byte(`]`)
	seriesEnd   = []byte(`}`)
)

// Texts is an answer as Prometheus would have written it, with infos as ScanInfos
// returns them, as the texts that it is made of: nothing is copied.
func Texts(joined []Joined, infos []byte) [][]byte {
	size := 4
	for _, s := range joined {
		size += 8 + 2*(len(s.Values)+len(s.Histograms))
	}
	texts := append(make([][]byte, 0, size), matrixHead)
	first := true
	for _, s := range joined {
		if len(s.Values) == 0 && len(s.Histograms) == 0 {
			continue
		}
		if !first {
			texts = append(texts, comma)
		}
		first = false
		texts = append(texts, metricStart, s.Metric)
		texts = addSamples(texts, valuesHead, s.Values)
		texts = addSamples(texts, histogramsHead, s.Histograms)
		texts = append(texts, seriesEnd)
	}
	if infos != nil {
		return append(texts, dataEnd, infos, seriesEnd)
	}
	return append(texts, matrixTail)
}

func addSamples(texts [][]byte, head []byte, pieces [][]byte) [][]byte {
	if len(pieces) == 0 {
		return texts
	}
	texts = append(texts, head)
	for i, p := range pieces {
		if i > 0 {
			texts = append(texts, comma)
		}
		texts = append(texts, p)
	}
	return append(texts, arrayClose)
}
