// Command benchproxy measures what one request costs a built promgate, beside
// the least that a Go program can do and a plain nginx proxy in the same run: CPU
// time of the proxy's process for each request, and throughput. Everything
// listens on loopback.
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
	"text/tabwriter"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
)

// sizes are the two answers.
var sizes = [...]struct {
	name  string
	bytes int
	// time is the parameter by which the upstream tells which one to give.
	time string
	// target is what promgate may cost at most, in terms of the bare forwarder.
	target float64
}{
	{"1 kB", 1_000, "1700000001", 1.25},
	{"212 kB", 212_000, "1700000002", 1.05},
}

// enforcementTarget is what the enforcing of a label may cost at most, in µs.
const enforcementTarget = 10

func main() {
	promgate := flag.String("promgate", "bin/promgate", "built promgate binary; or several, separated by commas, to compare: the first is held to the targets")
	nginx := flag.String("nginx", "nginx", "nginx binary; the distribution's package has it")
	connections := flag.Int("connections", 8, "client connections")
	seconds := flag.Duration("time", time.Second, "time of one measurement")
	rounds := flag.Int("rounds", 15, "measurements of each case, in turn; medians are printed")
	upstream := flag.String("forward-to", "", "run as the bare forwarder to this address, with --listen; benchproxy starts itself so")
	listen := flag.String("listen", "", "address of the bare forwarder")
	flag.Parse()
	if *upstream != "" {
		fmt.Fprintln(os.Stderr, "benchproxy:", forward(*listen, *upstream))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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
	request [len(sizes)]string
	addr    string
}

// figures are one measurement.
type figures struct {
	micros     float64 // CPU time of the proxy for each request
	throughput float64 // requests a second
}

func (b *bench) run(ctx context.Context, promgateBinaries, nginxBinary string) error {
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
	bare, stopBare, err := startBare(ctx, dir, upstream.Addr().String())
	if err != nil {
		return err
	}
	defer stopBare()
	proxies := []*proxy{bare}
	for _, binary := range strings.Split(promgateBinaries, ",") {
		gates, stopGates, err := startPromgate(ctx, dir, binary, upstream.Addr().String())
		if err != nil {
			return err
		}
		defer stopGates()
		proxies = append(proxies, gates...)
	}
	if _, err := exec.LookPath(nginxBinary); err != nil {
		fmt.Fprintln(os.Stderr, "nginx is not installed: it is left out. Debian: apt-get install nginx-light")
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

// measureAll has the bare forwarder first, and promgate without and with a label
// enforced after it.
func (b *bench) measureAll(ctx context.Context, proxies []*proxy) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "answer\tproxy\tCPU a request\tof bare\trequests/s\t")
	var targets strings.Builder
	for i, size := range sizes {
		rounds, err := b.measureSize(ctx, proxies, i)
		if err != nil {
			return err
		}
		// Figures are compared within their round: what else the machine does
		// weighs on all of a round alike, and on no two rounds.
		ofBare := func(i int) float64 {
			return median(rounds, func(r []figures) float64 { return r[i].micros / r[0].micros })
		}
		for i, p := range proxies {
			fmt.Fprintf(w, "%s\t%s\t%.1f µs\t%.2f\t%.0f\t\n", size.name, p.name,
				median(rounds, func(r []figures) float64 { return r[i].micros }), ofBare(i),
				median(rounds, func(r []figures) float64 { return r[i].throughput }))
		}
		fmt.Fprintf(&targets, "%s: promgate costs %.2f times the bare forwarder's CPU (target: %.2f at most), and a label enforced %+.1f µs (target: %+d µs at most)\n",
			size.name, ofBare(1), size.target, median(rounds, func(r []figures) float64 { return r[2].micros - r[1].micros }), enforcementTarget)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Print(targets.String())
	return err
}

// measureSize returns the figures of each round: one for each proxy, in order.
func (b *bench) measureSize(ctx context.Context, proxies []*proxy, size int) ([][]figures, error) {
	rounds := make([][]figures, b.rounds)
	for i := range rounds {
		rounds[i] = make([]figures, len(proxies))
		for j := range proxies {
			if i%2 == 1 { // back again, so that none always comes first
				j = len(proxies) - 1 - j
			}
			var err error
			if rounds[i][j], err = b.measure(ctx, proxies[j], size); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", proxies[j].name, sizes[size].name, err)
			}
		}
	}
	return rounds, nil
}

func median(rounds [][]figures, of func([]figures) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (b *bench) measure(ctx context.Context, p *proxy, size int) (figures, error) {
	// A process that stood still for a while costs more at first.
	if _, err := load(ctx, p.addr, p.request[size], b.connections, b.time/4); err != nil {
		return figures{}, err
	}
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
	bodies := map[string]string{}
	for _, size := range sizes {
		bodies[size.time] = body(size.bytes)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := bodies[r.URL.Query().Get("time")]
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
