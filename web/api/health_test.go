package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// healthOf is an environment's health as the API tells it now.
func (b *browser) healthOf(project, name string) healthItem {
	b.h.t.Helper()
	var body struct{ Health healthItem }
	got := b.do("GET", "/api/v1/projects/"+project+"/environments/"+name, "")
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		b.h.t.Fatalf("got %d %s", got.status, got.body)
	}
	return body.Health
}

// TestHealth: checking at first, then what the gateway knows; asked again after
// ten seconds, and only when somebody looks.
func TestHealth(t *testing.T) {
	h := newHarness(t)
	b := h.signedIn("boris")
	look := func() healthItem { return b.healthOf("shop", "staging") }
	becomes := func(status, message string) {
		t.Helper()
		var last healthItem
		eventually(t, status, func() bool { last = look(); return last.Status == status })
		if last.Message != message || last.CheckedAt == nil || !last.CheckedAt.Equal(h.clock.now()) {
			t.Errorf("got %+v, want %s %s", last, status, message)
		}
	}
	if got := look(); got.Status != "checking" || got.Message != "" || got.CheckedAt != nil {
		t.Errorf("at first: %+v", got)
	}
	becomes("up", "Prometheus 3.15.0")
	probe := "/shop/staging/api/v1/status/buildinfo"
	if got := h.up.take(); !slices.Equal(got, []string{probe}) {
		t.Errorf("asked %v", got)
	}
	h.clock.advance(healthFor - time.Nanosecond)
	if look(); len(h.up.take()) != 0 {
		t.Error("asked again too soon")
	}
	h.up.answerWith(answerAs(503, "text/plain", "starting"))
	h.clock.advance(9 * time.Minute) // nobody looks
	if got := h.up.take(); len(got) != 0 {
		t.Errorf("asked while nobody looked: %v", got)
	}
	if got := look(); got.Status != "up" {
		t.Errorf("the first look after a while tells %+v", got)
	}
	becomes("down", "this environment's Prometheus is not available right now: try again in a moment; if it lasts, tell its operator")
	if got := h.up.take(); !slices.Equal(got, []string{probe}) {
		t.Errorf("asked %v", got)
	}
	for _, c := range []struct {
		answer  http.HandlerFunc
		message string
	}{
		{answerAs(200, "text/html", "<html><script>alert(1)</script>"), "what answered for this environment is not Prometheus: tell its operator, who may check port, scheme and path prefix"},
		{answerAs(403, "text/plain", "secret"), "the gateway is not allowed to reach this environment's Prometheus: tell its operator, whose log says what is missing"},
	} {
		h.up.answerWith(c.answer)
		h.clock.advance(healthFor)
		eventually(t, c.message, func() bool { return look().Message == c.message })
	}
	h.up.answerWith(answerPrometheus)
	h.clock.advance(healthFor)
	eventually(t, "up again", func() bool { return look().Status == "up" })
	// The operator learns why, once for as long as it lasts.
	if n := strings.Count(h.log.text(), `"msg":"an environment that somebody looks at does not answer","project":"shop","environment":"staging"`); n != 1 {
		t.Errorf("logged %d times: %s", n, h.log.text())
	}
	if !strings.Contains(h.log.text(), `"hop":"prometheus"`) {
		t.Error("the log names no hop")
	}
}

// TestHealthUnknown: what only callers' own credentials open is not asked.
func TestHealthUnknown(t *testing.T) {
	h := newHarness(t)
	all := h.environments()
	all[0].Target.Caller, all[0].Target.NoEndpointTokens = http.DefaultTransport, true
	h.set(all...)
	for range 3 {
		got := h.as("user-jane", "GET", apiProduction, "")
		if !strings.Contains(got.body, `"health":{"status":"unknown","message":"asked with each caller's own credentials alone"}`) {
			t.Errorf("got %s", got.body)
		}
	}
	if got := h.up.take(); len(got) != 0 {
		t.Errorf("asked %v", got)
	}
}

// TestHealthOfLists: a list asks of what it shows, and nothing else.
func TestHealthOfLists(t *testing.T) {
	h := newHarness(t)
	b := h.signedIn("dora")
	h.up.take()
	b.do("GET", "/api/v1/environments?limit=1&search=production&after=billing+production", "")
	eventually(t, "up", func() bool { return b.healthOf("shop", "production").Status == "up" })
	if got := h.up.take(); !slices.Equal(got, []string{"/shop/production/api/v1/status/buildinfo"}) {
		t.Errorf("asked %v", got)
	}
}

// probes are questions under way, which a test answers.
type probes struct {
	begun   chan *routing.Environment
	answers chan string
}

func newProbes() *probes {
	return &probes{begun: make(chan *routing.Environment, 100), answers: make(chan string)}
}

func (p *probes) probe(ctx context.Context, e *routing.Environment) (string, error) {
	p.begun <- e
	select {
	case answer := <-p.answers:
		return answer, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func bare(name string) *routing.Environment {
	return &routing.Environment{Project: projectOf("shop"), Name: name, UID: "uid-" + name, Target: &routing.Target{Description: name}}
}

// TestProbesAtOnce: of a project four at the most, each environment once, so that
// one whose servers hang holds up nobody else's.
func TestProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes()
		h := newHealth(p.probe, time.Now, slog.New(slog.DiscardHandler))
		var all []*routing.Environment
		for i := range 20 {
			all = append(all, bare(fmt.Sprint(i)))
		}
		for range 3 {
			for _, e := range all {
				if got := h.of(e); got.Status != "checking" {
					t.Errorf("got %+v", got)
				}
			}
		}
		for i := range 20 {
			synctest.Wait()
			if got, want := len(p.begun), min(4+i, 20); got != want {
				t.Fatalf("after %d answers %d were begun, want %d", i, got, want)
			}
			p.answers <- "Prometheus"
		}
		synctest.Wait()
		for _, e := range all {
			if got := h.of(e); got.Status != "up" || got.Message != "Prometheus" {
				t.Errorf("%s: got %+v", e.Name, got)
			}
		}
		if len(p.begun) != 20 {
			t.Errorf("%d were begun", len(p.begun))
		}
	})
}

