package gateway

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// matrixText is the answer to a range query of so many series at 15 s, as Prometheus
// writes it: half of them rates, half of them sizes.
func matrixText(series, steps int) []byte {
	random := rand.New(rand.NewPCG(5, 6))
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for s := range series {
		if s > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"__name__":"m","instance":"10.0.0.%02d:8080","job":"api"},"values":[`, s)
		size, count := 200<<20+random.IntN(100<<20), 1000
		for i := range steps {
			if i > 0 {
				b.WriteByte(',')
			}
			value := ""
			if s%2 == 0 {
				count = max(count+random.IntN(21)-10, 0)
				value = strconv.FormatFloat(float64(count)/284.998, 'f', -1, 64)
			} else {
				size += (random.IntN(65) - 32) * 4096
				value = strconv.Itoa(size)
			}
			fmt.Fprintf(&b, `[%d,"%s"]`, 1767225600+15*i, value)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

// fixedTransport answers with one text.
type fixedTransport struct{ text []byte }

func (f fixedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		ContentLength: -1, TransferEncoding: []string{"chunked"}, Body: io.NopCloser(bytes.NewReader(f.text)),
	}, nil
}

// BenchmarkAlone is an instant query that nobody shares, with and without a cache.
func BenchmarkAlone(b *testing.B) {
	for name, cache := range map[string]Cache{"without": {}, "with": {MaxBytes: 256 << 20, Freshness: 10 * time.Minute}} {
		g := benchGateway(newConstantTransport(1 << 10))
		g.SetCache(cache)
		r := benchRequest(b.Context())
		r.URL.Path = production + "api/v1/query"
		r.URL.RawQuery = url.Values{"query": {dashboardExpr}}.Encode()
		r.RequestURI = r.URL.RequestURI()
		b.Run(name, func(b *testing.B) {
			measure(b)
			for b.Loop() {
				g.ServeHTTP(&blank{header: http.Header{}}, r)
			}
		})
	}
}

// BenchmarkKept is a range query of 50 series and 6 h that is kept whole.
func BenchmarkKept(b *testing.B) {
	text := matrixText(50, 1440)
	g := benchGateway(fixedTransport{text})
	g.SetCache(Cache{MaxBytes: 256 << 20, Freshness: 10 * time.Minute})
	for _, encoding := range []string{"identity", "gzip"} {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, production+"api/v1/query_range?"+
			url.Values{"query": {dashboardExpr}, "start": {"1767225600"}, "end": {"1767247185"}, "step": {"15"}}.Encode(), nil)
		r.Header.Set("Authorization", "Bearer "+tokenShop)
		r.Header.Set("Accept-Encoding", encoding)
		g.ServeHTTP(&blank{header: http.Header{}}, r)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Header().Get(outcomeHeader) != "hit" {
			b.Fatal(w.Code, w.Header())
		}
		b.Run(encoding, func(b *testing.B) {
			measure(b)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				g.ServeHTTP(&blank{header: http.Header{}}, r)
			}
		})
	}
}

// BenchmarkGzip compresses answers: new makes a writer each time.
func BenchmarkGzip(b *testing.B) {
	for name, text := range map[string][]byte{"1800K": matrixText(50, 1440), "200K": matrixText(6, 1320), "20K": matrixText(3, 260), "1K": matrixText(1, 30)} {
		for _, level := range []int{1, 2, 3, 5} {
			b.Run(name+"/level "+strconv.Itoa(level), func(b *testing.B) {
				var out bytes.Buffer
				w, _ := gzip.NewWriterLevel(&out, level)
				measure(b)
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					out.Reset()
					w.Reset(&out)
					_, _ = w.Write(text)
					_ = w.Close()
				}
				b.ReportMetric(float64(out.Len())/float64(len(text)), "ratio")
			})
		}
		b.Run(name+"/default, new", func(b *testing.B) {
			var out bytes.Buffer
			measure(b)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				out.Reset()
				w := gzip.NewWriter(&out)
				_, _ = w.Write(text)
				_ = w.Close()
			}
			b.ReportMetric(float64(out.Len())/float64(len(text)), "ratio")
		})
	}
}
