package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
)

const (
	// gatherTime is how long a record of the access log may wait for others.
	gatherTime = 10 * time.Millisecond
	// gatherBytes are written without waiting any longer.
	gatherBytes = 32 << 10
)

// newLoggers makes the logger of the program, which writes each record at once,
// and that of the gateway, whose records about requests that went well are
// written several at a time: under load a system call for each would be a good
// part of what a small answer costs. Both keep their records in one order.
func newLoggers(w io.Writer, l config.Log, level *slog.LevelVar) (own, access *slog.Logger, out *gatherer) {
	level.Set(levelOf(l.Level))
	out = &gatherer{w: w}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(out, options)
	if l.Format == "text" {
		handler = slog.NewTextHandler(out, options)
	}
	prompt := func(from slog.Level) *slog.Logger { return slog.New(promptHandler{handler, out, from}) }
	return prompt(slog.LevelDebug), prompt(slog.LevelWarn), out
}

// promptHandler has records of a level or above written at once.
type promptHandler struct {
	slog.Handler
	out  *gatherer
	from slog.Level
}

// Handle handles the record.
func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= h.from {
		h.out.flush()
	}
	return err
}

// WithAttrs returns the handler with these attributes.
func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup returns the handler with this group.
func (h promptHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// gatherer writes what it is given within gatherTime.
type gatherer struct {
	w  io.Writer
	mu sync.Mutex
	// held is not written yet; timer is set while there is something.
	held  []byte
	timer *time.Timer
}

// Write takes whole records.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case len(g.held) > 0:
	case g.timer == nil:
		g.timer = time.AfterFunc(gatherTime, g.flush)
	default:
		g.timer.Reset(gatherTime)
	}
	g.held = append(g.held, p...)
	if len(g.held) >= gatherBytes {
		g.write()
	}
	return len(p), nil
}

// flush writes what is held.
func (g *gatherer) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) > 0 {
		g.write()
	}
}

// write needs g.mu.
func (g *gatherer) write() {
	g.timer.Stop()
	_, _ = g.w.Write(g.held) // there is nowhere to complain
	g.held = g.held[:0]
}
