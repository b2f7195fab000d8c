package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// TestDoctor: maintainers are told what was found, others where the way ends.
func TestDoctor(t *testing.T) {
	h := newHarness(t)
	h.set(append(h.environments(), h.direct("shop", "direct"))...)
	maintains, views := h.asker("anna"), h.asker("boris")
	const (
		path  = apiProduction + "/doctor"
		where = `"target":"service shop/prometheus-production:web on cluster local"`
		lost  = `{"kind":"Status","status":"Failure","message":"shop is secret","reason":"Forbidden","code":403}`
	)
	for name, c := range map[string]struct {
		answer            http.HandlerFunc
		path              string
		maintains, viewer string
	}{
		"a good way": {answerPrometheus, path,
			`{"project":"shop","environment":"production",` + where + `,"hops":[{"name":"connection","status":"ok","found":"a server answers through the service proxy"},` +
				`{"name":"prometheus","status":"ok","found":"Prometheus 3.15.0 is ready and answers queries"}]}`,
			`{"project":"shop","environment":"production","target":"","hops":[{"name":"connection","status":"ok","found":""},{"name":"prometheus","status":"ok","found":""}]}`},
		"no Role": {answerAs(403, "application/json", lost), path,
			`{"project":"shop","environment":"production",` + where + `,"hops":[{"name":"rbac","status":"failed","found":"the API server answers 403: shop is secret",` +
				`"cause":"no Role lets the gateway get services/proxy http:prometheus-production:web in namespace shop, by this literal name: apply the Role below",` +
				`"apply":"kind: Role # get\n"}]}`,
			`{"project":"shop","environment":"production","target":"","hops":[{"name":"rbac","status":"failed","found":""}]}`},
		"a page": {answerAs(200, "text/html", "<script>alert(1)</script>"), apiShop + "/environments/direct/doctor",
			`{"project":"shop","environment":"direct","target":"inner /shop/direct","hops":[{"name":"prometheus","status":"failed",` +
				`"found":"a web page (HTML, status 200) answers GET /api/v1/query",` +
				`"cause":"another program listens there, a login page stands before Prometheus, or the path is wrong: check url"}]}`,
			`{"project":"shop","environment":"direct","target":"","hops":[{"name":"prometheus","status":"failed","found":""}]}`},
	} {
		h.clock.advance(time.Minute)
		h.up.answerWith(c.answer)
		check(t, name+" for a maintainer", maintains(c.path), 200, c.maintains)
		h.up.take()
		check(t, name+" for a viewer", views(c.path), 200, c.viewer)
		if asked := h.up.take(); len(asked) != 0 {
			t.Errorf("%s: asked again: %v", name, asked)
		}
	}
	h.clock.advance(diagnosisFor + time.Nanosecond)
	if views(apiShop + "/environments/direct/doctor"); len(h.up.take()) == 0 {
		t.Error("a diagnosis counts for longer than two seconds")
	}
}

// surgery is a doctor whose examinations a test ends.
type surgery struct {
	*doctor
	begun chan *routing.Environment
	end   chan gateway.Diagnosis
}

func newSurgery(now func() time.Time) *surgery {
	s := &surgery{begun: make(chan *routing.Environment, 100), end: make(chan gateway.Diagnosis)}
	s.doctor = newDoctor(func(ctx context.Context, e *routing.Environment) gateway.Diagnosis {
		s.begun <- e
		select {
		case d := <-s.end:
			return d
		case <-ctx.Done():
			return gateway.Diagnosis{Project: "cut"}
		}
	}, now, slog.New(slog.DiscardHandler))
	return s
}

// TestOneDiagnosisAtATime: for however many ask, also when the first of them
// leaves; and of each environment its own.
func TestOneDiagnosisAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSurgery(time.Now)
		e := bare("production")
		leaving, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := s.ask(leaving, e); left <- err }()
		synctest.Wait()
		var asking sync.WaitGroup
		results := make(chan string, 50)
		for range 50 {
			asking.Go(func() {
				found, err := s.ask(t.Context(), e)
				if err != nil {
					t.Error(err)
				}
				results <- found.Project
			})
		}
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		go func() { _, _ = s.ask(t.Context(), bare("another")) }()
		synctest.Wait()
		if n := len(s.begun); n != 2 {
			t.Fatalf("%d were begun", n)
		}
		s.end <- gateway.Diagnosis{Project: "one"}
		s.end <- gateway.Diagnosis{Project: "one"}
		asking.Wait()
		for range 50 {
			if got := <-results; got != "one" {
				t.Errorf("got %q", got)
			}
		}
	})
}

// TestDiagnosisCounts: for two seconds, of the target that it was made of.
func TestDiagnosisCounts(t *testing.T) {
	c := newClock()
	made := 0
	d := newDoctor(func(_ context.Context, e *routing.Environment) gateway.Diagnosis {
		made++
		return gateway.Diagnosis{Target: e.Target.Description}
	}, c.now, slog.New(slog.DiscardHandler))
	e := bare("production")
	ask := func(e *routing.Environment, want int) {
		t.Helper()
		if _, err := d.ask(t.Context(), e); err != nil || made != want {
			t.Errorf("%d made, want %d (%v)", made, want, err)
		}
	}
	ask(e, 1)
	c.advance(diagnosisFor)
	ask(e, 1)
	ask(bare("production"), 2) // another target
	c.advance(diagnosisFor + time.Nanosecond)
	ask(bare("production"), 3)
	c.advance(time.Minute)
	ask(bare("other"), 4)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.running) != 1 {
		t.Errorf("%d are remembered", len(d.running))
	}
}

// TestDiagnosisTakesLong: whoever has waited for as long as a request may take
// is told so, and not that the gateway has failed.
func TestDiagnosisTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSurgery(time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := timely(func(ctx context.Context, _ *gateway.Call) (*gateway.Reply, error) {
			_, err := s.ask(ctx, bare("production"))
			return nil, err
		})(ctx, nil)
		var told *gateway.Error
		if !errors.As(err, &told) || told.Status != http.StatusServiceUnavailable || told.Type != "timeout" || told.RetryAfter != 5*time.Second ||
			!strings.Contains(told.Message, "ask again in a moment") {
			t.Errorf("got %v", err)
		}
		s.end <- gateway.Diagnosis{}
	})
}

// TestDiagnosisPanics: what goes wrong in it harms nobody else.
func TestDiagnosisPanics(t *testing.T) {
	var log bytes.Buffer
	d := newDoctor(func(context.Context, *routing.Environment) gateway.Diagnosis { panic("boom") }, time.Now, slog.New(slog.NewJSONHandler(&log, nil)))
	found, err := d.ask(t.Context(), bare("production"))
	if err != nil || found.OK() || found.Environment != "production" || !strings.Contains(log.String(), "panic: boom") {
		t.Errorf("got %+v, %v, and the log %s", found, err, &log)
	}
}
