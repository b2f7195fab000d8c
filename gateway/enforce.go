package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/promgate/promgate/gateway/cache"
	"github.com/promgate/promgate/gateway/promql"
)

// enforced is what a request asks, as it goes upstream: it carries what the
// environment enforces. Only the functions below make one, and nothing else
// of a request's parameters or body reaches the wire.
type enforced struct {
	query string
	// asked is what the client asked, in the endpoint's order: what is enforced may
	// leave to the gateway a part of it that the query then lacks.
	asked string
	// body is that of a remote read whose queries were changed; nil where it
	// passes as it came.
	body []byte
}

// rule says how an endpoint is enforced. The zero rule refuses: an endpoint has
// to say that it can be.
type rule struct {
	// params puts the policy into the parameters; nil refuses the endpoint
	// wherever something is enforced.
	params func(*Params, *promql.Policy)
	// filter takes out of a complete answer what is not the tenant's. Nil:
	// the parameters see to it.
	filter func(*Request, io.Reader) ([]byte, error)
}

// The rules of the endpoints. Where nothing is enforced none of them is asked.
var (
	// asItIs is for what tells nothing of anybody's metrics.
	asItIs = rule{params: func(*Params, *promql.Policy) {}}
	// byQuery sends the expression with the policy in each selector.
	byQuery = rule{params: func(p *Params, _ *promql.Policy) { p.replace("query", p.query.Text()) }}
	// bySelectors does so with each match[], and makes one where none was sent.
	bySelectors = rule{params: func(p *Params, policy *promql.Policy) {
		if len(p.selectors) == 0 {
			p.selectors = []string{policy.Selector()}
		}
		p.replace("match[]", p.selectors...)
	}}
	// byGivenSelectors makes none: without any, a federation is empty.
	byGivenSelectors = rule{params: func(p *Params, _ *promql.Policy) { p.replace("match[]", p.selectors...) }}
	// byBody is for remote read, whose body is changed when it is read.
	byBody = rule{params: func(*Params, *promql.Policy) {}}
	// filteredRules has groups named and counted by us: files and places in the
	// list would tell of others.
	filteredRules = rule{
		params: func(p *Params, _ *promql.Policy) {
			p.files, p.groupToken = p.all("file[]"), p.get("group_next_token")
			p.groupLimit, _ = strconv.Atoi(p.get("group_limit")) // checked; 0: all
			p.replace("file[]")
			p.replace("group_limit")
			p.replace("group_next_token")
		},
		filter: func(req *Request, r io.Reader) ([]byte, error) {
			return req.policy.FilterRules(r, promql.RuleFilter{Files: req.params.files, Limit: req.params.groupLimit, Token: req.params.groupToken}, maxFiltered)
		},
	}
	filteredAlerts = rule{
		params: func(*Params, *promql.Policy) {},
		filter: func(req *Request, r io.Reader) ([]byte, error) { return req.policy.FilterAlerts(r, maxFiltered) },
	}
	// filteredMetadata counts after filtering.
	filteredMetadata = rule{
		params: func(p *Params, _ *promql.Policy) {
			p.metadata.Limit = -1
			if n, err := strconv.Atoi(p.get("limit")); err == nil {
				p.metadata.Limit = n
			}
			p.metadata.LimitPerMetric, _ = strconv.Atoi(p.get("limit_per_metric")) // checked; 0: all
			p.replace("limit")
			p.replace("limit_per_metric")
		},
		filter: func(req *Request, r io.Reader) ([]byte, error) {
			return promql.FilterMetadata(r, req.params.metadata, maxFiltered)
		},
	}
)

// enforce makes what goes upstream of checked parameters.
func (e *Endpoint) enforce(p *Params, policy *promql.Policy) (enforced, error) {
	var asked string
	if policy != nil {
		if e.rule.params == nil {
			return enforced{}, &Error{
				Status: http.StatusNotFound, Type: typeNotFound,
				Message: "this endpoint is not there where labels are enforced, as they are in this environment",
			}
		}
		asked = p.encode()
		e.rule.params(p, policy)
	}
	query := p.encode()
	if policy == nil {
		asked = query
	}
	return enforced{query: query, asked: asked}, nil
}

