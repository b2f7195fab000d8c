// Command benchscale measures what many environments and many tokens cost the
// built promgate: the latency of a small query beside that of a gateway with few
// of both, in the same run, and the memory and the start of the large one.
// Everything listens on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// What is to be reached with 10,000 environments and 100,000 tokens.
const (
	targetRatio  = 1.1
	targetMemory = 300e6 // bytes
	targetStart  = 3 * time.Second
)

func main() {
	b := bench{few: size{projects: 1, environments: 10, tokens: 10}, many: size{projects: 500, environments: 20, tokens: 100_000}}
	promgate := flag.String("promgate", "bin/promgate", "built promgate binary")
	flag.IntVar(&b.many.tokens, "tokens", b.many.tokens, "token records of the large gateway")
	flag.IntVar(&b.rounds, "rounds", 7, "rounds in which both gateways are measured in turn")
	flag.IntVar(&b.requests, "requests", 4000, "requests to each of them in a round")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *promgate, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchscale:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	few, many        size
	rounds, requests int
}

// size is how much a gateway has.
type size struct {
	projects     int
	environments int // of each project
	tokens       int // of all
}

func (b *bench) run(ctx context.Context, binary string, out io.Writer) (err error) {
	if b.rounds < 1 || b.requests < 1 || b.many.tokens < b.few.tokens {
		return errors.New("there is at least one round of one request, and the large gateway has no fewer tokens")
	}
	dir, err := os.MkdirTemp("", "benchscale")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	upstream, err := startUpstream()
	if err != nil {
		return err
	}
	defer upstream.Close()
	few, err := makeGate(ctx, binary, filepath.Join(dir, "few"), upstream.Addr().String(), b.few)
	if err != nil {
		return err
	}
	many, err := makeGate(ctx, binary, filepath.Join(dir, "many"), upstream.Addr().String(), b.many)
	if err != nil {
		return err
	}
	for _, g := range []*gate{few, many} {
		if err := g.serve(ctx); err != nil {
			return err
		}
		defer g.stop()
	}
	if err := b.measure(few, many); err != nil {
		return err
	}
	return b.print(out, few, many)
}

// inTurn is how many requests one gateway gets before it is the other's turn, so
// that a machine that slows down slows both.
const inTurn = 50

// measure asks both in turn.
func (b *bench) measure(few, many *gate) error {
	for _, g := range []*gate{few, many} {
		first, err := g.ask(len(g.requests)) // each of its requests once
		if err != nil {
			return err
		}
		g.first = middle(first)
	}
	for range b.rounds {
		times := map[*gate][]time.Duration{}
		for asked := 0; asked < b.requests; asked += inTurn {
			for _, g := range []*gate{few, many} {
				some, err := g.ask(inTurn)
				if err != nil {
					return err
				}
				times[g] = append(times[g], some...)
			}
		}
		for g, all := range times {
			g.rounds = append(g.rounds, middle(all))
		}
	}
	return nil
}

func (b *bench) print(out io.Writer, few, many *gate) error {
	memory, err := many.peakMemory()
	if err != nil {
		return err
	}
	fewMemory, err := few.peakMemory()
	if err != nil {
		return err
	}
	for _, g := range []*gate{few, many} {
		fmt.Fprintf(out, "%6d environments, %6d tokens: median of a query %.1f µs (%.1f at the first use of a token)\n",
			g.size.projects*g.size.environments, g.size.tokens, micros(middle(g.rounds)), micros(g.first))
	}
	// Round by round: what slows the machine for a while slows both.
	ratios := make([]float64, len(few.rounds))
	for i := range ratios {
		ratios[i] = float64(many.rounds[i]) / float64(few.rounds[i])
	}
	ratio := middle(ratios)
	fmt.Fprintln(out, "\nTargets")
	line := func(reached bool, format string, args ...any) {
		mark := "reached"
		if !reached {
			mark = "MISSED "
		}
		fmt.Fprintf(out, "  %s  %s\n", mark, fmt.Sprintf(format, args...))
	}
	line(ratio <= targetRatio, "the median query takes %.3f of that with few (rounds: %.3f to %.3f), at most %.1f",
		ratio, slices.Min(ratios), slices.Max(ratios), targetRatio)
	line(memory < targetMemory, "memory %.0f MB at most so far (with few: %.0f MB), under %.0f MB", float64(memory)/1e6, float64(fewMemory)/1e6, targetMemory/1e6)
	line(many.server.StartTime <= targetStart, "ready after %.2f s (%.2f s of CPU), with few after %.2f s; at most %.0f s",
		many.server.StartTime.Seconds(), many.startCPU.Seconds(), few.server.StartTime.Seconds(), targetStart.Seconds())
	return nil
}

// middle is the median.
func middle[T int | float64 | time.Duration](all []T) T {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// startUpstream answers every question with one sample.
func startUpstream() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	const body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"shop"},"value":[1700000000,"1"]}]}}`
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body) // a client that is gone is no matter
	})
	go func() { _ = (&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(l) }() // ends with the listener
	return l, nil
}
