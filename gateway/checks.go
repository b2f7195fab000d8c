package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/promgate/promgate/gateway/promql"
)

// The checks of parameters. They refuse what Prometheus' API would refuse, in
// its own words (web/api/v1/api.go, search.go), so that a mistake costs the
// upstream nothing and reads the same.

func invalidParam(name string, err error) error {
	return fmt.Errorf("invalid parameter %q: %w", name, err)
}

// queryIn makes the check of a query parameter.
func queryIn(parser *promql.Parser) func(*Params, string) error {
	check := bareQueryIn(parser)
	return func(p *Params, v string) error {
		err := check(p, v)
		var own *Error
		if err == nil || errors.As(err, &own) {
			return err
		}
		return invalidParam("query", err)
	}
}

// bareQueryIn is queryIn where Prometheus words the error without the
// parameter's name.
func bareQueryIn(parser *promql.Parser) func(*Params, string) error {
	return func(p *Params, v string) error {
		err := p.checkLength(v)
		if err == nil {
			p.query, err = parser.Query(p.policy, v)
		}
		return err
	}
}

// textIn is queryIn for endpoints that work on the text alone, which goes
// upstream as it is.
func textIn(parser *promql.Parser) func(*Params, string) error {
	check := queryIn(parser)
	return func(p *Params, v string) error {
		free := *p
		free.policy = nil
		return check(&free, v)
	}
}

// timeIn makes the check of a time parameter. With an optional one Prometheus
// words the error twice over.
func timeIn(name string, required bool, note func(p *Params) *time.Time) func(*Params, string) error {
	return func(p *Params, v string) error {
		t, err := parseTime(v)
		if err != nil {
			if !required {
				err = fmt.Errorf("invalid time value for '%s': %w", name, err)
			}
			return invalidParam(name, err)
		}
		if note != nil {
			*note(p) = t
		}
		return nil
	}
}

func noteStart(p *Params) *time.Time { return &p.start }
func noteEnd(p *Params) *time.Time   { return &p.end }
func noteAt(p *Params) *time.Time    { return &p.at }

func checkTimeout(_ *Params, v string) error {
	if _, err := parseDuration(v); err != nil {
		return invalidParam("timeout", err)
	}
	return nil
}

func checkLookback(p *Params, v string) (err error) {
	if p.lookback, err = parseDuration(v); err != nil {
		return fmt.Errorf("error parsing lookback delta duration: %w", err)
	}
	return nil
}

var checkRangeStart, checkRangeTime = timeIn("start", true, noteStart), timeIn("end", true, noteEnd)

// checkRangeEnd and checkStep look at what was given before them, in the order
// in which Prometheus does.
func checkRangeEnd(p *Params, v string) error {
	if err := checkRangeTime(p, v); err != nil {
		return err
	}
	if p.end.Before(p.start) {
		return invalidParam("end", errors.New("end timestamp must not be before start time"))
	}
	return nil
}

func checkStep(p *Params, v string) error {
	step, err := parseDuration(v)
	if err == nil && step <= 0 {
		err = errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer")
	}
	if err != nil {
		return invalidParam("step", err)
	}
	p.step = step
	return p.checkPoints()
}

func checkLimit(_ *Params, v string) error {
	n, err := strconv.Atoi(v)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return invalidParam("limit", err)
	}
	return nil
}

// numberIn makes the check of metadata's limits, which may be negative.
func numberIn(name string) func(*Params, string) error {
	return func(_ *Params, v string) error {
		if _, err := strconv.Atoi(v); err != nil {
			return fmt.Errorf("%s must be a number", name)
		}
		return nil
	}
}

// checkMatch checks all match[] of a request at once; it hangs on the endpoint.
func checkMatch(p *Params) error { return p.checkSelectors(true) }

func checkFederate(p *Params) error { return p.checkSelectors(false) }

func (p *Params) checkSelectors(narrow bool) error {
	match := p.all("match[]")
	err := p.checkLength(match...)
	if err == nil {
		p.selectors, err = promql.Selectors(p.policy, match, narrow)
	}
	return err
}

