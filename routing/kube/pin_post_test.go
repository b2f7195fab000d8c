package kube

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPost asks one pod, once.
func TestPost(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		post := func(body io.Reader) (int, string, string) {
			p.take()
			code, answer := p.do(p.request(http.MethodPost, "/api/v1/read", body))
			return code, answer, p.take()
		}
		stream := func(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) } // no GetBody, no length
		long := strings.Repeat("x", maxKeptBody+1)
		if code, answer, asked := post(stream("query")); code != 200 || asked != order[0] || !strings.HasSuffix(answer, " query") {
			t.Errorf("got %d %s of %s", code, answer, asked)
		}
		if code, answer, asked := post(stream(long)); code != 200 || asked != order[0] || !strings.HasSuffix(answer, " "+long) {
			t.Errorf("got %d %.100s of %s", code, answer, asked)
		}
		p.set(func() { p.answers[order[0]] = dead })
		if code, _, asked := post(strings.NewReader("query")); code != 503 || asked != order[0] {
			t.Errorf("got %d of %s", code, asked)
		}
		for range 2 { // to try it again is for questions that cost nothing
			if code, answer, asked := post(strings.NewReader("query")); code != 200 || asked != order[1] || !strings.HasSuffix(answer, " query") {
				t.Errorf("got %d %s of %s", code, answer, asked)
			}
			pass(2 * time.Second)
		}
		p.want(order[0] + " " + order[1])
		// A body that cannot be read is the caller's matter.
		broken := errors.New("broken")
		r := p.request(http.MethodPost, "/api/v1/read", io.MultiReader(strings.NewReader("x"), &failing{broken}))
		if _, err := p.target.Transport.RoundTrip(r); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
