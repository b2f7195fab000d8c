// Package prometheus runs whole Prometheus servers inside one process: storage, scraping, rules, query engine and
// the web API of github.com/prometheus/prometheus, on a loopback port. The demonstration shows them and the tests of
// the gateway put known data into them.
package prometheus

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"os"
	"path"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/storage"
)

// Version is the release of the embedded Prometheus, as status/buildinfo answers it.
const Version = "3.15.0"

// SelfJob is the job under which a server scrapes itself.
const SelfJob = "prometheus"

// Appender takes samples, histograms and exemplars. It is Prometheus' own interface, so that every kind of sample it
// knows can be put in.
type Appender = storage.AppenderV2

// appendOptions carry the exemplars of a sample.
type appendOptions = storage.AppendV2Options

// Target is one address that the server scrapes under /metrics.
type Target struct {
	// Job is the scrape job; targets of equal Job share one scrape pool.
	Job string
	// Address is host:port.
	Address string
	// Labels are added to every series of the target. A label instance replaces the address.
	Labels map[string]string
}

// Metadata is what api/v1/metadata answers for one metric family.
type Metadata struct {
	Family string
	Type   model.MetricType
	Help   string
	Unit   string
}

// Options say how a server is started. The zero value is a server without data, targets and rules, on a free port,
// with its data in a temporary directory.
type Options struct {
	// Dir holds the data. Empty: a temporary directory that Close removes.
	Dir string
	// Addr is a loopback host:port; port 0 or an empty Addr takes a free port.
	Addr string
	// RoutePrefix is the path in front of every route, for instance "/prometheus". Empty: none.
	RoutePrefix string
	// ExternalLabels appear in federation, remote read and alerts.
	ExternalLabels map[string]string

	// Targets are scraped every ScrapeInterval (15 s if zero).
	Targets        []Target
	ScrapeInterval time.Duration
	// ScrapeSelf adds the server's own metrics as the job "prometheus".
	ScrapeSelf bool
	// SelfInstance is the instance of that job. Empty: the server's address.
	SelfInstance string

	// Rules is the content of a rule file, evaluated at once when the server starts and then every RuleInterval
	// (15 s if zero).
	Rules        string
	RuleInterval time.Duration

	// FrozenAt, if set, makes a server whose answers do not change: nothing is scraped, and the rules are evaluated
	// once, at this instant.
	FrozenAt time.Time
	// Metadata is answered by api/v1/metadata of a frozen server; otherwise what the scraped targets tell is.
	Metadata []Metadata

	// Backfill is called before anything is scraped or evaluated, unless Dir already holds data. Samples come in order
	// within each series, and none is more than twelve hours older than the first one appended.
	Backfill func(ctx context.Context, app Appender) error

	// Logger is silent if nil.
	Logger *slog.Logger
}

// complete fills in the defaults, and makes the temporary directory where none is given. The second result tells
// whether it did.
func (o Options) complete() (Options, bool, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.ScrapeInterval = cmp.Or(o.ScrapeInterval, 15*time.Second)
	o.RuleInterval = cmp.Or(o.RuleInterval, 15*time.Second)
	o.RoutePrefix = path.Clean("/" + o.RoutePrefix)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir != "" {
		return o, false, os.MkdirAll(o.Dir, 0o700)
	}
	dir, err := os.MkdirTemp("", "promgate-prometheus-")
	o.Dir = dir
	return o, true, err
}

// frozen reports whether the server neither scrapes nor evaluates by itself.
func (o Options) frozen() bool { return !o.FrozenAt.IsZero() }

// listen opens a loopback listener, and refuses every other address.
func listen(addr string) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !tcp.IP.IsLoopback() {
		return nil, &net.AddrError{Err: "the embedded Prometheus listens on loopback only: write 127.0.0.1:PORT", Addr: addr}
	}
	return net.ListenTCP("tcp", tcp)
}
