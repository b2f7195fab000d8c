package loadtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

// patience bounds every request, so that a test ends.
const patience = time.Minute

// Queries, and how long the server takes for one of them on average.
const (
	quick      = "quick"
	quickTime  = 20 * time.Millisecond
	medium     = "medium"
	mediumTime = 40 * time.Millisecond
	slow       = "slow"
	slowTime   = 200 * time.Millisecond
)

// perSecond is how many queries of that time so many places can answer.
func perSecond(places int, service time.Duration) float64 {
	return float64(places) / service.Seconds()
}

var serviceTimes = map[string]time.Duration{quick: quickTime, medium: mediumTime, slow: slowTime}

const answer = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1767225600,"1"]}]}}`

// server answers like a Prometheus server that works on so many queries at
// once, and lets others wait.
type server struct {
	*httptest.Server
	places chan struct{}

	mu     sync.Mutex
	asked  int
	inside map[string]int // by query; "" is all of them
	most   map[string]int // that were ever inside
}

func newServer(t testing.TB, places int) *server {
	s := &server{places: make(chan struct{}, places), inside: map[string]int{}, most: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	service := s.enter(query)
	defer s.leave(query)
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-r.Context().Done():
		return
	}
	select {
	case <-time.After(service):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = io.WriteString(w, answer)
}

// enter counts a query in, and tells how long it takes: some a little longer
// than the average, some a little less, in a fixed order.
func (s *server) enter(query string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range []string{query, ""} {
		s.inside[q]++
		s.most[q] = max(s.most[q], s.inside[q])
	}
	s.asked++
	return serviceTimes[query] * time.Duration(6+2*(s.asked%5)) / 10 // 60 % … 140 %
}

func (s *server) leave(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range []string{query, ""} {
		s.inside[q]--
	}
}

// mostInside is how many of those queries were ever in the server at once.
func (s *server) mostInside(query string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most[query]
}

// bearers takes "project.principal" as the token of that principal, which opens
// that project.
type bearers struct{}

func (bearers) Recognizes(auth.Credential) bool { return true }

func (bearers) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	project, principal, ok := strings.Cut(c.Secret(), ".")
	if !ok {
		return nil, auth.ErrInvalid
	}
	return &auth.Identity{
		Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: principal},
		Grants:    []auth.Grant{{ProjectUID: "uid-" + project, WholeProject: true}},
	}, nil
}

// budget is one that refuses nothing but for its places. On a machine that does
// other things nothing is answered for seconds, now and then; who asks little
// has room to wait for that long.
func budget(places int) gateway.Budget {
	return gateway.Budget{
		MaxQueryLength: 1 << 10, MaxRange: 24 * time.Hour, MaxLookback: 24 * time.Hour, MaxPoints: 11000,
		MaxEvaluations: 1e6, MaxResponseBytes: 1 << 20,
		MaxConcurrent: places, Queue: limit.Queue{Length: 100, Timeout: patience / 2},
		RequestsPerSecond: 1e6, Burst: 1e6,
	}
}

// world is a gateway on a real listener, with one server that all projects share.
type world struct {
	url    string
	server *server
}

// newWorld makes one of projects with their budgets. The server has so many
// places, and the gateway lets as many queries at it at once.
func newWorld(t testing.TB, places int, budgets map[string]gateway.Budget) *world {
	up := newServer(t, places)
	base, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	target := &routing.Target{UID: "shared", Base: base, Transport: transport, Description: base.Host}
	var environments []*routing.Environment
	for project := range budgets {
		environments = append(environments, &routing.Environment{
			Project: &routing.Project{Name: project, UID: "uid-" + project}, Name: "production", UID: "uid-" + project + "-production", Target: target,
		})
	}
	routes := &routing.Current{}
	routes.Store(routing.NewTable(environments))
	g := gateway.New(gateway.Options{
		Routes: routes, Auth: auth.Union{bearers{}}, Registerer: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), // records are made, as they always are
		Limits: gateway.Limits{
			Default: budget(places), Projects: budgets, MaxConcurrentTarget: places, MaxConcurrentTargetProject: places, MaxConcurrentTotal: 10 * places,
			MaxRequestBody: 1 << 20, MaxRemoteReadBody: 1 << 20,
			RequestBodyTimeout: patience, ResponseHeaderTimeout: patience, RequestTimeout: patience,
		},
	})
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	return &world{url: front.URL, server: up}
}

// mostConnections of one client are more than can wait in the gateway. If it
// stalls, further requests wait for one of them, which counts as they do.
const mostConnections = 512

// client makes the stream of one principal, with connections of its own.
func (w *world) client(t testing.TB, project, principal, query string, rate float64) *stream {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: mostConnections, MaxConnsPerHost: mostConnections}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: patience}
	target := w.url + "/projects/" + project + "/environments/production/api/v1/query?query=" + query
	var complaints atomic.Int64 // more of them say nothing new
	return &stream{name: principal, rate: rate, ask: func(ctx context.Context) outcome {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			t.Error(err)
			return failed
		}
		r.Header.Set("Authorization", "Bearer "+project+"."+principal)
		result, err := ask(client, r)
		if err != nil && complaints.Add(1) <= 3 {
			t.Errorf("%s: %v", principal, err)
		}
		return result
	}}
}

// ask does one request; an error tells why it failed.
func ask(client *http.Client, r *http.Request) (outcome, error) {
	resp, err := client.Do(r)
	if err != nil {
		return failed, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return failed, err
	case resp.StatusCode == http.StatusOK && string(body) == answer:
		return answered, nil
	case resp.StatusCode == http.StatusTooManyRequests:
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
			return failed, fmt.Errorf("429 with Retry-After %q", resp.Header.Get("Retry-After"))
		}
		return refused, nil
	}
	return failed, fmt.Errorf("%s: %s", resp.Status, body)
}
