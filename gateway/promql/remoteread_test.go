package promql

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
)

func packed(t testing.TB, req *prompb.ReadRequest) []byte {
	t.Helper()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}

func unpacked(t testing.TB, body []byte) *prompb.ReadRequest {
	t.Helper()
	b, err := snappy.DecodeStrict(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	req := &prompb.ReadRequest{}
	if err := req.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return req
}

func matcher(kind prompb.LabelMatcher_Type, name, value string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: kind, Name: name, Value: value}
}

func readOf(queries ...*prompb.Query) *prompb.ReadRequest {
	return &prompb.ReadRequest{
		Queries:               queries,
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
	}
}

func TestRemoteRead(t *testing.T) {
	p := enforcing(t, map[string][]string{"cluster": {"a.b"}, "namespace": {"shop", "shop-2"}})
	hints := &prompb.ReadHints{StepMs: 1, Func: "rate", StartMs: 50, EndMs: 150, Grouping: []string{"a", "b"}, By: true, RangeMs: 7}
	in := readOf(
		&prompb.Query{StartTimestampMs: 100, EndTimestampMs: 200, Hints: hints, Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_NRE, "x", "y.*"), matcher(prompb.LabelMatcher_EQ, "namespace", "billing")}},
		&prompb.Query{StartTimestampMs: 120, EndTimestampMs: 300, Hints: &prompb.ReadHints{Func: "series"}},
	)
	got, err := p.RemoteRead(packed(t, in), roomy)
	if err != nil {
		t.Fatal(err)
	}
	if got.Queries != 2 || got.Start != 50 || got.End != 300 {
		t.Errorf("%d queries from %d to %d", got.Queries, got.Start, got.End)
	}
	ours := []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_RE, "cluster", `a\.b`), matcher(prompb.LabelMatcher_RE, "namespace", "shop|shop-2")}
	// Without matchers a query selects nothing, and it goes on to.
	in.Queries[1].Matchers = []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_NRE, "cluster", `a\.b`)}
	for _, q := range in.Queries {
		q.Matchers = append(q.Matchers, ours...)
	}
	if out := unpacked(t, got.Body); out.String() != in.String() {
		t.Errorf("got\n%s\nwant\n%s", out, in)
	}
}

