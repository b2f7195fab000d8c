package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// client asks for no compression by itself and follows nothing.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, Proxy: nil, MaxIdleConnsPerHost: 8},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what a server answered, its body decompressed, or why there is none.
type answer struct {
	status   int
	header   http.Header
	body     string
	encoding string // Content-Encoding
	err      error
}

func request(method, address string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		panic(err) // an address that a test wrote
	}
	return r
}

func get(address string) *http.Request { return request(http.MethodGet, address, nil) }

// post is a POST with a form.
func post(address string, form url.Values) *http.Request {
	r := request(http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// with adds a bearer token and headers.
func with(r *http.Request, token string, headers ...string) *http.Request {
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// ask sends a request and reads the whole answer.
func ask(r *http.Request) answer {
	response, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header, encoding: response.Header.Get("Content-Encoding")}
	body, err := io.ReadAll(response.Body)
	if err == nil && a.encoding == "gzip" && len(body) > 0 {
		var decoder *gzip.Reader
		if decoder, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(decoder)
		}
	}
	a.body, a.err = string(body), err
	return a
}

// instant is the URL of an instant query.
func instant(base, query string) string {
	return base + "/api/v1/query?" + url.Values{"query": {query}, "time": {"1767229200"}}.Encode()
}

func (a answer) String() string {
	body := a.body
	if len(body) > 1500 {
		body = body[:1500] + "…"
	}
	return fmt.Sprintf("%d %s %q, error %v", a.status, a.header.Get("Content-Type"), body, a.err)
}

func (a answer) media() string {
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return media
}

func wantStatus(got answer, status int) error {
	if got.err != nil || got.status != status {
		return fmt.Errorf("got %s, want %d", got, status)
	}
	return nil
}

// failure is an error body of Prometheus' form, and nothing more.
type failure struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

var requestID = regexp.MustCompile(` \(request id ([0-9a-f]{16})\)$`)

// decode reads a JSON body.
func decode(a answer, into any) error { return json.Unmarshal([]byte(a.body), into) }

// eachRequestID finds the ids in what a client prints.
var eachRequestID = regexp.MustCompile(` \(request id [0-9a-f]{16}\)`)

// ownError reads an error that the gateway itself answers, checks its form and returns it without the request id.
func (a answer) ownError() (failure, error) {
	var f failure
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return f, fmt.Errorf("not an error of the gateway's form: %w: %s", err, a)
	}
	id := requestID.FindStringSubmatch(f.Error)
	switch {
	case id == nil || id[1] != a.header.Get("X-Request-Id"):
		return f, fmt.Errorf("no request id, or another one than %q: %s", a.header.Get("X-Request-Id"), a)
	case f.Status != "error", a.header.Get("Content-Type") != "application/json", a.encoding != "",
		a.header.Get("Cache-Control") != "no-store", len(a.body) >= 1024:
		return f, fmt.Errorf("not an error of the gateway's form: %s", a)
	}
	f.Error = requestID.ReplaceAllString(f.Error, "")
	return f, nil
}

// wantError tells how an answer differs from an error of the gateway's own.
func wantError(got answer, status int, errorType string) error {
	if err := wantStatus(got, status); err != nil {
		return err
	}
	f, err := got.ownError()
	if err == nil && f.ErrorType != errorType {
		err = fmt.Errorf("error type %q, want %q: %s", f.ErrorType, errorType, got)
	}
	return err
}

// check reports what is wrong, and tells whether nothing is.
func check(t testing.TB, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
