package e2e

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// bearer sends a token with every request, and counts the requests.
type bearer struct {
	token string
	sent  []string // methods
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	b.sent = append(b.sent, r.Method)
	return http.DefaultTransport.RoundTrip(r)
}

func (b *bearer) api(t testing.TB, base string) promv1.API {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: base, RoundTripper: b})
	must(t, err)
	return promv1.NewAPI(c)
}

func all[T any](value T, warnings promv1.Warnings, infos promv1.Infos, err error) ([]any, error) {
	return []any{value, warnings, infos}, err
}

// TestAPIClient has client_golang's client ask both.
func TestAPIClient(t *testing.T) {
	t.Parallel()
	server := fixture(t)
	path := configuration(t, namespace(t, "apiclient", server.Addr()), "", "apiclient/production: "+service("apiclient", "prometheus"))
	secret, _ := token(t, path, "apiclient")
	g := serve(t, path)
	from, to := prometheus.FixtureStart(), prometheus.FixtureEnd()
	type call func(context.Context, promv1.API) ([]any, error)
	for _, c := range []struct {
		name string
		call call
	}{
		{name: "Query", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.Query(ctx, `{"http.status code"} or rpc_duration_seconds`, to))
		}},
		{name: "Query with options", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.Query(ctx, "http_requests_total", to, promv1.WithLimit(2), promv1.WithTimeout(time.Minute), promv1.WithLookbackDelta(time.Hour)))
		}},
		{name: "QueryRange", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.QueryRange(ctx, "rate(http_requests_total[5m]) or rate(rpc_duration_seconds[5m])", promv1.Range{Start: from, End: to, Step: 7 * time.Second}))
		}},
		{name: "QueryExemplars", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			found, err := a.QueryExemplars(ctx, "http_requests_total", from, to)
			return []any{found}, err
		}},
		{name: "Series", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.Series(ctx, []string{"up", `{__name__=~"http_.*"}`}, from, to))
		}},
		{name: "LabelNames", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.LabelNames(ctx, []string{"up", "mountain"}, from, to))
		}},
		{name: "LabelValues", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.LabelValues(ctx, "handler", []string{`http_requests_total{code="404"}`}, from, to))
		}},
		{name: "LabelValues of a UTF-8 name", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			return all(a.LabelValues(ctx, umlaut, nil, from, to))
		}},
		{name: "Metadata", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			found, err := a.Metadata(ctx, "", "")
			return []any{found}, err
		}},
		{name: "Rules", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			found, err := a.Rules(ctx, nil)
			for _, g := range found.Groups {
				for i, r := range g.Rules {
					if alerting, ok := r.(promv1.AlertingRule); ok { // which keeps no order of its alerts
						g.Rules[i] = alerting.Query + string(rune('0'+len(alerting.Alerts))) + alerting.State
					}
				}
			}
			return []any{found}, err
		}},
		{name: "Alerts", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			found, err := a.Alerts(ctx)
			alerts := map[string]promv1.Alert{}
			for _, alert := range found.Alerts {
				alerts[alert.Labels.String()] = alert
			}
			return []any{alerts}, err
		}},
		{name: "FormatQuery", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			text, err := a.FormatQuery(ctx, "sum(up)by(job)")
			return []any{text}, err
		}},
		{name: "Buildinfo", call: func(ctx context.Context, a promv1.API) ([]any, error) {
			found, err := a.Buildinfo(ctx)
			return []any{found}, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := c.call(t.Context(), (&bearer{}).api(t, server.URL()))
			must(t, err)
			through := &bearer{token: secret}
			got, err := c.call(t.Context(), through.api(t, g.base("apiclient/production")))
			must(t, err)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			if empty := reflect.ValueOf(got[0]); empty.Kind() != reflect.Struct && empty.Kind() != reflect.Pointer && empty.Len() == 0 {
				t.Error("the answer is empty")
			}
			if len(through.sent) != 1 {
				t.Errorf("it took the requests %v", through.sent)
			}
		})
	}

	t.Run("errors", func(t *testing.T) {
		ctx := t.Context()
		through := (&bearer{token: secret}).api(t, g.base("apiclient/production"))
		for query, kind := range map[string]promv1.ErrorType{
			"sum(": promv1.ErrBadData, "http_requests_total + on () http_requests_total": promv1.ErrExec,
		} {
			_, _, _, err := through.Query(ctx, query, to)
			var e *promv1.Error
			if !errors.As(err, &e) || e.Type != kind {
				t.Errorf("%s: %v", query, err)
			}
		}
		stranger := &bearer{token: secret}
		_, _, _, err := stranger.api(t, g.base("apiclient/staging")).Query(ctx, "up", to)
		var e *promv1.Error
		if !errors.As(err, &e) || e.Type != promv1.ErrClient || len(stranger.sent) != 2 {
			t.Errorf("another environment: %v, after %v", err, stranger.sent)
		}
	})
}
