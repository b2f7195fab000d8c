// Package web is the page for people: its source, and the handler that serves
// its build out of the program itself.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// dist is what `make web` builds. Without it there is but an empty file, so that
// the program builds without Node.
//
//go:embed all:dist
var dist embed.FS

// What the handler writes its own values in place of, in the page's document.
const (
	baseMark  = `<base href="/ui/"`
	nonceMark = `<meta name="csp-nonce" content=""`
)

// policy lets the page run its own files alone: no inline script, styles only
// with the nonce, no other server, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-NONCE'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'self'"

// Handler serves the page. It implements gateway.Page.
type Handler struct {
	files map[string]file
	// document is the page's, with the marks; nil: it was not built.
	document []byte
}

// file is one of the build's. The names below assets tell its content, so that
// browsers may keep it.
type file struct {
	content   []byte
	mediaType string
	etag      string
	immutable bool
	// zipped is the content for browsers that take gzip; nil: it saves nothing.
	zipped func() []byte
}

// NewHandler makes a Handler of what was built into the program.
func NewHandler() *Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return newHandler(built)
}

func newHandler(built fs.FS) *Handler {
	h := &Handler{files: map[string]file{}}
	_ = fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		content, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		if name == "index.html" {
			h.document = content
			return nil
		}
		sum := sha256.Sum256(content)
		h.files[name] = file{
			content: content, mediaType: mediaType(name), etag: hex.EncodeToString(sum[:16]),
			immutable: strings.HasPrefix(name, "assets/"),
			zipped:    sync.OnceValue(func() []byte { return zip(content) }),
		}
		return nil
	})
	return h
}

func mediaType(name string) string {
	switch path.Ext(name) { // independent of what the machine knows of types
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// Built tells whether the program holds the page.
func (h *Handler) Built() bool { return h.document != nil }

// ServePage answers with a file of the page, or with its document for every
// place of a person's way through it. prefix is what stands before the paths of
// all links.
func (h *Handler) ServePage(w http.ResponseWriter, r *http.Request, prefix string) {
	name, below := strings.CutPrefix(r.URL.EscapedPath(), "/ui/")
	switch f, found := h.files[name]; {
	case !below:
		w.Header().Set("Location", prefix+"/ui/")
		w.WriteHeader(http.StatusSeeOther)
	case found:
		f.serve(w, r)
	case !isPlace(name):
		h.fail(w, r, http.StatusNotFound, "There is no such page. Go to the beginning of promgate's address.")
	case h.document == nil:
		h.fail(w, r, http.StatusNotFound, "This promgate was built without its page. Build it with make build, which needs Node, or take a released program. The API works all the same.")
	default:
		h.serveDocument(w, r, prefix)
	}
}

// isPlace tells whether a path can be one of the page's screens: names of DNS
// labels, or at the end that of a dashboard, which may have dots. The page itself
// tells of those that it does not have.
func isPlace(name string) bool {
	if screen, dashboard, found := strings.Cut(name, "/dashboards/"); found && !strings.HasPrefix(dashboard, ".") {
		name = screen + "/dashboards/" + strings.ReplaceAll(dashboard, ".", "")
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/' {
			return false
		}
	}
	return !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "assets/") && !strings.Contains(name, "//")
}

// serveDocument writes base and nonce into the document, which is another one
// each time.
func (h *Handler) serveDocument(w http.ResponseWriter, r *http.Request, prefix string) {
	var raw [18]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	nonce := base64.StdEncoding.EncodeToString(raw[:])
	body := bytes.Replace(h.document, []byte(baseMark), []byte(`<base href="`+html.EscapeString(prefix)+`/ui/"`), 1)
	body = bytes.Replace(body, []byte(nonceMark), []byte(`<meta name="csp-nonce" content="`+nonce+`"`), 1)
	head := w.Header()
	head.Set("Content-Security-Policy", strings.Replace(policy, "NONCE", nonce, 1))
	head.Set("Referrer-Policy", "same-origin")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Content-Type", "text/html; charset=utf-8")
	write(w, r, http.StatusOK, body)
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Vary", "Accept-Encoding")
	head.Set("Cache-Control", "no-cache")
	if f.immutable {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content, etag := f.content, `"`+f.etag+`"`
	if takesGzip(r) {
		if zipped := f.zipped(); zipped != nil {
			content, etag = zipped, `"`+f.etag+`-gzip"`
			head.Set("Content-Encoding", "gzip")
		}
	}
	head.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", f.mediaType)
	write(w, r, http.StatusOK, content)
}

// takesGzip tells whether the browser takes gzip. Every browser does, and names
// it plainly.
func takesGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(coding) == "gzip" {
			return true
		}
	}
	return false
}

// zip compresses a content, or returns nil where that saves nothing.
func zip(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a good one
	_, _ = w.Write(content)                               // a buffer takes everything
	_ = w.Close()
	if b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

// fail answers a person, in plain text.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, status int, message string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	write(w, r, status, []byte(message+"\n"))
}

// write sends a body. A client that has gone away is nobody's concern.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
