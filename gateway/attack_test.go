package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	goodQuery = production + "api/v1/query"
	goodLabel = production + "api/v1/label/job/values"
)

// inPlaceOfSlash are what a slash of a good path is replaced by.
var inPlaceOfSlash = []string{
	"//", "///", "/./", "/../", "/.../../", "/%2e/", "/%2E%2E/", "/.%2e/", "/%2e./", "/%252e%252e/", "/..;/", "/..;a=b/", "/;/", "/;a=b/", ";/",
	"%2f", "%2F", "/%2f", "%2f/", "%252f", "%25252f", "%5c", "%5C", "\\", "/\\", "\\..\\", "/..\\", "%5c..%5c", "/%5c../",
	"/%00/", "%00/", "/%20/", "%20/", "/%09/", "/%0a/", "/%0d%0a/", "/%7f/", "/*/", "/%2a/", "/%c0%af/", "/%c0%ae%c0%ae/", "/%e0%80%af/",
	"/%ef%bc%8f/", "/%e2%88%95/", "/∕/", "∕", "⁄", "／", "/．．/", "%u002f", "/%/", "/%zz/", "/%2/", "/+/", "/|/", "/\"/", "/<x>/", "/{x}/", "/^/", "/`/",
	"/'/", "/(/", "/,/", "/=/", "/@/", "/$/", "/!/", "/&/", "/[/", "/x/", "/projects/", ":/", "/:/", "/http:/", "?/", "#/", "/%23/", "/%3f/", "%3F/",
}

// afterEnd are what a good path is followed by.
var afterEnd = []string{
	"/", "//", "/.", "/..", "/%2e%2e", "/../query", "/x", ".json", ";", ";x=1", "%3b", "%00", "%20", "%0a", "%0d%0aX-A:%20b", "#x", "%23x", "%3fquery=up",
	"%3Fquery=up", "\\", "%5c", "%2f", "%2F", "%2f..", "/%2e%2e%2f%2e%2e", ",", "*", "~", "%7e", ".", "..", "%", "%2", "%zz", "é", "%c3%a9", "%ff", "%80", "＃",
}

// inPlaceOfName are what a project's or an environment's name is replaced by.
var inPlaceOfName = []string{
	"Shop", "SHOP", "%73hop", "sho%70", "%53hop", "shop.", ".shop", "-shop", "shop-", "sh_op", "sh:op", "sh~op", "shop%00", "shop%20", "shop;", "shop;x",
	"shop%2fenvironments%2fproduction", "shop\\", "..", ".", "%2e%2e", "*", "%2a", "ｓhop", "shоp", "sh%D0%BEp", "shop%E2%80%8B", "ſhop", "{project}", "$project",
	"http:prometheus:web", strings.Repeat("a", 64), strings.Repeat("a", 2000), strings.Repeat("a", 20000), "shop,billing", "shop%2cbilling", "shop|billing", "a..b", "0x73", "shop%0d%0a",
}

// inPlaceOfLabel are label names that are refused.
var inPlaceOfLabel = []string{
	"..", ".", "%2e", "%2e%2e", "%2E%2E", ".%2e", "a%2eb", "..%2f..%2f", "%2f", "a%2fb", "..%2fquery%3f", "%5c", "a%5cb", "%00", "a%00b", "%0a", "%0d%0aX-A:%20b", "%09", "%1f", "%7f",
	"%25", "%2525", "%252e%252e", "%252f", "a%25b", "%ff", "%c0%af", "%c3", "%ed%a0%80", "%", "%2", "%zz", ";", "a;b", "%3b", "a%3bb", "%3Bx", "\\", "a\\b", "é", "größe", "a b",
	"U__%20", "U__a-b", "U__gr%C3%B6%C3%9Fe", "..;", "..%3b", "?", "#", "%2e%2e%2fquery", "job/../query", "job%2f..%2fquery", "%2fapi%2fv1%2fquery", strings.Repeat("a", 3000), "%u0061", "*", "a*", "a|b", "a\"b", "a'b", "a,b", "a@b", "a=b", "a&b", "a+b", "(a)", "{a}", "[a]", "<a>", "$a", "!a", "^a", "`a",
}

