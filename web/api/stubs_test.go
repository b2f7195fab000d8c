package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/auth/session"
)

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// journal collects text.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// upstream is what stands behind all environments, each at its own path.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	paths  []string
	answer http.HandlerFunc
}

func newUpstream(t testing.TB) *upstream {
	u := &upstream{answer: answerPrometheus}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		answer := u.answer
		u.paths = append(u.paths, r.URL.Path)
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) answerWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = h
}

// take returns the paths that were asked for since it was last called.
func (u *upstream) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	paths := u.paths
	u.paths = nil
	return paths
}

// answerPrometheus answers as Prometheus does.
func answerPrometheus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body := `{"status":"success","data":{"resultType":"vector","result":[]}}`
	switch {
	case strings.HasSuffix(r.URL.Path, "/-/ready"):
		body = "Prometheus Server is Ready."
	case strings.HasSuffix(r.URL.Path, "/buildinfo"):
		body = `{"status":"success","data":{"version":"3.15.0"}}`
	case r.URL.Query().Get("query") == "1+1":
		body = `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`
	}
	_, _ = io.WriteString(w, body)
}

func answerAs(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// memorySessions is a session.Store.
type memorySessions struct {
	mu      sync.Mutex
	records map[string]session.Record
	down    bool
}

func newMemorySessions() *memorySessions {
	return &memorySessions{records: map[string]session.Record{}}
}

var errDown = fmt.Errorf("the store is closed")

func (m *memorySessions) do(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errDown
	}
	return f()
}

func (m *memorySessions) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *memorySessions) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

func (m *memorySessions) Create(_ context.Context, r session.Record) error {
	return m.do(func() error { r.Version = "1"; m.records[r.ID] = r; return nil })
}

func (m *memorySessions) Get(_ context.Context, id string) (r session.Record, err error) {
	return r, m.do(func() error {
		var found bool
		if r, found = m.records[id]; !found {
			return session.ErrNotFound
		}
		return nil
	})
}

func (m *memorySessions) Latest(ctx context.Context, id string) (session.Record, error) {
	return m.Get(ctx, id)
}

func (m *memorySessions) Replace(_ context.Context, r session.Record) error {
	return m.do(func() error {
		switch old, found := m.records[r.ID]; {
		case !found:
			return session.ErrNotFound
		case old.Version != r.Version:
			return session.ErrConflict
		}
		n, err := strconv.Atoi(r.Version)
		r.Version = strconv.Itoa(n + 1)
		m.records[r.ID] = r
		return err
	})
}

func (m *memorySessions) Delete(_ context.Context, id string) error {
	return m.do(func() error {
		if _, found := m.records[id]; !found {
			return session.ErrNotFound
		}
		delete(m.records, id)
		return nil
	})
}

func (m *memorySessions) DeleteOwner(_ context.Context, owner string) error {
	return m.do(func() error {
		for id, r := range m.records {
			if r.Owner == owner {
				delete(m.records, id)
			}
		}
		return nil
	})
}
