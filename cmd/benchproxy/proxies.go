package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// path is where the questions go, at the gateway below an environment.
const path = "/api/v1/query_range?query=%s&start=1700000000&end=1700021600&step=15"

// startPromgate runs the built gateway in front of the upstream, with its
// access log on, as in production.
func startPromgate(ctx context.Context, dir, binary, upstream string) (*proxy, func(), error) {
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
projects:
  - name: shop
    environments:
      - {name: production, url: "http://%s"}
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
	p := &proxy{name: "promgate", pids: []int{serve.Process.Pid}, addr: addr}
	for i, query := range []string{"small", "large"} {
		p.request[i] = fmt.Sprintf("GET /projects/shop/environments/production"+path+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n\r\n",
			query, strings.TrimSpace(string(token)))
	}
	return p, func() { stop(); log.Close() }, nil
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
      if ($http_authorization != "Bearer secret") { return 401; }
      proxy_pass http://prometheus;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`, dir, upstream, addr)
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
	p := &proxy{name: "nginx, plain proxy", pids: pids, addr: addr}
	for i, query := range []string{"small", "large"} {
		p.request[i] = fmt.Sprintf("GET "+path+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer secret\r\n\r\n", query)
	}
	return p, stop, nil
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
