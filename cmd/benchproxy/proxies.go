package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/promgate/promgate/cmd/internal/process"
)

// path is where the questions go, at the gateway below an environment.
const path = "/api/v1/query_range?query=%s&start=1700000000&end=1700021600&step=15"

// startPromgate runs the built gateway in front of the upstream, with its
// access log on, as in production.
func startPromgate(ctx context.Context, dir, binary, upstream string) (*proxy, func(), error) {
	gate, err := process.Configure(binary, filepath.Join(dir, "promgate"), fmt.Sprintf(process.Unlimited+`projects:
  - name: shop
    environments:
      - {name: production, url: "http://%s"}
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
	p := &proxy{name: "promgate", pids: []int{server.PID}, addr: gate.Addr}
	for i, query := range []string{"small", "large"} {
		p.request[i] = fmt.Sprintf("GET /projects/shop/environments/production"+path+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n\r\n",
			query, token)
	}
	return p, server.Stop, nil
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
	p := &proxy{name: "nginx, plain proxy", pids: pids, addr: addr}
	for i, query := range []string{"small", "large"} {
		p.request[i] = fmt.Sprintf("GET "+path+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer secret\r\n\r\n", query)
	}
	return p, server.Stop, nil
}
