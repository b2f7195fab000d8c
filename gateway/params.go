package gateway

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/promgate/promgate/gateway/promql"
)

// maxParameters bounds how many parameters one request may carry, those that
// are dropped included.
const maxParameters = 64

// Param is one parameter of an endpoint.
type Param struct {
	Name string
	// Multi lets the parameter be given several times, as match[] is. One
	// that is not Multi may be repeated only with the same value.
	Multi bool
	// Required has Check run also where the parameter is absent or empty.
	Required bool
	// Check says what is wrong with a value, as the whole message that the
	// client reads, and notes what later stages need. Nil: any text will do.
	Check func(p *Params, value string) error
}

// Params is the typed set of one request's parameters: the URL's and the form
// body's, merged, in the endpoint's own order.
type Params struct {
	endpoint *Endpoint
	values   [][]string // parallel to endpoint.Params
	singles  []string   // what values of single ones point into

	// tenancy and policy are those under which the parameters are read.
	tenancy *tenancy
	policy  *promql.Policy

	start, end, at time.Time
	step, lookback time.Duration
	query          *promql.Query
	// selectors are the match[] as they go upstream.
	selectors []string
	// What a filter of the answer does in place of the upstream.
	files      []string
	groupLimit int
	groupToken string
	metadata   promql.MetadataFilter
}

// parseParams merges the raw query of the URL and of the form body into the
// endpoint's parameters, and checks them against the environment's budget. What
// the endpoint does not know is dropped. The error is what the client reads.
func parseParams(e *Endpoint, t *tenancy, policy *promql.Policy, rawQuery, rawForm string) (*Params, error) {
	p := &Params{
		endpoint: e, values: make([][]string, len(e.Params)), singles: make([]string, len(e.Params)),
		tenancy: t, policy: policy,
	}
	seen := 0
	for _, raw := range [...]string{rawQuery, rawForm} {
		if err := p.add(raw, &seen); err != nil {
			return nil, err
		}
	}
	for i := range e.Params {
		param := &e.Params[i]
		if param.Check == nil {
			continue
		}
		values := p.values[i]
		if len(values) == 0 && param.Required {
			values = []string{""}
		}
		for _, v := range values {
			if err := param.Check(p, v); err != nil {
				return nil, err
			}
		}
	}
	if e.Check != nil {
		if err := e.Check(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Params) add(raw string, seen *int) error {
	if strings.IndexByte(raw, ';') >= 0 {
		return fmt.Errorf("the parameters hold a bare semicolon: separate parameters by & and write a semicolon as %%3B")
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if *seen++; *seen > maxParameters {
			return fmt.Errorf("more than %d parameters", maxParameters)
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return fmt.Errorf("a parameter name is not percent-encoded properly: %w", err)
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return fmt.Errorf("parameter %q is not percent-encoded properly: %w", name, err)
		}
		if err := p.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *Params) set(name, value string) error {
	for i := range p.endpoint.Params {
		param := &p.endpoint.Params[i]
		if param.Name != name {
			continue
		}
		switch have := p.values[i]; {
		case param.Multi:
			p.values[i] = append(have, value)
		case value == "": // as absent, which is how Prometheus reads it
		case len(have) == 0:
			p.singles[i] = value
			p.values[i] = p.singles[i : i+1 : i+1]
		case have[0] != value:
			return fmt.Errorf("parameter %q is given twice with different values", name)
		}
		return nil
	}
	return nil
}

// get returns the single value of a parameter, or "".
func (p *Params) get(name string) string {
	if v := p.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// all returns the values of a parameter.
func (p *Params) all(name string) []string {
	for i := range p.endpoint.Params {
		if p.endpoint.Params[i].Name == name {
			return p.values[i]
		}
	}
	return nil
}

// replace has the parameter carry other values than were sent.
func (p *Params) replace(name string, values ...string) {
	for i := range p.endpoint.Params {
		if p.endpoint.Params[i].Name == name {
			p.values[i] = values
		}
	}
}

// escape writes a value as it stands in a query. The expression's form is known.
func (p *Params) escape(v string) string {
	if p.query != nil && v == p.query.Text() {
		return p.query.Escaped()
	}
	return url.QueryEscape(v)
}

// encode writes the parameters as the query that goes upstream.
func (p *Params) encode() string {
	var b strings.Builder
	size := 0
	for i, values := range p.values {
		for _, v := range values {
			size += len(p.endpoint.escaped[i]) + len(v)*2 + 2
		}
	}
	b.Grow(size)
	for i, values := range p.values {
		for _, v := range values {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(p.endpoint.escaped[i])
			b.WriteByte('=')
			b.WriteString(p.escape(v))
		}
	}
	return b.String()
}
