package gateway

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// FuzzParseParams: what is accepted is encoded to something that parses to the
// same, in one query and in one form; and it holds nothing but known names.
func FuzzParseParams(f *testing.F) {
	endpoints := Endpoints()
	for i, e := range endpoints {
		f.Add(uint8(i), rows[e.Name].query, "")
		f.Add(uint8(i), "start=0&end=1&step=1&limit=x", rows[e.Name].query)
	}
	f.Add(uint8(1), "query=up;time=4", "")
	f.Add(uint8(1), "query=%zz", "query=%")
	f.Add(uint8(1), "query=\xff\xfe&%00=%00", "query=+%2B&=&==&&")
	f.Fuzz(func(t *testing.T, n uint8, query, form string) {
		e := endpoints[int(n)%len(endpoints)]
		p, err := parseParams(e, testTenancy(), nil, query, form)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		encoded := p.encode()
		known, err := url.ParseQuery(encoded)
		if err != nil {
			t.Fatalf("%q does not parse: %v", encoded, err)
		}
		for name, values := range known {
			i := slices.IndexFunc(e.Params, func(p Param) bool { return p.Name == name })
			if i < 0 || len(values) > 1 && !e.Params[i].Multi {
				t.Errorf("%q holds %s: %q", encoded, name, values)
			}
		}
		for _, again := range [][2]string{{encoded, ""}, {"", encoded}} {
			q, err := parseParams(e, testTenancy(), nil, again[0], again[1])
			if err != nil {
				t.Fatalf("%q and %q became %q, which is refused: %v", query, form, encoded, err)
			}
			if q.encode() != encoded || !q.start.Equal(p.start) || !q.end.Equal(p.end) || q.step != p.step {
				t.Errorf("%q became %q", encoded, q.encode())
			}
		}
	})
}

// FuzzPath: a path that is let through names an endpoint by its constant path,
// projects and environments by names without escapes, and a label by a segment
// that goes upstream as [A-Za-z0-9_]+ and is the same name there.
func FuzzPath(f *testing.F) {
	for i, target := range mutations() {
		if i%20 == 0 && len(target) < 1000 {
			f.Add(target)
		}
	}
	for target := range harmless {
		f.Add(target)
	}
	g := benchGateway(nil)
	constant := map[string]bool{}
	for _, e := range Endpoints() {
		constant[e.Path] = true
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, RequestURI: target, Header: http.Header{}}
		x := &exchange{ResponseWriter: httptest.NewRecorder()}
		if err := g.route(x, r); err == nil {
			t.Fatal("a request without a credential is served")
		}
		if x.endpoint == nil {
			return
		}
		path := strings.TrimPrefix(u.EscapedPath(), "/projects/")
		project, path, _ := strings.Cut(path, "/environments/")
		environment, path, _ := strings.Cut(path, "/")
		if !isDNSLabel(project) || !isDNSLabel(environment) {
			t.Errorf("%q: project %q, environment %q", target, project, environment)
		}
		if constant[path] {
			return
		}
		segment := strings.TrimSuffix(strings.TrimPrefix(path, "api/v1/label/"), "/values")
		if path != "api/v1/label/"+segment+"/values" || strings.Contains(segment, "/") {
			t.Fatalf("%q leads to %s", target, path)
		}
		if name, ok := labelName(segment); ok {
			checkLabel(t, segment, name)
		}
	})
}

func checkLabel(t *testing.T, segment, name string) {
	t.Helper()
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		t.Fatalf("%q goes upstream as %q", segment, name)
	}
	want, err := url.PathUnescape(segment)
	if err != nil {
		t.Fatal(err)
	}
	unescape := func(s string) string { // as Prometheus' handler does
		if strings.HasPrefix(s, "U__") {
			return model.UnescapeName(s, model.ValueEncodingEscaping)
		}
		return s
	}
	if unescape(name) != unescape(want) {
		t.Errorf("%q goes upstream as %q, which is %q there", segment, name, unescape(name))
	}
}

