// Command benchproxy measures what one request costs a built promgate, beside
// a plain nginx proxy in the same run: CPU time of the proxy's process for each
// request, and throughput. Everything listens on loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
)

// Sizes of the two answers, in bytes: an instant query's and a range query's.
const (
	smallBody = 1_000
	largeBody = 212_000
)

func main() {
	promgate := flag.String("promgate", "bin/promgate", "built promgate binary")
	nginx := flag.String("nginx", "nginx", "nginx binary; the distribution's package has it")
	connections := flag.Int("connections", 8, "client connections")
	seconds := flag.Duration("time", 4*time.Second, "time of one measurement")
	rounds := flag.Int("rounds", 5, "measurements of each case; the median is printed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := bench{connections: *connections, time: *seconds, rounds: *rounds}
	if err := b.run(ctx, *promgate, *nginx); err != nil {
		fmt.Fprintln(os.Stderr, "benchproxy:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	connections int
	time        time.Duration
	rounds      int
}

// proxy is a server under measurement.
type proxy struct {
	name string
	pids []int
	// request is sent as it is, for each of the two sizes.
	request [2]string
	addr    string
}

// figures are one measurement.
type figures struct {
	micros     float64 // CPU time of the proxy for each request
	throughput float64 // requests a second
}

func (b *bench) run(ctx context.Context, promgateBinary, nginxBinary string) error {
	dir, err := os.MkdirTemp("", "benchproxy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	upstream, err := startUpstream()
	if err != nil {
		return err
	}
	defer upstream.Close()
	gate, stopGate, err := startPromgate(ctx, dir, promgateBinary, upstream.Addr().String())
	if err != nil {
		return err
	}
	defer stopGate()
	proxies := []*proxy{gate}
	if _, err := exec.LookPath(nginxBinary); err != nil {
		fmt.Fprintln(os.Stderr, "nginx is not installed: promgate is measured alone. Debian: apt-get install nginx-light")
	} else {
		plain, stopPlain, err := startNginx(ctx, dir, nginxBinary, upstream.Addr().String())
		if err != nil {
			return err
		}
		defer stopPlain()
		proxies = append(proxies, plain)
	}
	return b.measureAll(ctx, proxies)
}

func (b *bench) measureAll(ctx context.Context, proxies []*proxy) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "answer\tproxy\tCPU a request\trequests/s\t")
	for size, name := range []string{"1 kB", "212 kB"} {
		got := make([][]figures, len(proxies))
		for range b.rounds {
			// In turn, so that a machine that slows down slows all of them.
			for i, p := range proxies {
				f, err := b.measure(ctx, p, size)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, name, err)
				}
				got[i] = append(got[i], f)
			}
		}
		for i, p := range proxies {
			fmt.Fprintf(w, "%s\t%s\t%.1f µs\t%.0f\t\n", name, p.name,
				median(got[i], func(f figures) float64 { return f.micros }),
				median(got[i], func(f figures) float64 { return f.throughput }))
		}
	}
	return w.Flush()
}

func median(all []figures, of func(figures) float64) float64 {
	values := make([]float64, len(all))
	for i, f := range all {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (b *bench) measure(ctx context.Context, p *proxy, size int) (figures, error) {
	before, err := process.CPUTime(p.pids...)
	if err != nil {
		return figures{}, err
	}
	started := time.Now()
	requests, err := load(ctx, p.addr, p.request[size], b.connections, b.time)
	if err != nil {
		return figures{}, err
	}
	elapsed := time.Since(started)
	after, err := process.CPUTime(p.pids...)
	if err != nil {
		return figures{}, err
	}
	return figures{
		micros:     float64((after - before).Microseconds()) / float64(requests),
		throughput: float64(requests) / elapsed.Seconds(),
	}, nil
}

// startUpstream serves the two answers to whoever asks.
func startUpstream() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	bodies := map[string]string{"small": body(smallBody), "large": body(largeBody)}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := bodies[r.URL.Query().Get("query")]
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = io.WriteString(w, answer) // a client that is gone is no matter
	})
	go func() { _ = (&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(l) }() // ends with the listener
	return l, nil
}

// body is a range result of about that many bytes.
func body(size int) string {
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"small"},"values":[`)
	for i := 0; b.Len() < size-40; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `[%d,"%d.%04d"]`, 1700000000+15*i, i%97, i*7919%10000)
	}
	b.WriteString(`]}]}}`)
	return b.String()
}
