package promql

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// RuleFilter narrows a list of rules.
type RuleFilter struct {
	// Files are the names by which the answer knows the groups' files; none:
	// those of all files.
	Files []string
	// Limit is the largest number of groups, and Token says where to go on.
	// 0 and "": all, from the start.
	Limit int
	Token string
}

// BadTokenError tells, in Prometheus' words (rules in web/api/v1/api.go), why
// there is no page at a token.
type BadTokenError struct{ reason string }

func (e *BadTokenError) Error() string {
	return `invalid parameter "group_next_token": ` + e.reason
}

// FilterRules reads an upstream's answer to api/v1/rules and returns the part of
// it that is the tenant's, made anew of what is known of rules, in at most
// maxOutput bytes. A rule is the tenant's when, for every enforced label, it
// carries one of its values, or every selector of its query does.
//
// The groups are counted, named and split into pages here: the upstream must
// get neither files nor limit nor token of the filter.
//
// The error is ErrTooLarge, a *BadTokenError, or tells what is wrong with the
// upstream's answer without quoting it.
func (p *Policy) FilterRules(r io.Reader, f RuleFilter, maxOutput int) ([]byte, error) {
	if f.Token != "" && f.Limit <= 0 {
		return nil, &BadTokenError{"group_limit needs to be present in order to paginate over the groups"}
	}
	page := rulePage{owner: owner{policy: p}, filter: f, found: f.Token == "", out: output{max: maxOutput}}
	page.out.text(`{"status":"success","data":{"groups":[`)
	hidden, err := readAnswer(r, func(a *answer) error {
		return a.onlyList("groups", func() error {
			g, err := decodeItem[ruleGroup](a)
			if err != nil {
				return err
			}
			return page.add(g)
		})
	})
	if err != nil {
		return nil, err
	}
	if !page.found {
		return nil, &BadTokenError{fmt.Sprintf("invalid group_next_token '%v'. were rule groups changed?", f.Token)}
	}
	end := "]}"
	if page.next != "" {
		end = `],"groupNextToken":"` + page.next + `"}`
	}
	return page.out.finish(end, hidden)
}

// ruleGroup is a RuleGroup of web/api/v1/api.go.
type ruleGroup struct {
	Name           string    `json:"name"`
	File           string    `json:"file"`
	Rules          []*rule   `json:"rules"`
	Interval       number    `json:"interval"`
	Limit          number    `json:"limit"`
	EvaluationTime number    `json:"evaluationTime"`
	LastEvaluation timestamp `json:"lastEvaluation"`
}

// rule is an AlertingRule of web/api/v1/api.go, or a RecordingRule, which has
// some of its fields.
type rule struct {
	State          string    `json:"state"`
	Name           string    `json:"name"`
	Query          string    `json:"query"`
	Duration       number    `json:"duration"`
	KeepFiringFor  number    `json:"keepFiringFor"`
	Labels         labelSet  `json:"labels"`
	Annotations    labelSet  `json:"annotations"`
	Alerts         []*alert  `json:"alerts"`
	Health         string    `json:"health"`
	LastError      string    `json:"lastError,omitempty"`
	EvaluationTime number    `json:"evaluationTime"`
	LastEvaluation timestamp `json:"lastEvaluation"`
	Type           string    `json:"type"`
}

type recordingRule struct {
	Name           string    `json:"name"`
	Query          string    `json:"query"`
	Labels         labelSet  `json:"labels"`
	Health         string    `json:"health"`
	LastError      string    `json:"lastError,omitempty"`
	EvaluationTime number    `json:"evaluationTime"`
	LastEvaluation timestamp `json:"lastEvaluation"`
	Type           string    `json:"type"`
}

// shownGroup is a group as the tenant sees it.
type shownGroup struct {
	Name           string    `json:"name"`
	File           string    `json:"file"`
	Rules          []any     `json:"rules"`
	Interval       number    `json:"interval"`
	Limit          number    `json:"limit"`
	EvaluationTime number    `json:"evaluationTime"`
	LastEvaluation timestamp `json:"lastEvaluation"`
}

// rulePage is the page of the tenant's groups that was asked for.
type rulePage struct {
	owner  owner
	filter RuleFilter
	out    output
	// found is whether the page has begun; next is the token of the one after it.
	found bool
	next  string
	// alike counts groups of the same file and name, which other products than
	// Prometheus may have: with one token for all, a page could lead to itself.
	alike map[[2]string]int
}

func (p *rulePage) add(g *ruleGroup) error {
	shown := shownGroup{
		Name: g.Name, File: p.owner.policy.fileName(g.File), Rules: []any{}, Interval: g.Interval, Limit: g.Limit,
		EvaluationTime: g.EvaluationTime, LastEvaluation: g.LastEvaluation.complete(),
	}
	for _, r := range g.Rules {
		if r == nil || r.Type != "alerting" && r.Type != "recording" || slices.Contains(r.Alerts, nil) {
			return errWrongType
		}
		if p.next == "" && p.owner.owns(r) {
			shown.Rules = append(shown.Rules, p.owner.shown(r))
		}
	}
	if len(shown.Rules) == 0 {
		return nil
	}
	var token string
	if p.filter.Limit > 0 {
		token = p.token(shown.File, shown.Name)
		p.found = p.found || token == p.filter.Token
	}
	if !p.found || len(p.filter.Files) > 0 && !slices.Contains(p.filter.Files, shown.File) {
		return nil
	}
	if p.filter.Limit > 0 && p.out.items == p.filter.Limit {
		p.next = token
		return nil
	}
	return p.out.item(shown)
}

// token says where a page begins, of nothing but what the tenant sees.
func (p *rulePage) token(file, name string) string {
	if p.alike == nil {
		p.alike = map[[2]string]int{}
	}
	key := [2]string{file, name}
	p.alike[key]++
	sum := digest(file, name, fmt.Sprint(p.alike[key]))
	return hex.EncodeToString(sum[:])
}

// fileName is what the tenant sees in place of a file's path, which may name
// what is others'. It stays the same as long as policy and path do.
func (p *Policy) fileName(path string) string {
	sum := digest(p.Key(), path)
	return "rules-" + hex.EncodeToString(sum[:6])
}

// digest is different for different lists of texts.
func digest(texts ...string) [sha256.Size]byte {
	var b []byte
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return sha256.Sum256(b)
}

// hiddenError stands for the error of a rule that reads what is others': it may
// quote their series.
const hiddenError = "the rule failed; its error may concern others and is not shown"

// shown is what the tenant sees of a rule of its own.
func (o *owner) shown(r *rule) any {
	if r.LastError != "" && !o.readsOwn(r) {
		r.LastError = hiddenError
	}
	r.Labels, r.Annotations, r.LastEvaluation = r.Labels.complete(), r.Annotations.complete(), r.LastEvaluation.complete()
	if r.Type == "recording" {
		return recordingRule{
			Name: r.Name, Query: r.Query, Labels: r.Labels, Health: r.Health, LastError: r.LastError,
			EvaluationTime: r.EvaluationTime, LastEvaluation: r.LastEvaluation, Type: r.Type,
		}
	}
	// With exclude_alerts Prometheus writes null, not [].
	r.Alerts = slices.DeleteFunc(r.Alerts, func(a *alert) bool { return !o.ownsAlert(r, a) })
	for _, a := range r.Alerts {
		a.complete()
	}
	return r
}
