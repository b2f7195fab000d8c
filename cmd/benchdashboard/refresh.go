package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promgate/promgate/cmd/internal/process"
)

const (
	gzipped  = "gzip"
	identity = "identity"

	// atOnce is how many panels a browser asks for at the same time.
	atOnce = 6
)

// client asks Prometheus, or a gateway in front of it.
type client struct {
	base       string // URL, without the API's path
	token      string // empty: none
	prometheus int    // process id
	proxy      int    // process id; 0: there is none
}

// answer is one answer as it came, and what it is the answer to.
type answer struct {
	form, encoding string
	body           []byte
	cache          string // what the gateway says of its cache
}

// measurement is what the refreshes of one client have cost.
type measurement struct {
	who, encoding           string
	refreshes               []time.Duration
	proxyCPU, prometheusCPU time.Duration
	bytes                   int
	answers                 []answer
	// alone is Prometheus without the gateway; nil where that is this.
	alone *measurement
}

func (b *bench) measure(ctx context.Context, c *client, encoding string) (*measurement, error) {
	m := &measurement{who: "Prometheus", encoding: encoding}
	if c.proxy != 0 {
		m.who = "promgate"
	}
	connections := c.open()
	defer connections.CloseIdleConnections()
	before, err := c.cpu()
	if err != nil {
		return nil, err
	}
	end := firstEnd(time.Now())
	for i := range b.refreshes {
		forms := questions(panels[:b.panels], b.span, end.Add(time.Duration(i)*scrapeInterval))
		began := time.Now()
		answers, err := c.refresh(ctx, connections, forms, encoding)
		if err != nil {
			return nil, err
		}
		m.refreshes = append(m.refreshes, time.Since(began))
		m.answers = append(m.answers, answers...)
	}
	after, err := c.cpu()
	if err != nil {
		return nil, err
	}
	m.prometheusCPU, m.proxyCPU = after[0]-before[0], after[1]-before[1]
	for _, a := range m.answers {
		m.bytes += len(a.body)
	}
	if c.proxy == 0 {
		m.answers = nil // there is nothing to compare them with
	}
	return m, nil
}

// cpu is the CPU time so far of Prometheus, and of the proxy.
func (c *client) cpu() (used [2]time.Duration, err error) {
	if used[0], err = process.CPUTime(c.prometheus); err != nil || c.proxy == 0 {
		return used, err
	}
	used[1], err = process.CPUTime(c.proxy)
	return used, err
}

// open makes connections that stay, as Grafana's do.
func (c *client) open() *http.Client {
	return &http.Client{Transport: &http.Transport{
		// Bodies are read as they come.
		DisableCompression: true, MaxIdleConnsPerHost: atOnce, ReadBufferSize: 64 << 10,
	}}
}

// refresh asks for all panels, some at once.
func (c *client) refresh(ctx context.Context, connections *http.Client, forms []string, encoding string) ([]answer, error) {
	answers := make([]answer, len(forms))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, form := range forms {
		group.Go(func() (err error) {
			answers[i], err = c.ask(ctx, connections, form, encoding)
			return err
		})
	}
	return answers, group.Wait()
}

// ask posts one form. Any answer but 200 in the encoding that was asked for is
// an error.
func (c *client) ask(ctx context.Context, connections *http.Client, form, encoding string) (answer, error) {
	a := answer{form: form}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/query_range", strings.NewReader(form))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept-Encoding", encoding)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := connections.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return a, fmt.Errorf("%s: the answer breaks off: %w", form, err)
	}
	a.body, a.cache = body.Bytes(), response.Header.Get("X-Promgate-Cache")
	a.encoding = response.Header.Get("Content-Encoding")
	if a.encoding == "" {
		a.encoding = identity
	}
	if response.StatusCode != http.StatusOK || a.encoding != encoding {
		return a, fmt.Errorf("%s: %s, encoding %s instead of %s: %.500s", form, response.Status, a.encoding, encoding, a.body)
	}
	return a, nil
}

// text is the body without its encoding.
func (a *answer) text() ([]byte, error) {
	if a.encoding != gzipped {
		return a.body, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
