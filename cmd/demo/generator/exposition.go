package generator

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	plainText   = "text/plain; version=0.0.4; charset=utf-8"
)

// ServeHTTP answers the series at this moment, in OpenMetrics where the client accepts it (with exemplars), else in
// Prometheus' text format.
func (g *Generator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
	contentType := plainText
	if open {
		contentType = openMetrics
	}
	body := g.Exposition(g.clock(), open)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// Exposition writes the series at an instant, in OpenMetrics or in Prometheus' text format.
func (g *Generator) Exposition(at time.Time, openMetrics bool) []byte {
	var b bytes.Buffer
	values := g.Values(at, make([]float64, 0, len(g.series)))
	exemplars := map[int]Exemplar{}
	if openMetrics {
		for _, e := range g.Exemplars(at) {
			exemplars[e.Series] = e
		}
	}
	for _, f := range g.families {
		name := f.Name
		if openMetrics {
			name = strings.TrimSuffix(name, "_total")
		}
		b.WriteString("# HELP " + name + " " + f.Help + "\n# TYPE " + name + " " + string(f.Kind) + "\n")
		for i := f.First; i < f.First+f.Count; i++ {
			writeSeries(&b, g.series[i])
			b.WriteString(format(values[i]))
			if e, ok := exemplars[i]; ok {
				b.WriteString(` # {trace_id="` + e.TraceID + `"} ` + format(e.Value) + " " + strconv.FormatInt(e.Time.Unix(), 10))
			}
			b.WriteByte('\n')
		}
	}
	if openMetrics {
		b.WriteString("# EOF\n")
	}
	return b.Bytes()
}

func format(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func writeSeries(b *bytes.Buffer, s Series) {
	b.WriteString(s.Name + "{")
	for i, l := range s.Labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name + `="` + escaper.Replace(l.Value) + `"`)
	}
	b.WriteString("} ")
}

// escaper writes a label value as the exposition formats want it.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
