package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func built() *Handler {
	return newHandler(fstest.MapFS{
		"index.html":          {Data: []byte(`<!doctype html><base href="/ui/" /><meta name="csp-nonce" content="" /><script src="./assets/a-1.js"></script>`)},
		"assets/a-1.js":       {Data: []byte(strings.Repeat("export {};\n", 1000))},
		"assets/a-1.css":      {Data: []byte("a{}")},
		"favicon.svg":         {Data: []byte("<svg/>")},
		".gitkeep":            {Data: []byte("")},
		"assets/noindex.html": {Data: []byte("x")},
	})
}

func get(t *testing.T, h *Handler, path, prefix string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServePage(w, r, prefix)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocument: every place of the page gets the document, with base and a nonce
// of its own that the policy names; nothing else may run in it.
func TestDocument(t *testing.T) {
	h := built()
	nonces := map[string]bool{}
	for _, path := range []string{"/ui/", "/ui/signin", "/ui/projects/shop/environments/production/explore", "/ui/projects/shop/dashboards/node.exporter-1"} {
		r := get(t, h, path, `/a"b`)
		text := body(t, r)
		found := regexp.MustCompile(`<meta name="csp-nonce" content="([^"]{24})"`).FindStringSubmatch(text)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || found == nil ||
			!strings.Contains(text, `<base href="/a&#34;b/ui/" />`) {
			t.Fatalf("%s: got %d %s", path, r.StatusCode, text)
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "'nonce-"+found[1]+"'") || nonces[found[1]] {
			t.Errorf("%s: the policy %q and the nonce %q", path, policy, found[1])
		}
		nonces[found[1]] = true
		for _, wanted := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'self'", "form-action 'self'"} {
			if !strings.Contains(policy, wanted) {
				t.Errorf("the policy %q has no %s", policy, wanted)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "NONCE") {
			t.Errorf("the policy is %q", policy)
		}
	}
}

func TestFiles(t *testing.T) {
	h := built()
	for _, c := range []struct {
		path   string
		status int
		media  string
		cache  string
	}{
		{"/ui/assets/a-1.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/ui/assets/a-1.css", 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/ui/favicon.svg", 200, "image/svg+xml", "no-cache"},
		{"/ui/assets/b.js", 404, "text/plain; charset=utf-8", ""},
		{"/ui/assets/b", 404, "text/plain; charset=utf-8", ""},
		{"/ui/.gitkeep", 404, "text/plain; charset=utf-8", ""},
		{"/ui/index.html", 404, "text/plain; charset=utf-8", ""},
		{"/ui/%2e%2e/web.go", 404, "text/plain; charset=utf-8", ""},
		{"/ui//signin", 404, "text/plain; charset=utf-8", ""},
		{"/ui/projects/shop/dashboards/.hidden", 404, "text/plain; charset=utf-8", ""},
		{"/ui/projects/shop/dashboards/a/B.js", 404, "text/plain; charset=utf-8", ""},
		{"/ui/projects/shop.js", 404, "text/plain; charset=utf-8", ""},
		{"/ui/Signin", 404, "text/plain; charset=utf-8", ""},
	} {
		r := get(t, h, c.path, "")
		if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.media || r.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: got %d %v", c.path, r.StatusCode, r.Header)
		}
	}
	first := get(t, h, "/ui/assets/a-1.js", "")
	again := get(t, h, "/ui/assets/a-1.js", "", "If-None-Match", first.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("asked again: got %d", again.StatusCode)
	}
	zipped := get(t, h, "/ui/assets/a-1.js", "", "Accept-Encoding", "br, gzip")
	if n := len(body(t, zipped)); zipped.Header.Get("Content-Encoding") != "gzip" || n > 1000 || zipped.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Errorf("with gzip: %d bytes, %v", n, zipped.Header)
	}
	for _, r := range []*http.Response{first, zipped} {
		if r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("header %v", r.Header)
		}
	}
}

func TestBeginning(t *testing.T) {
	for _, path := range []string{"/", "/ui"} {
		if r := get(t, built(), path, "/p"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/p/ui/" {
			t.Errorf("%s: got %d %v", path, r.StatusCode, r.Header)
		}
	}
}

// TestNotBuilt: a program without the page says how to build it.
func TestNotBuilt(t *testing.T) {
	h := newHandler(fstest.MapFS{".gitkeep": {}})
	if r := get(t, h, "/ui/", ""); r.StatusCode != http.StatusNotFound || !strings.Contains(body(t, r), "make build") || h.Built() {
		t.Errorf("got %d", r.StatusCode)
	}
}
