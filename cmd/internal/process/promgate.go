package process

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Unlimited is the part of a gateway's configuration that lets one environment
// be asked as often as a benchmark can.
const Unlimited = "limits: {requestsPerSecond: 1000000, burst: 1000000}\n"

// Promgate is a built gateway with a configuration and a data directory of its
// own. Use Configure.
type Promgate struct {
	// Addr is where it serves requests.
	Addr string
	// DataDir holds its token records.
	DataDir string

	binary, dir, config, admin string
}

// Configure writes the configuration of a gateway into a directory, which is
// made. rest is YAML: the projects, and other keys beside those that say where
// the gateway listens and keeps its data.
func Configure(binary, dir, rest string) (*Promgate, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Promgate{
		Addr: addr, DataDir: filepath.Join(dir, "data"),
		binary: binary, dir: dir, config: filepath.Join(dir, "promgate.yaml"), admin: admin,
	}
	text := fmt.Sprintf("listen: %s\nadminListen: %s\ndataDir: %s\nshutdown: {delay: 0s}\n%s", addr, admin, p.DataDir, rest)
	return p, os.WriteFile(p.config, []byte(text), 0o600)
}

// CreateToken makes a token for a project.
func (p *Promgate) CreateToken(ctx context.Context, project string) (string, error) {
	var said bytes.Buffer
	create := exec.CommandContext(ctx, p.binary, "token", "create", "--config", p.config, "--project", project, "--expires", "1h")
	create.Stderr = &said
	token, err := create.Output()
	if err != nil {
		return "", fmt.Errorf("promgate token create: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(token)), nil
}

// Serve runs the gateway until it is stopped, with its access log on, as in
// production. It returns when the gateway says that it is ready.
func (p *Promgate) Serve(ctx context.Context) (*Server, error) {
	serve := exec.CommandContext(ctx, p.binary, "serve", "--config", p.config)
	return Start(ctx, serve, filepath.Join(p.dir, "promgate.log"), Answers("http://"+p.admin+"/readyz"))
}

// Answers is a condition for Start: a URL is answered by 200.
func Answers(url string) func(context.Context) error {
	// Nothing is left open that the figures would count.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}