// wholePaths are attacks that are not made from a good path.
var wholePaths = []string{
	"*", "/*", "x", "projects/shop", ".", "..", "/..", "/../", "/%2e%2e", "//", "///", "\\", "/\\", "/;", "?", "/?", "#", "@", ":", "http:", "http://", "http:///", "http://x", "https://x/",
	"shop:80", "127.0.0.1:80", "/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/shop/services/http:prometheus:web/proxy/api/v1/query",
	"http://x/api/v1/namespaces/kube-system/secrets", "http://x//" + goodQuery[1:], "http://x/./" + goodQuery[1:], "http://x" + goodQuery + "/", "http://x/%2e%2e" + goodQuery, "http://u:p@x\\@y" + goodQuery,
	"//x" + goodQuery, "///x" + goodQuery, "/\\x" + goodQuery, "/http://x" + goodQuery, "http:" + goodQuery[1:], "http:/" + goodQuery, "://x" + goodQuery,
	production + "../../../../api/v1/namespaces/kube-system/secrets", production + "..%2f..%2f..%2f..%2fapi/v1/namespaces/kube-system/secrets",
	production + "%2e%2e/%2e%2e/api/v1/namespaces/kube-system/secrets", production + "..%252f..%252fsecrets", production + "api/v1/..\\..\\..\\secrets",
	production + "federate/../api/v1/admin/tsdb/snapshot", production + "-/healthy/../quit", production + "-/healthy%2f..%2fquit", production + "api/v1/label/../admin/tsdb/snapshot",
	production + "api/v1/label/..%2fadmin%2ftsdb%2fsnapshot%3f/values", production + "api/v1/label/job/values/../../../write", production + "api/v1/label/job%2fvalues", production + "api/v1/label%2fjob/values",
	production + "api/v1/query/../../../-/quit", production + "api/v1/%71uery", production + "api/v1/quer%79", production + "ap%69/v1/query", production + "%61pi/v1/query", "/%70rojects" + goodQuery[9:], "/projects/shop/%65nvironments/production/api/v1/query",
	production + "api/v1/QUERY", production + "API/V1/query", "/PROJECTS" + goodQuery[9:], production + "api/v1/search/metric%5fnames", production + "api/v1/status%2fbuildinfo", production + "%2d/healthy", production + "-%2fhealthy",
}

// mutations is the corpus: request targets, none of which leads anywhere.
func mutations() []string {
	var all []string
	for _, good := range []string{goodQuery, goodLabel} {
		for i := range len(good) {
			if good[i] != '/' {
				continue
			}
			for _, m := range inPlaceOfSlash {
				all = append(all, good[:i]+m+good[i+1:])
			}
		}
		for _, m := range afterEnd {
			all = append(all, good+m)
		}
		for _, name := range []string{"shop", "production"} {
			for _, m := range inPlaceOfName {
				all = append(all, strings.Replace(good, name, m, 1))
			}
		}
	}
	for _, m := range inPlaceOfLabel {
		all = append(all, production+"api/v1/label/"+m+"/values")
	}
	all = append(all, wholePaths...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(target string) bool { _, ok := harmless[target]; return ok })
}

// harmless are targets that look like the others and lead to an upstream path
// of the enumerated set.
var harmless = map[string]string{
	goodQuery + "?":                         "/api/v1/query?query=up",
	goodQuery + "?x/../..":                  "/api/v1/query?query=up",
	goodQuery + "?x=/%2e%2e/%5c":            "/api/v1/query?query=up",
	"http://evil.example" + goodQuery:       "/api/v1/query?query=up",
	"https://evil.example:1" + goodQuery:    "/api/v1/query?query=up",
	"http://user:pw@evil" + goodQuery + "?": "/api/v1/query?query=up",
	goodLabel:                               "/api/v1/label/job/values",
	labelPath("%6a%6F%62"):                  "/api/v1/label/job/values",
	labelPath("a.b"):                        "/api/v1/label/U__a_2e_b/values",
	labelPath("a..b"):                       "/api/v1/label/U__a_2e__2e_b/values",
	labelPath("..."):                        "/api/v1/label/U___2e__2e__2e_/values",
	labelPath("a-b"):                        "/api/v1/label/U__a_2d_b/values",
	labelPath("a:b"):                        "/api/v1/label/U__a_3a_b/values",
	labelPath("a~b"):                        "/api/v1/label/U__a_7e_b/values",
	labelPath("a%20b"):                      "/api/v1/label/U__a_20_b/values",
	labelPath("gr%C3%B6%C3%9Fe"):            "/api/v1/label/U__gr_f6__df_e/values",
	labelPath("%e2%88%95"):                  "/api/v1/label/U___2215_/values",
	labelPath("%2a"):                        "/api/v1/label/U___2a_/values",
	labelPath("a%3fb"):                      "/api/v1/label/U__a_3f_b/values",
	labelPath("a%23b"):                      "/api/v1/label/U__a_23_b/values",
	labelPath("U__a_2e_b"):                  "/api/v1/label/U__a_2e_b/values",
	labelPath("U__a_2f_b"):                  "/api/v1/label/U__a_2f_b/values",
	labelPath("U___2e__2e__2f_"):            "/api/v1/label/U___2e__2e__2f_/values",
	labelPath("__name__"):                   "/api/v1/label/__name__/values",
	labelPath("x"):                          "/api/v1/label/x/values",
	labelPath("job:"):                       "/api/v1/label/U__job_3a_/values",
	labelPath("job%20"):                     "/api/v1/label/U__job_20_/values",
	labelPath("job%3F"):                     "/api/v1/label/U__job_3f_/values",
	"ftp://evil.example" + goodQuery:        "/api/v1/query?query=up",
}