// between is the same question for other steps of a range query.
func (p *Params) between(steps cache.Span) enforced {
	q := *p
	q.values = slices.Clone(p.values)
	q.replace("start", formatMillis(steps.From))
	q.replace("end", formatMillis(steps.To))
	return enforced{query: q.encode()}
}

// everythingOf asks for all that the tenant has, from a time on.
func everythingOf(policy *promql.Policy, start time.Time) enforced {
	return enforced{query: url.Values{
		"match[]": {policy.Selector()},
		"start":   {strconv.FormatInt(start.Unix(), 10)},
	}.Encode()}
}

// enforceRead has the queries of a remote read's body carry the policy. The body
// is then read whole, before anything goes upstream.
func (q *enforced) enforceRead(req *Request, limit int64) error {
	compressed, err := io.ReadAll(req.body)
	if err != nil {
		return bodyError(err, limit)
	}
	read, err := req.policy.RemoteRead(compressed, int(limit))
	var bad *promql.RemoteReadError
	switch {
	case errors.As(err, &bad) && bad.TooLarge:
		return &Error{Status: http.StatusRequestEntityTooLarge, Type: typeBadData, Message: bad.Error()}
	case errors.As(err, &bad):
		return badData(bad.Error())
	case err != nil:
		return err
	}
	// Only what is read here is known; what passes unread is the server's to bound.
	// The times are the client's, and as far apart as numbers can be.
	if span := uint64(read.End) - uint64(read.Start); read.End > read.Start && span > uint64(req.tenancy.MaxRange.Milliseconds()) {
		return rangeTooLong(time.Duration(min(span, math.MaxInt64/uint64(time.Millisecond)))*time.Millisecond, req.tenancy)
	}
	q.body = read.Body
	return nil
}

// filtered tells that the answer is read whole and filtered.
func (req *Request) filtered() bool { return req.policy != nil && req.endpoint.rule.filter != nil }

// paramsError explains parameters that are refused.
func paramsError(err error) error {
	var own *Error
	var not *promql.RefusedError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, promql.ErrEnforcement):
		return &Error{
			Status: http.StatusInternalServerError, Type: typeInternal, Cause: err,
			Message: "the gateway could not enforce this environment's labels on the query and did not send it: tell the gateway's operator",
		}
	case errors.As(err, &not) && not.Limit != "":
		return &Error{Status: http.StatusUnprocessableEntity, Type: typeExecution, Limit: not.Limit, Message: not.Message, Quotes: true}
	}
	return &Error{Status: http.StatusBadRequest, Type: typeBadData, Message: err.Error(), Quotes: true}
}

// filtered reads the whole answer and keeps the tenant's part of it.
func filtered(req *Request, answer *Response) (*Response, error) {
	bound := &boundedReader{r: answer.body, left: req.tenancy.MaxResponseBytes}
	body, err := req.endpoint.rule.filter(req, bound)
	var bad *promql.BadTokenError
	switch {
	case bound.exceeded || errors.Is(err, promql.ErrTooLarge):
		return nil, tooLongAnswer(req.tenancy)
	case errors.As(err, &bad):
		return nil, badData(bad.Error())
	case isLate(err):
		return nil, timeoutError(err)
	case err != nil:
		return nil, notPrometheus(req, fmt.Errorf("the answer cannot be filtered: %w", err))
	}
	answer.body, answer.length = bytes.NewReader(body), int64(len(body))
	return answer, nil
}

// boundedReader fails after a number of bytes, and notes that it did.
type boundedReader struct {
	r        io.Reader
	left     int64
	exceeded bool
}

var errTooLong = errors.New("the answer is longer than its limit")

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// What ends here exactly is within its limit.
		n, err := b.r.Read(make([]byte, 1))
		if n > 0 {
			b.exceeded, err = true, errTooLong
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
