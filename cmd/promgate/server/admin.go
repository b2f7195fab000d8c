package server

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminHandler serves what only the operator sees. readiness says why the
// gateway should get no requests now, or nil; drop drops what is kept of answers.
func adminHandler(metrics prometheus.Gatherer, readiness func() error, drop dropCache) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := readiness(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /cache/drop", drop.serve)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// dropCache drops what is kept of an environment, a project or all.
type dropCache func(project, environment string) (entries int, found bool)

func (drop dropCache) serve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	project, environment := query.Get("project"), query.Get("environment")
	for name := range query {
		if name != "project" && name != "environment" {
			http.Error(w, "only project and environment say what to drop, not "+strconv.Quote(name), http.StatusBadRequest)
			return
		}
	}
	if project == "" && environment != "" {
		http.Error(w, "name the environment's project too: /cache/drop?project=PROJECT&environment=ENVIRONMENT", http.StatusBadRequest)
		return
	}
	entries, found := drop(project, environment)
	if !found {
		http.Error(w, "there is no such project or environment", http.StatusNotFound)
		return
	}
	fmt.Fprintf(w, "dropped %d\n", entries)
}