func labelPath(name string) string { return production + "api/v1/label/" + name + "/values" }

// raw sends bytes and reads the answer to a GET.
func (h *harness) raw(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, text) }() // the answer to an overlong one comes before its end
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func (h *harness) rawGet(t *testing.T, target string) (*http.Response, string) {
	t.Helper()
	if !strings.Contains(target, "?") && target == goodQuery {
		target += "?query=up"
	}
	return h.raw(t, "GET "+target+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer "+tokenShop+"\r\nConnection: close\r\n\r\n")
}

func TestPathAttacks(t *testing.T) {
	corpus := mutations()
	if len(corpus) < 500 {
		t.Fatalf("a corpus of %d mutations, want at least 500", len(corpus))
	}
	t.Logf("%d mutations", len(corpus))
	h := newHarness(t)
	for _, target := range corpus {
		resp, body := h.rawGet(t, target)
		if !refusedWell(resp, body) {
			t.Errorf("%.200q: answer %d %q", target, resp.StatusCode, body)
		}
		if calls := h.up.take(); len(calls) != 0 {
			t.Errorf("%.200q: the upstream saw %s", target, calls[0].uri)
		}
	}
}

// refusedWell tells whether the answer is an error of ours, or net/http's own
// to what is no HTTP at all.
func refusedWell(resp *http.Response, body string) bool {
	switch resp.StatusCode {
	case http.StatusNotFound:
		return strings.HasPrefix(body, `{"status":"error","errorType":"not_found","error":"no such route: `) && resp.Header.Get("Content-Type") == "application/json"
	case http.StatusForbidden: // a name that some project might have
		return strings.HasPrefix(body, `{"status":"error","errorType":"forbidden",`)
	case http.StatusBadRequest:
		return strings.HasPrefix(body, "400 Bad Request") || strings.HasPrefix(body, `{"status":"error","errorType":"bad_data","error":"invalid label name`)
	}
	return false
}

func TestHarmlessPaths(t *testing.T) {
	h, h2 := newHarness(t), newHarness2(t)
	for target, want := range harmless {
		if strings.HasSuffix(want, "?query=up") { // the parameter is not what is tested
			if strings.Contains(target, "?") {
				target += "&query=up"
			} else {
				target += "?query=up"
			}
		}
		resp, body := h.rawGet(t, target)
		calls := h.up.take()
		if resp.StatusCode != http.StatusOK || len(calls) != 1 || calls[0].uri != prefixProduction+want {
			t.Errorf("%q: answer %d %s; the upstream saw %v, want %s", target, resp.StatusCode, body, calls, want)
		}
		if !strings.HasPrefix(target, "/") {
			continue
		}
		got := h2.do(h2.opaque(target))
		calls = h2.up.take()
		if got.status != http.StatusOK || len(calls) != 1 || calls[0].uri != prefixProduction+want {
			t.Errorf("h2 %q: answer %d %s; the upstream saw %v, want %s", target, got.status, got.body, calls, want)
		}
	}
}

// opaque makes a request whose target is sent as it is.
func (h *harness) opaque(target string) *http.Request {
	r := h.request(http.MethodGet, "/", "")
	r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Opaque: target}
	return r
}

func TestPathAttacksOverHTTP2(t *testing.T) {
	h := newHarness2(t)
	sent := 0
	for _, target := range mutations() {
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
			continue // the client sends no such :path
		}
		if _, err := url.ParseRequestURI(target); err != nil {
			continue // the server resets the stream, and the client tries again for ever
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		resp, err := h.client.Do(h.opaque(target).WithContext(ctx))
		sent++
		if ctx.Err() != nil {
			t.Errorf("%.200q: no answer", target)
		}
		if err == nil { // a reset stream is a refusal, too
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.ProtoMajor != 2 || !refusedWell(resp, string(body)) {
				t.Errorf("%.200q: answer %d %q", target, resp.StatusCode, body)
			}
		}
		cancel()
		if calls := h.up.take(); len(calls) != 0 {
			t.Errorf("%.200q: the upstream saw %s", target, calls[0].uri)
		}
	}
	if sent < 500 {
		t.Errorf("%d mutations sent, want at least 500", sent)
	}
}

