package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
)

// bareSecret is what the proxies that are no gateways compare.
const bareSecret = "secret"

// startBare runs this program as the bare forwarder, in a process of its own.
func startBare(ctx context.Context, dir, upstream string) (*proxy, func(), error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	command := exec.CommandContext(ctx, self, "--forward-to", upstream, "--listen", addr)
	server, err := process.Start(ctx, command, filepath.Join(dir, "bare.out"), process.Listens(addr))
	if err != nil {
		return nil, nil, err
	}
	return &proxy{name: "bare net/http forwarder", pids: []int{server.PID}, addr: addr, request: requests("", bareSecret)}, server.Stop, nil
}

// forward is the least that a Go program can do: net/http's server and client,
// one header compared, the answer copied. Nothing is checked, bounded or logged.
func forward(listen, upstream string) error {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+bareSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		out := (&http.Request{
			Method: http.MethodGet, Host: upstream, Header: http.Header{"Accept-Encoding": {"identity"}},
			URL: &url.URL{Scheme: "http", Host: upstream, Path: r.URL.Path, RawQuery: r.URL.RawQuery},
		}).WithContext(r.Context())
		resp, err := transport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
			if values := resp.Header[name]; values != nil {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // a client that is gone is no matter
	})
	return (&http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}