// TestProbesOfAll: sixteen at the most, however many projects there are.
func TestProbesOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes()
		h := newHealth(p.probe, time.Now, slog.New(slog.DiscardHandler))
		for i := range 25 {
			for j := range 4 {
				e := bare(fmt.Sprint(i, "-", j))
				e.Project = projectOf(fmt.Sprint("p", i))
				h.of(e)
			}
		}
		synctest.Wait()
		if len(p.begun) != maxProbes {
			t.Errorf("%d were begun", len(p.begun))
		}
		<-time.After(time.Minute) // they time out, and nobody looks
		synctest.Wait()
		if n := len(p.begun); n >= 100 {
			t.Errorf("%d were begun although nobody looked any more", n)
		}
	})
}

// TestProbePanics: what goes wrong in it harms nobody else.
func TestProbePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(func(context.Context, *routing.Environment) (string, error) { panic("boom") }, time.Now, slog.New(slog.DiscardHandler))
		e := bare("production")
		h.of(e)
		synctest.Wait()
		if got := h.of(e); got.Status != "down" || got.Message != "the gateway could not ask; its log says why" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestProbeRefused: a budget that is used up tells nothing of the server.
func TestProbeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refusal error = &gateway.Error{Status: 429, Message: "full", Limit: "maxConcurrent"}
		h := newHealth(func(context.Context, *routing.Environment) (string, error) { return "Prometheus", refusal }, time.Now, slog.New(slog.DiscardHandler))
		e := bare("production")
		look := func(want string) {
			t.Helper()
			h.of(e)
			synctest.Wait()
			if got := h.of(e); got.Status != want {
				t.Errorf("got %+v, want %s", got, want)
			}
			<-time.After(healthFor)
		}
		look("unknown")
		refusal = nil
		look("up")
		refusal = &gateway.Error{Status: 429, Message: "full", Limit: "maxConcurrent"}
		look("up")
	})
}

// TestProbeHangs: it ends after ten seconds, and says so.
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes()
		h := newHealth(p.probe, time.Now, slog.New(slog.DiscardHandler))
		e := bare("production")
		h.of(e)
		<-time.After(probeTimeout)
		synctest.Wait()
		if got := h.of(e); got.Status != "down" || got.Message != "this environment's Prometheus did not answer within 10s" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestReplaced: what was known of another target does not count, also where it
// is learnt too late.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes()
		h := newHealth(p.probe, time.Now, slog.New(slog.DiscardHandler))
		before, now := bare("production"), bare("production")
		h.of(before)
		synctest.Wait()
		if got := h.of(now); got.Status != "checking" {
			t.Errorf("got %+v", got)
		}
		synctest.Wait()
		first, second := <-p.begun, <-p.begun
		if first != before || second != now {
			t.Fatal("the new target was not asked")
		}
		p.answers <- "the one before"
		synctest.Wait()
		if got := h.of(now); got.Status != "checking" {
			t.Errorf("got %+v", got)
		}
		p.answers <- "another"
		synctest.Wait()
		if got := h.of(now); got.Status != "up" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestForgotten: what nobody has looked at for ten minutes is known no more.
func TestForgotten(t *testing.T) {
	c := newClock()
	up := func(context.Context, *routing.Environment) (string, error) { return "Prometheus", nil }
	h := newHealth(up, c.now, slog.New(slog.DiscardHandler))
	one, other := bare("one"), bare("other")
	for _, e := range []*routing.Environment{one, other} {
		eventually(t, "up", func() bool { return h.of(e).Status == "up" })
	}
	c.advance(forgetAfter + time.Second)
	h.of(other)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[one.UID] != nil || h.known[other.UID] == nil {
		t.Errorf("known are %d", len(h.known))
	}
}

// TestHealthWhileTold: answers are written while the next probe ends.
func TestHealthWhileTold(t *testing.T) {
	c := newClock()
	fails := func(context.Context, *routing.Environment) (string, error) { return "", errors.New("no") }
	h := newHealth(fails, c.now, slog.New(slog.DiscardHandler))
	e := bare("production")
	for range 200 {
		item := h.of(e)
		c.advance(healthFor)
		if err := json.NewEncoder(io.Discard).Encode(item); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.of(e); got.Status != "checking" && got.Message != "the gateway could not ask; its log says why" {
		t.Errorf("got %+v", got)
	}
}

// TestHealthLog: what the gateway says of a failure goes to the log, with what to
// apply.
func TestHealthLog(t *testing.T) {
	var log journal
	told := &gateway.Error{Message: "told", Cause: errors.New("the cause"), Hop: "rbac", Advice: "kind: Role"}
	fails := func(context.Context, *routing.Environment) (string, error) { return "", told }
	h := newHealth(fails, time.Now, slog.New(slog.NewJSONHandler(&log, nil)))
	h.of(bare("production"))
	eventually(t, "the record", func() bool { return log.text() != "" })
	for _, want := range []string{`"level":"WARN"`, `"error":"told: the cause"`, `"hop":"rbac"`, `"advice":"kind: Role"`, `"environment":"production"`} {
		if !strings.Contains(log.text(), want) {
			t.Errorf("no %s in %s", want, log.text())
		}
	}
}
