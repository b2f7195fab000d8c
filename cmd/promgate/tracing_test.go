package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
)

// TestTracing sees that spans arrive at the collector, in the trace that the
// client began, and that the upstream is told of it.
func TestTracing(t *testing.T) {
	exports := make(chan []byte, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/v1/traces" && r.Header.Get("Content-Type") == "application/x-protobuf" {
			exports <- body
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(collector.Close)
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+"tracing: {otlpEndpoint: \""+collector.URL+"\"}\n"+shop("production", u.URL)))
	token := createToken(t, p.config)
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	eventually(t, patience, func() error {
		request, err := http.NewRequest(http.MethodGet, p.query("production"), nil)
		must(t, err)
		request.Header.Set("Traceparent", "00-"+trace+"-"+parent+"-01")
		return wantStatus(ask(http.DefaultClient, request, token), http.StatusOK)
	})
	passed := regexp.MustCompile("^00-" + trace + "-([0-9a-f]{16})-01$").FindStringSubmatch(u.last.Load().Get("Traceparent"))
	if passed == nil || passed[1] == parent {
		t.Fatalf("the upstream saw traceparent %q", u.last.Load().Get("Traceparent"))
	}
	p.stop() // sends the last spans
	close(exports)
	var all []byte
	for body := range exports {
		all = append(all, body...)
	}
	wanted := map[string][]byte{
		"the client's trace": fromHex(t, trace), "the client's span": fromHex(t, parent),
		"the span that the upstream was told": fromHex(t, passed[1]),
	}
	for _, text := range []string{"service.name", "promgate", "service.version", "upstream query", "promgate.project", "shop",
		"promgate.environment", "production", "http.response.status_code", "promgate.request_id"} {
		wanted[text] = []byte(text)
	}
	for what, content := range wanted {
		if !bytes.Contains(all, content) {
			t.Errorf("the spans do not hold %s", what)
		}
	}
	if bytes.Contains(all, []byte(token)) {
		t.Error("the spans hold the token")
	}
	if got := p.log.records("request"); got[len(got)-1]["trace_id"] != trace {
		t.Errorf("the log's trace id is %v", got[len(got)-1]["trace_id"])
	}
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	content, err := hex.DecodeString(text)
	must(t, err)
	return content
}

// TestTraceContextIsPassedOn sees that it is, also where nothing is traced.
func TestTraceContextIsPassedOn(t *testing.T) {
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+shop("production", u.URL)))
	token := createToken(t, p.config)
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	eventually(t, patience, func() error {
		request, err := http.NewRequest(http.MethodGet, p.query("production"), nil)
		must(t, err)
		request.Header.Set("Traceparent", sent)
		return wantStatus(ask(http.DefaultClient, request, token), http.StatusOK)
	})
	if got := u.last.Load().Get("Traceparent"); got != sent {
		t.Errorf("the upstream saw %q", got)
	}
}