func TestRemoteReadOfNothing(t *testing.T) {
	var none *Policy
	for name, p := range map[string]*Policy{"a policy": ofShop(t), "none": none} {
		got, err := p.RemoteRead(packed(t, readOf()), roomy)
		if err != nil || got.Queries != 0 || got.Start != 0 || got.End != 0 || unpacked(t, got.Body).String() != readOf().String() {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if got, err := p.RemoteRead(snappy.Encode(nil, nil), 0); err != nil || len(unpacked(t, got.Body).Queries) != 0 {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	q := &prompb.Query{StartTimestampMs: math.MinInt64, EndTimestampMs: math.MaxInt64}
	got, err := none.RemoteRead(packed(t, readOf(q)), roomy)
	if err != nil || got.Start != math.MinInt64 || got.End != math.MaxInt64 || len(unpacked(t, got.Body).Queries[0].Matchers) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestRemoteReadDropsUnknown: no version of Prometheus may find in a request
// what is not known here.
func TestRemoteReadDropsUnknown(t *testing.T) {
	secret := []byte("\xa2\x06\x06SECRET") // field 100
	m := matcher(prompb.LabelMatcher_EQ, "a", "b")
	q := &prompb.Query{Matchers: []*prompb.LabelMatcher{m}, Hints: &prompb.ReadHints{Func: "x"}}
	in := readOf(q)
	in.XXX_unrecognized, q.XXX_unrecognized, m.XXX_unrecognized, q.Hints.XXX_unrecognized = secret, secret, secret, secret
	b, err := in.Marshal()
	if err != nil || bytes.Count(b, []byte("SECRET")) != 4 {
		t.Fatalf("%q %v", b, err)
	}
	got, err := ofShop(t).RemoteRead(snappy.Encode(nil, b), roomy)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = snappy.DecodeStrict(nil, got.Body); err != nil || bytes.Contains(b, []byte("SECRET")) {
		t.Errorf("%q %v", b, err)
	}
}

func TestBadRemoteReads(t *testing.T) {
	proto := func(s string) []byte { return snappy.Encode(nil, []byte(s)) }
	query := &prompb.Query{Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "a", "b")}}
	whole := packed(t, readOf(query))
	long := packed(t, readOf(&prompb.Query{Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "a", strings.Repeat("x", 1000))}}))
	for name, c := range map[string]struct {
		body    []byte
		maxSize int
		want    string
	}{
		"no body":        {nil, roomy, "the body is no remote read request: snappy: corrupt input"},
		"cut short":      {whole[:len(whole)-1], roomy, "the body is no remote read request: snappy: corrupt input"},
		"going on":       {append(slices.Clone(whole), 0), roomy, "the body is no remote read request: snappy: corrupt input"},
		"plain":          {[]byte("query=up"), roomy, "the body is no remote read request: snappy: corrupt input"},
		"a false length": {[]byte("\xff\xff\xff\x0f\x00a"), math.MaxInt32, "the body is no remote read request: snappy: corrupt input"},
		"too long":       {long, 1000, "the remote read request is larger than 1000 bytes, uncompressed"},
		"long with it":   {long, 1030, "the remote read request is larger than 1030 bytes, uncompressed"},
		"half a field":   {proto("\x0a\x05\x1a"), roomy, "the body is no remote read request: protobuf: a field is cut short"},
		"half a number":  {proto("\x0a\x02\x08\x80"), roomy, "the body is no remote read request: protobuf: a number is cut short"},
		"a group":        {proto("\x0a\x02\x13\x14"), roomy, "the body is no remote read request: protobuf: an unknown wire type"},
		"another type":   {proto("\x08\x01"), roomy, "the body is no remote read request: protobuf: no ReadRequest"},
		"a matcher":      {packed(t, readOf(&prompb.Query{Matchers: []*prompb.LabelMatcher{matcher(4, "a", "b")}})), roomy, "the body is no remote read request: a matcher has the unknown type 4"},
		"no type known":  {proto("\x10\x02\x10\xff\xff\xff\xff\x0f"), roomy, "none of the accepted response types is supported"},
		"many queries":   {proto(strings.Repeat("\x0a\x00", 1<<17)), roomy, "the remote read request has more than 65536 fields"},
		"many matchers":  {proto("\x0a\x80\x80\x10" + strings.Repeat("\x1a\x00", 1<<17)), roomy, "the remote read request has more than 65536 fields"},
		"many types":     {proto("\x12\x80\x80\x10" + strings.Repeat("\x01", 1<<18)), roomy, "the remote read request has more than 65536 fields"},
		// The decoder keeps 32 bits of a field's number, 1 here.
		"a field's number": {proto(strings.Repeat("\x8a\x80\x80\x80\x80\x01\x12"+strings.Repeat("\x1a\x00", 9), 1<<13)), roomy, "the remote read request has more than 65536 fields"},
	} {
		got, err := ofShop(t).RemoteRead(c.body, c.maxSize)
		var bad *RemoteReadError
		if got != nil || !errors.As(err, &bad) || err.Error() != c.want || bad.TooLarge != strings.HasPrefix(c.want, "the remote read request") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range len(whole) {
		if _, err := ofShop(t).RemoteRead(whole[:n], roomy); err == nil {
			t.Errorf("%d of %d bytes pass", n, len(whole))
		}
	}
}

func TestRemoteReadDropsTypes(t *testing.T) {
	got, err := ofShop(t).RemoteRead(snappy.Encode(nil, []byte("\x12\x04\x02\x01\x7f\x00")), roomy)
	if err != nil {
		t.Fatal(err)
	}
	if types := unpacked(t, got.Body).AcceptedResponseTypes; !slices.Equal(types, []prompb.ReadRequest_ResponseType{1, 0}) {
		t.Errorf("types %v", types)
	}
}

// TestRemoteReadIsSnappy: a format that only some decoders take for snappy is
// refused here, not upstream.
func TestRemoteReadIsSnappy(t *testing.T) {
	value := strings.Repeat("abcdefgh-", 9) + "?" + strings.Repeat("abcdefgh-", 30)
	plain, err := readOf(&prompb.Query{Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "a", value)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	body := s2.EncodeBest(nil, plain)
	if got, err := snappy.Decode(nil, body); err != nil || !bytes.Equal(got, plain) || len(plain)/22 > len(body) {
		t.Fatal("this tests nothing", err)
	}
	if got, err := ofShop(t).RemoteRead(body, roomy); err == nil {
		t.Errorf("%+v", got)
	}
}

// asked records what a storage is asked for.
type asked struct {
	storage.LabelQuerier
	matchers []*labels.Matcher
}

func (a *asked) Querier(int64, int64) (storage.Querier, error) { return a, nil }
func (a *asked) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return nil, errors.ErrUnsupported
}
func (a *asked) Close() error { return nil }
func (a *asked) Select(_ context.Context, _ bool, _ *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	a.matchers = m
	return storage.EmptySeriesSet()
}

// TestRemoteReadPastExternalLabels: Prometheus itself, with an external label
// that equals an enforced one, still reads the tenant's series alone. Of a
// matcher of the type = it would make one for series without the label.
func TestRemoteReadPastExternalLabels(t *testing.T) {
	store := &asked{}
	handler := remote.NewReadHandler(slog.New(slog.NewTextHandler(io.Discard, nil)), nil, store, func() config.Config {
		return config.Config{GlobalConfig: config.GlobalConfig{ExternalLabels: labels.FromStrings("namespace", "shop")}}
	}, 1e6, 1, 1<<20)
	in := &prompb.ReadRequest{Queries: []*prompb.Query{{EndTimestampMs: 1, Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_NEQ, "a", "b")}}}}
	got, err := ofShop(t).RemoteRead(packed(t, in), roomy)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"ours": {got.Body, `[a!="b",namespace=~"shop"]`},
		"with =": {packed(t, &prompb.ReadRequest{Queries: []*prompb.Query{
			{EndTimestampMs: 1, Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "namespace", "shop")}},
		}}), `[namespace=""]`},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/read", bytes.NewReader(c.body)))
		texts := []string{}
		for _, m := range store.matchers {
			texts = append(texts, m.String())
		}
		if got := "[" + strings.Join(texts, ",") + "]"; w.Code != http.StatusOK || got != c.want {
			t.Errorf("%s: %d, the storage is asked for %s", name, w.Code, got)
		}
	}
}

