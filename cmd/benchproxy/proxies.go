package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/promgate/promgate/cmd/internal/process"
)

// expression is what a dashboard asks again and again.
const expression = `sum by (handler, code) (rate(http_requests_total{namespace="shop",job=~"api|web",code!~"2.."}[5m])) / ignoring(code) group_left sum by (handler) (rate(http_requests_total{namespace="shop",job=~"api|web"}[5m]))`

// path is where the questions go, at the gateway below an environment. It is an
// instant query for both sizes, because answers to range queries are kept: what
// is measured is the way to the upstream and back.
func path(size int) string {
	return "/api/v1/query?" + url.Values{"query": {expression}, "time": {sizes[size].time}}.Encode()
}

func request(path, secret string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + secret + "\r\n\r\n"
}

// requests are the questions of both sizes, below a prefix.
func requests(prefix, secret string) (both [len(sizes)]string) {
	for size := range sizes {
		both[size] = request(prefix+path(size), secret)
	}
	return both
}

// startPromgate runs the built gateway in front of the upstream, with its access
// log and every limit on, as in production. It is three proxies in one process:
// an environment that passes each question on, one that has a label enforced as
// well, and one where equal questions at the same time share an answer.
func startPromgate(ctx context.Context, dir, binary, upstream string) ([]*proxy, func(), error) {
	dir, err := os.MkdirTemp(dir, "promgate")
	if err != nil {
		return nil, nil, err
	}
	gate, err := process.Configure(binary, dir, fmt.Sprintf(process.Unlimited+`projects:
  - name: shop
    environments:
      - {name: production, url: "http://%[1]s", cache: false}
      - {name: tenant, url: "http://%[1]s", cache: false, enforce: {tenant: shop}}
      - {name: shared, url: "http://%[1]s"}
`, upstream))
	if err != nil {
		return nil, nil, err
	}
	token, err := gate.CreateToken(ctx, "shop")
	if err != nil {
		return nil, nil, err
	}
	server, err := gate.Serve(ctx)
	if err != nil {
		return nil, nil, err
	}
	name := filepath.Base(binary)
	of := func(name, environment string) *proxy {
		return &proxy{
			name: name, pids: []int{server.PID}, addr: gate.Addr,
			request: requests("/projects/shop/environments/"+environment, token),
		}
	}
	all := []*proxy{of(name, "production"), of(name+", label enforced", "tenant"), of(name+", equal questions shared", "shared")}
	return all, server.Stop, nil
}

// startNginx runs nginx as a plain proxy that compares one header.
func startNginx(ctx context.Context, dir, binary, upstream string) (*proxy, func(), error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
events { worker_connections 256; }
http {
  access_log %[1]s/nginx-access.log;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  keepalive_requests 100000000;
  upstream prometheus { server %[2]s; keepalive 64; keepalive_requests 100000000; }
  server {
    listen %[3]s;
    location / {
      if ($http_authorization != "Bearer %[4]s") { return 401; }
      proxy_pass http://prometheus;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`, dir, upstream, addr, bareSecret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	command := exec.CommandContext(ctx, binary, "-c", config, "-p", dir, "-e", filepath.Join(dir, "nginx.log"))
	server, err := process.Start(ctx, command, filepath.Join(dir, "nginx.out"), process.Listens(addr))
	if err != nil {
		return nil, nil, err
	}
	// Its workers do its work.
	pids, err := process.WithChildren(server.PID)
	if err != nil {
		server.Stop()
		return nil, nil, err
	}
	return &proxy{name: "nginx, plain proxy", pids: pids, addr: addr, request: requests("", bareSecret)}, server.Stop, nil
}
