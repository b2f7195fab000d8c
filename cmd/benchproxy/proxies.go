package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// startPromgate runs the built gateway in front of the upstream, with its
// access log and every limit on, as in production. It is two proxies in one process: an
// environment as it is, and one that has a label enforced.
func startPromgate(ctx context.Context, dir, binary, upstream string) ([]*proxy, func(), error) {
	dir, err := os.MkdirTemp(dir, "promgate")
	if err != nil {
		return nil, nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	config := filepath.Join(dir, "promgate.yaml")
	text := fmt.Sprintf(`listen: %s
adminListen: %s
dataDir: %s
shutdown: {delay: 0s}
limits: {requestsPerSecond: 1000000, burst: 1000000}
projects:
  - name: shop
    environments:
      - {name: production, url: "http://%[4]s"}
      - {name: tenant, url: "http://%[4]s", enforce: {tenant: shop}}
`, addr, admin, filepath.Join(dir, "data"), upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	var said bytes.Buffer
	create := exec.CommandContext(ctx, binary, "token", "create", "--config", config, "--project", "shop", "--expires", "1h")
	create.Stderr = &said
	token, err := create.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("promgate token create: %w: %s", err, said.String())
	}
	log, err := os.Create(filepath.Join(dir, "promgate.log"))
	if err != nil {
		return nil, nil, err
	}
	serve := exec.CommandContext(ctx, binary, "serve", "--config", config)
	serve.Stderr = log
	stop, err := start(ctx, serve, addr)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(os.Stderr, "profiles of promgate: http://%s/debug/pprof/\n", admin)
	name := filepath.Base(binary)
	of := func(name, environment string) *proxy {
		return &proxy{
			name: name, pids: []int{serve.Process.Pid}, addr: addr,
			request: requests("/projects/shop/environments/"+environment, strings.TrimSpace(string(token))),
		}
	}
	both := []*proxy{of(name, "production"), of(name+", label enforced", "tenant")}
	return both, func() { stop(); log.Close() }, nil
}

// startNginx runs nginx as a plain proxy that compares one header.
func startNginx(ctx context.Context, dir, binary, upstream string) (*proxy, func(), error) {
	addr, err := freeAddr()
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
	serve := exec.CommandContext(ctx, binary, "-c", config, "-p", dir, "-e", filepath.Join(dir, "nginx.log"))
	stop, err := start(ctx, serve, addr)
	if err != nil {
		return nil, nil, err
	}
	pids, err := withChildren(serve.Process.Pid)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return &proxy{name: "nginx, plain proxy", pids: pids, addr: addr, request: requests("", bareSecret)}, stop, nil
}

// start runs a server until stop is called, and waits until it listens.
func start(ctx context.Context, c *exec.Cmd, addr string) (stop func(), err error) {
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = c.Process.Signal(syscall.SIGTERM) // gone already is as good
		_ = c.Wait()                          // its status says nothing about the figures
	}
	if err := waitFor(ctx, addr); err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", filepath.Base(c.Path), err)
	}
	return stop, nil
}

// withChildren is a process and those that it started: nginx's workers do its work.
func withChildren(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}