// checkTypes: of the types of answers those are left that are known, in their
// order; of some types one at least.
func checkTypes(t *testing.T, before, after []prompb.ReadRequest_ResponseType) {
	t.Helper()
	known := slices.DeleteFunc(slices.Clone(before), func(t prompb.ReadRequest_ResponseType) bool { return t != 0 && t != 1 })
	if len(before) > 0 && len(known) == 0 || !slices.Equal(known, after) {
		t.Fatalf("types %v became %v", before, after)
	}
}

// FuzzRemoteRead: what passes has the same queries, each with each matcher.
func FuzzRemoteRead(f *testing.F) {
	q := &prompb.Query{
		StartTimestampMs: 5, EndTimestampMs: 9, Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "a", "b")},
		Hints: &prompb.ReadHints{StartMs: 1, EndMs: 2, Grouping: []string{"x"}},
	}
	for _, req := range []*prompb.ReadRequest{{}, readOf(), readOf(q), readOf(q, &prompb.Query{}, q)} {
		b, err := req.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(snappy.Encode(nil, b), false)
	}
	f.Add([]byte("\x10\xcb\xcb\xcb\xcb\xcb\x00"), true) // a type of answer below 0
	p := enforcing(f, map[string][]string{"cluster": {"a.b"}, "namespace": {"shop", "shop-2"}})
	const maxSize = 1 << 16
	f.Fuzz(func(t *testing.T, body []byte, compress bool) {
		if compress {
			body = snappy.Encode(nil, body)
		}
		got, err := p.RemoteRead(body, maxSize)
		if err != nil {
			var bad *RemoteReadError
			if got != nil || !errors.As(err, &bad) {
				t.Fatal(got, err)
			}
			return
		}
		before, after := unpacked(t, body), unpacked(t, got.Body)
		if len(before.Queries) != len(after.Queries) || got.Queries != len(after.Queries) {
			t.Fatalf("%v became %v", before, after)
		}
		checkTypes(t, before.AcceptedResponseTypes, after.AcceptedResponseTypes)
		ours := p.readMatchers()
		for i, q := range after.Queries {
			old := before.Queries[i]
			if len(old.Matchers) == 0 {
				old.Matchers = p.nothing()
			}
			theirs := len(q.Matchers) - len(ours)
			if theirs != len(old.Matchers) || q.StartTimestampMs != old.StartTimestampMs || q.EndTimestampMs != old.EndTimestampMs {
				t.Fatalf("%v became %v", old, q)
			}
			for j, m := range ours {
				if q.Matchers[theirs+j].String() != m.String() {
					t.Fatalf("%v lacks %v", q, m)
				}
			}
			for j, m := range old.Matchers {
				if n := q.Matchers[j]; n.Type != m.Type || n.Name != m.Name || n.Value != m.Value {
					t.Fatalf("%v became %v", m, n)
				}
			}
			if got.Start > q.StartTimestampMs || got.End < q.EndTimestampMs {
				t.Fatalf("%v is not between %d and %d", q, got.Start, got.End)
			}
		}
		if b, _ := snappy.DecodeStrict(nil, got.Body); len(b) > maxSize {
			t.Fatalf("%d bytes", len(b))
		}
	})
}

func BenchmarkRemoteRead(b *testing.B) {
	q := &prompb.Query{EndTimestampMs: 9, Matchers: []*prompb.LabelMatcher{matcher(prompb.LabelMatcher_EQ, "__name__", "up")}, Hints: &prompb.ReadHints{EndMs: 9}}
	p := ofShop(b)
	for name, n := range map[string]int{"one query": 1, "1000 queries": 1000} {
		body := packed(b, readOf(slices.Repeat([]*prompb.Query{q}, n)...))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.RemoteRead(body, 32<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
