package kube

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// deniedFor is how long a denial is believed.
const deniedFor = 15 * time.Second

// trouble is why a target's questions go by the service proxy.
type trouble struct {
	kind   string // what it has in common with another of the same cause
	reason string // for people
	// method is the one that a Role is missing for; empty: none is.
	method string
}

// notice tells the log when questions begin to go by the service proxy, and
// when that is over.
type notice struct{ current atomic.Pointer[trouble] }

func (n *notice) begin(p *pinned, t *trouble) {
	before := n.current.Load()
	if before != nil && before.kind == t.kind || !n.current.CompareAndSwap(before, t) {
		return
	}
	attributes := []any{slog.String("target", p.description()), slog.String("reason", t.reason)}
	if t.method != "" {
		attributes = append(attributes, slog.String("advice", podsRole(p.namespace, verbOf(t.method), p.cluster.Subject)))
	}
	p.cluster.Logger.Warn("questions are not pinned to one pod: they go through the service proxy, to any ready one", attributes...)
}

func (n *notice) end(p *pinned) {
	if before := n.current.Load(); before != nil && n.current.CompareAndSwap(before, nil) {
		p.cluster.Logger.Info("questions are pinned to one pod again", slog.String("target", p.description()), slog.String("was", before.reason))
	}
}

// verbOf is what RBAC asks for.
func verbOf(method string) string {
	if method == http.MethodGet || method == http.MethodHead {
		return "get"
	}
	return "create"
}

// right is what is known of the right to ask pods with one verb.
type right struct {
	notice
	method string
	// denied is until when a denial is believed, in Unix nanoseconds; 0: there
	// was none.
	denied atomic.Int64
	// granted tells that the last question went through.
	granted atomic.Bool
}

// withheld tells whether not to try. When a denial is old one question does.
func (g *right) withheld() bool {
	until := g.denied.Load()
	if until == 0 {
		return false
	}
	now := time.Now()
	return now.UnixNano() < until || !g.denied.CompareAndSwap(until, now.Add(deniedFor).UnixNano())
}

func (g *right) deny(p *pinned) {
	g.denied.Store(time.Now().Add(deniedFor).UnixNano())
	g.granted.Store(false)
	g.begin(p, &trouble{kind: "denied", reason: "the gateway may not " + verbOf(g.method) + " pods/proxy in namespace " + p.namespace, method: g.method})
}

func (g *right) grant(p *pinned) {
	if !g.granted.Load() {
		g.granted.Store(true)
	}
	if g.denied.Load() != 0 {
		g.denied.Store(0)
		g.end(p)
	}
}