func checkSeries(p *Params) error {
	if len(p.all("match[]")) == 0 {
		return errors.New("no match[] parameter provided")
	}
	err := p.checkSelectors(true)
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return invalidParam("match[]", err)
}

func checkExemplars(p *Params) error {
	if !p.end.IsZero() && p.end.Before(p.start) {
		return errors.New("end timestamp must not be before start timestamp")
	}
	return nil
}

func checkRuleType(_ *Params, v string) error {
	if t := strings.ToLower(v); t != "alert" && t != "record" {
		return invalidParam("type", fmt.Errorf("not supported value %q", t))
	}
	return nil
}

func checkExcludeAlerts(_ *Params, v string) error {
	if _, err := strconv.ParseBool(strings.ToLower(v)); err != nil {
		return invalidParam("exclude_alerts", fmt.Errorf("error converting exclude_alerts: %w", err))
	}
	return nil
}

func checkGroupLimit(_ *Params, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		err = fmt.Errorf("group_limit needs to be a valid number: %w", err)
	case n <= 0:
		err = errors.New("group_limit needs to be greater than 0")
	default:
		return nil
	}
	return invalidParam("group_limit", err)
}

func checkRules(p *Params) error {
	if p.get("group_next_token") != "" && p.get("group_limit") == "" {
		return invalidParam("group_next_token", errors.New("group_limit needs to be present in order to paginate over the groups"))
	}
	// They are compared with the labels of rules, which need not carry what is
	// enforced: their answer is filtered.
	free := *p
	free.policy = nil
	return checkMatch(&free)
}

// wholeIn makes the check of a search parameter that is a whole number.
func wholeIn(name string, low, high int, wording string) func(*Params, string) error {
	return func(_ *Params, v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < low || n > high {
			return fmt.Errorf("invalid %s %q: must be %s", name, v, wording)
		}
		return nil
	}
}

func boolIn(name string) func(*Params, string) error {
	return func(_ *Params, v string) error {
		if _, err := strconv.ParseBool(v); err != nil {
			return fmt.Errorf("invalid %s %q: must be boolean", name, v)
		}
		return nil
	}
}

// searchTimeIn is timeIn for the search endpoints, which word the error once.
func searchTimeIn(name string, note func(p *Params) *time.Time) func(*Params, string) error {
	return func(p *Params, v string) error {
		t, err := parseTime(v)
		if err != nil {
			return fmt.Errorf("invalid time value for '%s': %w", name, err)
		}
		*note(p) = t
		return nil
	}
}

// maxSearchTerms is Prometheus' own bound.
const maxSearchTerms = 32

// checkSearch makes the check of a search endpoint's parameters together.
func checkSearch(endpoint string) func(*Params) error {
	return func(p *Params) error {
		if !p.start.IsZero() && !p.end.IsZero() && p.end.Before(p.start) {
			return errors.New("end timestamp must not be before start timestamp")
		}
		if err := checkMatch(p); err != nil {
			return err
		}
		terms := len(p.all("search[]"))
		if terms > maxSearchTerms {
			return fmt.Errorf("too many search[] terms: got %d, maximum is %d", terms, maxSearchTerms)
		}
		switch by, dir := p.get("sort_by"), p.get("sort_dir"); {
		case dir != "" && by == "":
			return errors.New("sort_dir is only valid when sort_by is set")
		case dir != "" && by == "score":
			return errors.New("sort_dir is not supported for sort_by=score")
		case dir != "" && dir != "asc" && dir != "dsc":
			return fmt.Errorf(`invalid sort_dir %q: must be "asc" or "dsc"`, dir)
		case by == "score" && terms == 0:
			return errors.New("sort_by=score requires search[] to be set")
		case by != "" && by != "alpha" && by != "score":
			return fmt.Errorf(`invalid sort_by %q for %s: must be "alpha" or "score"`, by, endpoint)
		}
		return nil
	}
}

func checkSearchLabel(_ *Params, v string) error {
	if v == "" {
		return errors.New(`missing required parameter "label"`)
	}
	return nil
}
