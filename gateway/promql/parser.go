package promql

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// everything parses all syntax that some upstream may have switched on: what is
// experimental is for the upstream to refuse, not for the gateway.
var everything = parser.NewParser(parser.Options{
	EnableExperimentalFunctions:  true,
	ExperimentalDurationExpr:     true,
	EnableExtendedRangeSelectors: true,
	EnableBinopFillModifiers:     true,
})

// Parser makes Queries, and remembers those that it made. The zero value is
// ready, and may be used by many at once.
type Parser struct{ known memo }

// Query is an expression that may go upstream. It is immutable.
type Query struct {
	policy *Policy
	// original is the user's text, text is what goes upstream.
	original, text string
	escaped        string // text as it stands in a URL's query
	valueType      parser.ValueType
	shape          shape
	timing         Timing
}

// Query parses an expression and has every selector in it carry what the policy
// enforces. The error is Prometheus' own, with positions in the given text; or
// a *RefusedError, where the expression cannot be enforced or could cost too much.
func (p *Parser) Query(policy *Policy, text string) (*Query, error) {
	key := memoKey{policy.Key(), text}
	if q := p.known.get(key); q != nil {
		return q, nil
	}
	if err := guard(text); err != nil {
		return nil, err
	}
	expr, err := everything.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	// Of a request, which is not to be kept whole.
	q := &Query{policy: policy, original: strings.Clone(text), valueType: expr.Type(), shape: shapeOf(expr), timing: timingOf(expr)}
	q.text = q.original
	if policy != nil {
		if q.text, err = policy.enforce(expr, len(text)+maxGrowth); err != nil {
			return nil, enforcementError(err)
		}
	}
	q.escaped = url.QueryEscape(q.text)
	key.text = q.original
	p.known.add(key, q)
	return q, nil
}

// Text is what goes upstream: the user's own text where nothing is enforced.
func (q *Query) Text() string { return q.text }

// Escaped is Text as it stands in the query of a URL.
func (q *Query) Escaped() string { return q.escaped }

// CheckRange tells, in Prometheus' words, why the expression is none for a range
// query, which takes an instant vector or a scalar alone.
func (q *Query) CheckRange() error {
	if q.valueType != parser.ValueTypeVector && q.valueType != parser.ValueTypeScalar {
		return fmt.Errorf("invalid expression type %q for range query, must be Scalar or instant Vector", parser.DocumentedType(q.valueType))
	}
	return nil
}

// Span is when a query is evaluated: from Start to End, both included, each
// Step. A Step of 0 is one evaluation.
type Span struct {
	Start, End time.Time
	Step       time.Duration
}

// Cost is what a query asks of its upstream, as far as its text tells.
type Cost struct {
	// Lookback is how far before the span's start the oldest sample may lie
	// that is read, beyond the upstream's own lookback delta.
	Lookback time.Duration
	// Evaluations are the points times the selectors, those of subqueries
	// included; math.MaxInt64 where there are more than can be counted.
	Evaluations int64
}

// Cost is what the query costs over a span.
func (q *Query) Cost(s Span) Cost { return q.shape.cost(s) }

// RefusedError tells why a text is not sent upstream, although it may parse.
type RefusedError struct {
	// Limit names the limit that it exceeds; empty where it cannot be enforced.
	Limit string
	// Message is a sentence for the user, which may quote the expression.
	Message string
}

func (e *RefusedError) Error() string { return e.Message }

// Selectors parses the match[] parameters of one request and has each carry what
// the policy enforces; where that is nothing they stay as they are. narrow has
// each need one matcher that does not match the empty string, as Prometheus has
// it on some endpoints. Errors are as those of Query.
func Selectors(policy *Policy, selectors []string, narrow bool) ([]string, error) {
	if err := guard(selectors...); err != nil {
		return nil, err
	}
	sets, err := everything.ParseMetricSelectors(selectors)
	if err != nil {
		return nil, err
	}
	if narrow {
		for _, set := range sets {
			if !isNarrow(set) {
				return nil, errors.New("match[] must contain at least one non-empty matcher")
			}
		}
	}
	if policy == nil {
		return selectors, nil
	}
	texts, err := policy.enforceSelectors(sets)
	return texts, enforcementError(err)
}

// ErrEnforcement means that an expression could not be enforced, although it
// should have been: a fault of the gateway.
var ErrEnforcement = errors.New("enforcement failed")

// enforcementError marks what is not a refusal as a fault.
func enforcementError(err error) error {
	var refused *RefusedError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrEnforcement, err)
}
