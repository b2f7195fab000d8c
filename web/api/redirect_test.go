package api

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// elsewhere are ways to write a place that is not the page's, or that some
// browser or proxy might take for one.
func elsewhere() []string {
	starts := []string{
		"", "/", "//", "///", "////", `\`, `\\`, `/\`, `\/`, `//\`, `\\/`, `/\/`, "http:", "http:/", "http://", "https://", "HTTPS://", "hTtP://", `http:\\`, "http:///",
		"javascript:", "JavaScript://", "java\tscript:", "data:text/html,", "data:text/html;base64,", "vbscript:", "file://", "ftp://", "blob:https://", "view-source:", "about:",
		"%2f%2f", "%2F%2F", "%5c%5c", "%252f%252f", "%25252f%25252f", "/%2f", "%2f/", "/%5c", "/%09/", "/%0d/", "%09//", "%00//", "%68ttps://",
		"\t//", "\n//", "\r\n//", "/\t/", "/\n/", "/\r/", "\x00//", "/\x00/", "\v//", "\f//", "\u00a0//", "\u2028//", "\ufeff//", "\x7f//",
		"../", "..//", "../../", "../../../", "./", ".//", "..;/", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", `..\`, "projects/../../", "projects/..//", "projects//", "projects/./", "%c0%ae%c0%ae/",
		"@", ":@", "user:pass@", "https://gateway.example@", "//gateway.example@", "https://gateway.example:443@", "https:gateway.example@", "?//", "#//", "?@", "#@",
		"／／", "∕∕", "⁄⁄", "．．／", "。。/", "\uff0f\uff0f", "\u2215\u2215", "\u29f8\u29f8", "ui/../../", "api/v1/../../", ".", "..", "...", "~", "$", ";", ":", "*", "|",
	}
	hosts := []string{"evil.example", "evil.example:443", "[::1]", "[::ffff:1.2.3.4]:80", "2130706433", "0x7f.1", "evil。example", "xn--evl-dma.example", "evil%E3%80%82example", "gateway.example.evil.example"}
	ends := []string{"", "/", "/..", "#x", "?x=1", "\r\nSet-Cookie: a=b", "\r\n\r\n<script>alert(1)</script>", "%0d%0aLocation: //evil.example", "\u0000", "/%2e%2e/"}
	var all []string
	for i, start := range starts {
		for j, host := range hosts {
			all = append(all, start+host+ends[(i+j)%len(ends)])
		}
	}
	for _, end := range ends {
		all = append(all, "projects"+end, "projects?x="+end, "projects?"+end+"=x", "projects#"+end, "?"+end)
	}
	return append(all,
		"javascript:alert(1)//", "javascript:%0aalert(1)", "data:text/html,<script>alert(1)</script>", "projects/"+strings.Repeat("a", 1<<15), strings.Repeat("/", 1<<14),
		strings.Repeat("../", 1<<12), strings.Repeat("%2e%2e%2f", 1<<11), "projects?"+strings.Repeat("x=/&", 1<<12), "projects?"+strings.Repeat("\u00ff", 1<<12), "<script>", `"><script>`, "'", "`", "{{7*7}}", "${7}",
		"signin", "signin?error=refused", "api/v1/session/oidc/callback", "projects?x=\r\nLocation:%20https://evil.example", "projects?x=%0d%0aLocation:%20https://evil.example")
}

// TestOpenRedirects: whatever place is asked for, the browser ends up below the
// page.
func TestOpenRedirects(t *testing.T) {
	h := newHarness(t)
	all := elsewhere()
	if len(all) < 500 {
		t.Fatalf("only %d forms", len(all))
	}
	b := h.browser()
	headers := []string{"Cache-Control", "Content-Length", "Content-Security-Policy", "Date", "Location", "Set-Cookie", "X-Content-Type-Options", "X-Request-Id"}
	for _, text := range all {
		h.clock.advance(3 * time.Second) // so that nobody has tried too often
		state := b.begin(text)
		got := b.comeBack("code=anna&state=" + state)
		location := got.header.Get("Location")
		if got.status != 303 || len(got.header["Location"]) != 1 || len(got.header["Set-Cookie"]) != 2 || got.body != "" {
			t.Fatalf("%.80q: got %d %v %s", text, got.status, got.header, got.body)
		}
		for name := range got.header {
			if !slices.Contains(headers, name) {
				t.Errorf("%.80q: a header %s", text, name)
			}
		}
		if problem := wayOut(location); problem != "" {
			t.Errorf("%.80q leads to %.200q: %s", text, location, problem)
		}
	}
	t.Logf("%d forms", len(all))
}

// wayOut tells what is wrong with a place to go on.
func wayOut(location string) string {
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme != "https" || u.Host != "gateway.example" || u.User != nil || u.Opaque != "":
		return "another origin"
	case !strings.HasPrefix(location, "https://gateway.example/ui/"):
		return "not below the page"
	case u.Path != u.EscapedPath() || strings.ContainsAny(u.Path[len("/ui/"):], `.\%:@;`) || strings.Contains(u.Path, "//"):
		return "a path that might be read in another way"
	case u.Fragment != "" || strings.Contains(location, "#"):
		return "a fragment"
	case strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'<>\\^`{|}", r) }):
		return "characters that no URL has"
	case len(location) > len("https://gateway.example/ui/")+maxReturn:
		return "too long"
	}
	return ""
}