func FuzzLabelName(f *testing.F) {
	for _, s := range inPlaceOfLabel {
		f.Add(s)
	}
	for _, s := range []string{"job", "a:b", "a.b", "U__a_2e_b", "U__", "U___2f_", "gr%C3%B6%C3%9Fe", "%55__a_2e_b", "_", "__", "1a", "%F0%9F%94%A5", "%EF%BF%BD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, segment string) {
		if name, ok := labelName(segment); ok {
			checkLabel(t, segment, name)
		}
	})
}

// FuzzAcceptsGzip: gzip is not sent to a client that names neither it nor *,
// and a further unknown coding changes nothing.
func FuzzAcceptsGzip(f *testing.F) {
	for _, s := range []string{"gzip", "GZIP", "*", "gzip;q=0", "gzip; q=0.000", "gzip;Q=0", "gzip;q=0.001", "*;q=0", "*;q=0, gzip", "gzip;q=0, *", "br, deflate", "identity", "", "x-gzip", "gzip;x=y", ",,gzip,,", "gzip;q=", "gzip;q=1.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := acceptsGzip([]string{header})
		if lower := strings.ToLower(header); got && !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
			t.Errorf("%q accepts gzip", header)
		}
		for _, more := range [][]string{{"br", header}, {header, "br"}, {"br, " + header}, {header + ",br"}, {header, ""}} {
			if acceptsGzip(more) != got {
				t.Errorf("%q: %v, but %q: %v", header, got, more, !got)
			}
		}
		if strings.Trim(header, "gzip ,") == header && acceptsGzip([]string{"gzip;q=0", header}) && !strings.Contains(header, "gzip") && !strings.Contains(header, "*") {
			t.Errorf("gzip;q=0, %q accepts gzip", header)
		}
	})
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "GZip": true, "*": true, "gzip;q=0.001": true, "gzip ;q=1": true, "*;q=0, gzip": true, "br;q=1, gzip;q=0.1": true, "gzip;q=1.000": true,
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip; q=0.0": false, "gzip;Q=0": false, "gzip;q=0, *": false, "*;q=0": false, "x-gzip": false, "gzipx": false, "gzip;q=": false,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// FuzzParseTime: what is accepted means what Prometheus takes it for, and can
// be told in its milliseconds.
func FuzzParseTime(f *testing.F) {
	for _, s := range times {
		f.Add(s)
	}
	for _, s := range []string{"NaN", "Inf", "-Inf", "1e300", "9223372036854775", "-9223372036854775", "0x1p-2", "1e-9", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTime(s)
		number, numberErr := strconv.ParseFloat(s, 64)
		instant, instantErr := time.Parse(time.RFC3339Nano, s)
		switch {
		case numberErr == nil && math.Abs(number) < maxSeconds:
			whole, fraction := math.Modf(number)
			want := time.Unix(int64(whole), int64(math.Round(fraction*1000)/1000*float64(time.Second)))
			if err != nil || !got.Equal(want) {
				t.Errorf("%q is %v (%v), want %v", s, got, err, want)
			}
			if difference := math.Abs(float64(got.UnixMilli())/1000 - number); difference > 0.0015 && difference > math.Abs(number)*1e-15 {
				t.Errorf("%q is %v, %v s off", s, got, difference)
			}
		case instantErr == nil:
			if err != nil || !got.Equal(instant) {
				t.Errorf("%q is %v (%v), want %v", s, got, err, instant)
			}
		case s != minTimeText && s != maxTimeText:
			if err == nil {
				t.Errorf("%q is %v, and should be refused", s, got)
			}
		}
		if err != nil && utf8.ValidString(s) && !strings.Contains(err.Error(), strconv.Quote(s)) {
			t.Errorf("%q: %v", s, err)
		}
	})
}