// TestRawRequests: requests that a well-behaved client cannot make. Each is
// refused, or reaches the upstream as the one clean request that it can be.
func TestRawRequests(t *testing.T) {
	h := newHarness(t)
	get := "GET " + goodQuery + "?query=up HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer " + tokenShop + "\r\n"
	post := "POST" + strings.TrimPrefix(get, "GET")
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	connect := strings.Replace(get, "GET "+goodQuery+"?query=up", "CONNECT shop:80", 1)
	cases := map[string]struct {
		text   string
		status int
	}{
		"plain":                     {get + "\r\n", 200},
		"host of the upstream":      {strings.Replace(get, "Host: gateway", "Host: kubernetes.default", 1) + "\r\n", 200},
		"two hosts":                 {get + "Host: other\r\n\r\n", 400},
		"no host":                   {strings.Replace(get, "Host: gateway\r\n", "", 1) + "\r\n", 400},
		"space before the colon":    {get + "Impersonate-User : admin\r\n\r\n", 400},
		"folded header":             {get + "X-A: b\r\n Impersonate-User: admin\r\n\r\n", 200},
		"NUL in a header":           {get + "X-A: b\x00c\r\n\r\n", 400},
		"bare CR in a header":       {get + "X-A: b\rImpersonate-User: admin\r\n\r\n", 400},
		"nominated authorization":   {strings.Replace(get, "Connection: close", "Connection: close, Authorization, Accept, User-Agent", 1) + "\r\n", 200},
		"upgrade":                   {strings.Replace(get, "Connection: close", "Connection: Upgrade, close\r\nUpgrade: h2c", 1) + "\r\n", 200},
		"length and chunked":        {post + form + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200},
		"two lengths":               {post + form + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde", 400},
		"negative length":           {post + form + "Content-Length: -1\r\n\r\n", 400},
		"signed length":             {post + form + "Content-Length: +0\r\n\r\n", 400},
		"chunked twice":             {post + form + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"other transfer encoding":   {post + form + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"trailers":                  {post + form + "Transfer-Encoding: chunked\r\nTrailer: Impersonate-User\r\n\r\n0\r\nImpersonate-User: admin\r\n\r\n", 200},
		"a body on GET":             {get + form + "Content-Length: 8\r\n\r\nquery=up", 400},
		"a JSON body on GET":        {get + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 415},
		"an empty chunked GET":      {get + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200},
		"a chunked body on GET":     {get + form + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400},
		"authority form":            {connect + "\r\n", 404},
		"CONNECT with a path":       {"CONNECT" + strings.TrimPrefix(get, "GET") + "\r\n", 405},
		"asterisk":                  {"OPTIONS * HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n", 404},
		"HTTP/1.0":                  {strings.Replace(get, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n", 200},
		"tab in the target":         {strings.Replace(get, "?query=up", "?query=\tup", 1) + "\r\n", 400},
		"line feed in the target":   {strings.Replace(get, "?query=up", "?query=\nup", 1) + "\r\n", 400},
		"bytes above ASCII":         {strings.Replace(get, "?query=up", "?query=up&x=\xff\xfe", 1) + "\r\n", 200},
		"fragment in the query":     {strings.Replace(get, "?query=up", "?query=up&x=1#frag", 1) + "\r\n", 200},
		"headers over 1 MiB":        {get + "X-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", 431},
		"expect":                    {post + form + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", 417},
		"header names in two cases": {get + "impersonate-user: a\r\nIMPERSONATE-USER: b\r\n\r\n", 200},
	}
	want := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"promgate/test"}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			resp, body := h.raw(t, c.text)
			calls := h.up.take()
			if resp.StatusCode != c.status {
				t.Errorf("answer %d %s, want %d", resp.StatusCode, body, c.status)
			}
			if c.status != http.StatusOK {
				if len(calls) != 0 {
					t.Errorf("the upstream saw %v", calls)
				}
				return
			}
			if len(calls) != 1 || calls[0].method != "GET" || calls[0].uri != prefixProduction+"/api/v1/query?query=up" || calls[0].body != "" {
				t.Fatalf("the upstream saw %v", calls)
			}
			sameHeader(t, "upstream", calls[0].header, want)
		})
	}
}
