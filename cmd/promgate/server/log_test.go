package server

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
)

// sink keeps what is written to it.
type sink struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// messages are those of the records that were written, in order.
func (s *sink) messages() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for line := range strings.Lines(s.text.String()) {
		_, rest, _ := strings.Cut(line, "msg=")
		message, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		all = append(all, message)
	}
	return strings.Join(all, " ")
}

func TestLoggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		own, access, log := newLoggers(&out, config.Log{Format: "text", Level: "info"}, &slog.LevelVar{})
		step := func(what, want string) {
			t.Helper()
			if got := out.messages(); got != want {
				t.Fatalf("%s: %q is written, not %q", what, got, want)
			}
		}
		access.Info("a")
		access.With("of", "one").WithGroup("g").Info("b")
		step("access log", "")
		own.With("of", "one").Info("c")
		step("a record of the program", "a b c")
		access.Info("d")
		access.Warn("e")
		step("a warning", "a b c d e")
		access.Debug("never")
		access.Info("f")
		synctest.Wait()
		step("at once", "a b c d e")
		<-time.After(gatherTime)
		synctest.Wait()
		step("a moment later", "a b c d e f")
		access.Info("g")
		log.flush()
		step("at the end", "a b c d e f g")
		access.Info("long", "text", strings.Repeat("x", gatherBytes))
		step("much at once", "a b c d e f g long")
		<-time.After(2 * gatherTime)
		synctest.Wait()
		step("nothing is left", "a b c d e f g long")
	})
}
