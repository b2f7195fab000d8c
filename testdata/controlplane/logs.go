package main

import (
	"flag"
	"io"
	"os"
	"strconv"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// tailSize is how many bytes of log are kept in memory for the case that the start fails.
const tailSize = 64 << 10

// logs is where the servers' log lines go. At level 0 nothing is shown, because a healthy start logs errors too (objects
// that are not there yet); the last lines are kept and shown when the start fails.
type logs struct {
	out  io.Writer // nil: keep only the tail
	mu   sync.Mutex
	tail []byte
}

func newLogs(verbosity int) *logs {
	l := &logs{}
	if verbosity > 0 {
		l.out = os.Stderr
	}
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true",
		"v": strconv.Itoa(verbosity),
	} {
		// The names are klog's own and constant; a wrong one would be found by the first run.
		if err := fs.Set(name, value); err != nil {
			panic(err)
		}
	}
	klog.SetOutput(l)
	return l
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out != nil {
		return l.out.Write(p)
	}
	l.tail = append(l.tail, p...)
	if over := len(l.tail) - tailSize; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer.
func (l *logs) Sync() error { return nil }

// zap returns a logger for etcd, which brings its own kind of log.
func (l *logs) zap() *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), l, zapcore.WarnLevel))
}

// dump writes what was kept.
func (l *logs) dump(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = w.Write(l.tail)
}
