package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
	"github.com/promgate/promgate/tokens"
	"github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
)

// maxUsed is how many tokens are used, at the most. The others are records alone.
const maxUsed = 2000

// gate is a gateway under measurement.
type gate struct {
	size     size
	promgate *process.Promgate
	// requests are sent as they are, in turn; each is another token's.
	requests []string
	first    time.Duration   // median of the first use of each token
	rounds   []time.Duration // median of each round

	server   *process.Server
	startCPU time.Duration // used until it was ready
	conn     net.Conn
	reader   *bufio.Reader
	next     int // index of the next request
}

// makeGate makes a gateway's environments and tokens.
func makeGate(ctx context.Context, binary, dir, upstream string, n size) (*gate, error) {
	p, err := process.Configure(binary, dir, process.Unlimited+projects(upstream, n))
	if err != nil {
		return nil, err
	}
	g := &gate{size: n, promgate: p}
	return g, g.makeTokens(ctx)
}

// serve starts the gateway.
func (g *gate) serve(ctx context.Context) (err error) {
	if g.server, err = g.promgate.Serve(ctx); err != nil {
		return err
	}
	if g.startCPU, err = process.CPUTime(g.server.PID); err == nil {
		g.conn, err = net.Dial("tcp", g.promgate.Addr)
	}
	if err != nil {
		g.server.Stop()
		return err
	}
	g.reader = bufio.NewReaderSize(g.conn, 16<<10)
	return nil
}

func (g *gate) stop() {
	_ = g.conn.Close() // nothing is in flight
	g.server.Stop()
}

func (g *gate) peakMemory() (int, error) { return process.PeakMemory(g.server.PID) }

func projectName(i int) string     { return fmt.Sprintf("project-%d", i) }
func environmentName(i int) string { return fmt.Sprintf("environment-%d", i) }

// projects is the part of the configuration that names all environments.
func projects(upstream string, n size) string {
	var b strings.Builder
	b.WriteString("projects:\n")
	for p := range n.projects {
		fmt.Fprintf(&b, "  - name: %s\n    environments:\n", projectName(p))
		for e := range n.environments {
			fmt.Fprintf(&b, "      - {name: %s, url: \"http://%s\"}\n", environmentName(e), upstream)
		}
	}
	return b.String()
}

// makeTokens fills the data directory with tokens of environments, each
// environment in turn.
func (g *gate) makeTokens(ctx context.Context) (err error) {
	store, err := file.Open(ctx, file.Options{Dir: g.promgate.DataDir, Mint: jwt.Mint})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	scopes, err := g.scopes(ctx, store)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	// Each use is another environment, anywhere among all.
	random.Shuffle(len(scopes), func(i, j int) { scopes[i], scopes[j] = scopes[j], scopes[i] })
	draft := tokens.Draft{Description: "Grafana", CreatedBy: "local:anna", Lifetime: 720 * time.Hour}
	var made tokens.Record
	for i := range min(maxUsed, g.size.tokens) {
		draft.Scope = scopes[i%len(scopes)]
		var token string
		if made, token, err = store.Create(ctx, draft); err != nil {
			return err
		}
		g.requests = append(g.requests, fmt.Sprintf("GET /projects/%s/environments/%s/api/v1/query?query=up HTTP/1.1\r\n"+
			"Host: gateway\r\nAuthorization: Bearer %s\r\n\r\n", draft.Scope.Project, draft.Scope.Environment, token))
	}
	// One by one they would take minutes: each is safe on the disk before the next.
	var others []tokens.Record
	for i := len(g.requests); i < g.size.tokens; i++ {
		other := made
		other.ID, other.Scope = fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), scopes[i%len(scopes)]
		others = append(others, other)
	}
	return store.Insert(ctx, others...)
}

// scopes are those of all environments, under the identities that the gateway
// will find.
func (g *gate) scopes(ctx context.Context, store *file.Store) ([]tokens.Scope, error) {
	var names []string
	for p := range g.size.projects {
		names = append(names, projectName(p))
		for e := range g.size.environments {
			names = append(names, projectName(p)+"/"+environmentName(e))
		}
	}
	uids, err := store.AssignUIDs(ctx, names, true)
	if err != nil {
		return nil, err
	}
	var scopes []tokens.Scope
	for p := range g.size.projects {
		for e := range g.size.environments {
			project, environment := projectName(p), environmentName(e)
			scopes = append(scopes, tokens.Scope{
				Project: project, ProjectUID: uids[project],
				Environment: environment, EnvironmentUID: uids[project+"/"+environment],
			})
		}
	}
	return scopes, nil
}

// ask sends so many requests, one after the other, and returns what each took.
func (g *gate) ask(count int) ([]time.Duration, error) {
	times := make([]time.Duration, count)
	for i := range times {
		request := g.requests[g.next]
		g.next = (g.next + 1) % len(g.requests)
		began := time.Now()
		if _, err := io.WriteString(g.conn, request); err != nil {
			return nil, err
		}
		response, err := http.ReadResponse(g.reader, nil)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		times[i] = time.Since(began)
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d: %s", response.StatusCode, body)
		}
	}
	return times, nil
}
