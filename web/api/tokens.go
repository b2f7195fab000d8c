package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/tokens"
)

const (
	maxDescription = 200
	maxLifetime    = 5 * 366 * 24 * time.Hour
	maxOverlap     = 31 * 24 * time.Hour
)

type tokenList struct {
	Tokens []tokenItem `json:"tokens"`
	Next   string      `json:"next,omitempty"`
}

type tokenItem struct {
	ID          string       `json:"id"`
	Description string       `json:"description"`
	Project     string       `json:"project"`
	Environment string       `json:"environment,omitempty"`
	State       tokens.State `json:"state"`
	CreatedAt   time.Time    `json:"createdAt"`
	CreatedBy   string       `json:"createdBy,omitempty"`
	ExpiresAt   time.Time    `json:"expiresAt"`
	RevokedAt   time.Time    `json:"revokedAt,omitzero"`
	LastUsedAt  time.Time    `json:"lastUsedAt,omitzero"`
	LastClient  string       `json:"lastClient,omitempty"`
	ReplacedBy  string       `json:"replacedBy,omitempty"`
}

// tokenSecret is the one answer that shows a token itself.
type tokenSecret struct {
	Token    tokenItem  `json:"token"`
	Secret   string     `json:"secret"`
	Replaced *tokenItem `json:"replaced,omitempty"`
}

var (
	errNotMaintainer = fault(http.StatusForbidden, "forbidden",
		"only maintainers of this project may see and manage its endpoint tokens: ask one of them, or ask to become one")
	errNoToken = fault(http.StatusNotFound, "not_found", "this project has no endpoint token of this id: it may have been removed")
)

// managed is the project of a call, if the caller may manage its tokens.
func (a *api) managed(ctx context.Context, c *gateway.Call) (*project, error) {
	p, err := a.openProject(ctx, c)
	if err != nil {
		return nil, err
	}
	if p.role != maintainer {
		return nil, errNotMaintainer
	}
	return p, nil
}

// records are those of the project's tokens, the newest first. A project that was
// made again under the same name has another identity, and none of the old one's.
func (a *api) records(ctx context.Context, p *project) ([]tokens.Record, error) {
	var all []tokens.Record
	seen := map[tokens.Scope]bool{}
	for _, e := range p.all {
		scope := tokens.Scope{Cluster: e.Project.Cluster, Project: p.name, ProjectUID: e.Project.UID}
		if seen[scope] {
			continue
		}
		seen[scope] = true
		part, err := a.Tokens.ListProject(ctx, scope)
		if err != nil {
			return nil, storeError(err)
		}
		all = append(all, part...)
	}
	// Newest first. Several clusters may each have a namespace of the name.
	slices.SortFunc(all, func(a, b tokens.Record) int { return cmp.Compare(newestFirst(a), newestFirst(b)) })
	return slices.CompactFunc(all, func(a, b tokens.Record) bool { return a.ID == b.ID }), nil
}

func (a *api) tokens(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	l, err := newListing(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	p, err := a.managed(ctx, c)
	if err != nil {
		return nil, err
	}
	records, err := a.records(ctx, p)
	if err != nil {
		return nil, err
	}
	part, next := page(l, records, newestFirst)
	items := make([]tokenItem, len(part))
	for i, r := range part {
		items[i] = a.tokenItem(r)
	}
	return reply(tokenList{items, next})
}

// newestFirst is the key of a token in lists. It is a place also once the token
// is gone: then the next page begins after where it was.
func newestFirst(r tokens.Record) string {
	return fmt.Sprintf("%019d-%s", math.MaxInt64-r.CreatedAt.UnixNano(), r.ID)
}

// tokenItem describes a token, with what is known of its use by now.
func (a *api) tokenItem(r tokens.Record) tokenItem {
	item := tokenItem{
		ID: r.ID, Description: r.Description, Project: r.Scope.Project, Environment: r.Scope.Environment,
		State: r.State(a.Now()), CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, ExpiresAt: r.ExpiresAt,
		RevokedAt: r.RevokedAt, LastUsedAt: r.LastUsedAt, ReplacedBy: r.ReplacedBy,
	}
	if now := a.Snapshot(); now != nil && now.Tokens[r.ID] != nil {
		// What the store does not know yet.
		if last := time.Unix(0, now.Tokens[r.ID].LastUsed.Load()).UTC(); last.After(item.LastUsedAt) && last.Unix() > 0 {
			item.LastUsedAt = last
		}
	}
	if a.Clients != nil && !item.LastUsedAt.IsZero() {
		item.LastClient = a.Clients.last(r.ID)
	}
	return item
}

func (a *api) token(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	_, r, err := a.managedToken(ctx, c)
	if err != nil {
		return nil, err
	}
	return reply(a.tokenItem(r))
}

// managedToken is the token of a call, if it is the project's.
func (a *api) managedToken(ctx context.Context, c *gateway.Call) (*project, tokens.Record, error) {
	p, err := a.managed(ctx, c)
	if err != nil {
		return nil, tokens.Record{}, err
	}
	records, err := a.records(ctx, p)
	if err != nil {
		return nil, tokens.Record{}, err
	}
	for _, r := range records {
		if r.ID == c.Names["token"] {
			return p, r, nil
		}
	}
	return nil, tokens.Record{}, errNoToken
}

func (a *api) createToken(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var body struct {
		Description     string `json:"description"`
		Environment     string `json:"environment"`
		LifetimeSeconds int64  `json:"lifetimeSeconds"`
	}
	p, err := a.managed(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := c.Body(&body); err != nil {
		return nil, err
	}
	draft := tokens.Draft{Description: strings.TrimSpace(body.Description), CreatedBy: by(c.Identity)}
	if problem := checkDescription(draft.Description); problem != "" {
		return nil, badData(problem)
	}
	if draft.Lifetime, err = seconds("lifetimeSeconds", body.LifetimeSeconds, time.Minute, maxLifetime); err != nil {
		return nil, err
	}
	if draft.Scope, err = p.scope(body.Environment); err != nil {
		return nil, err
	}
	record, secret, err := a.Tokens.Create(ctx, draft)
	if err != nil {
		return nil, storeError(err)
	}
	a.Logger.Info("endpoint token made", "token", record.ID, "project", p.name, "environment", body.Environment, "by", draft.CreatedBy)
	return &gateway.Reply{Status: http.StatusCreated, Body: tokenSecret{Token: a.tokenItem(record), Secret: secret}}, nil
}

// scope is that of a token for one environment, or for all.
func (p *project) scope(environment string) (tokens.Scope, error) {
	scope := tokens.Scope{Project: p.name, Environment: environment}
	opens := false
	for _, e := range p.all {
		switch {
		case environment != "" && e.Name != environment:
			continue
		case environment == "" && scope.ProjectUID != "" && scope.ProjectUID != e.Project.UID:
			return scope, fault(http.StatusConflict, "bad_data", fmt.Sprintf(
				"several clusters have a namespace %s, and each is a project of its own: make a token for one environment", p.name))
		}
		opens = opens || !e.Target.NoEndpointTokens
		scope.Cluster, scope.ProjectUID = e.Project.Cluster, e.Project.UID
		if environment != "" {
			scope.EnvironmentUID = e.UID
		}
	}
	switch {
	case scope.ProjectUID == "":
		return scope, badData("this project has no environment " + shorten(environment) + ": choose one of its environments, or leave it out for all")
	case !opens:
		return scope, fault(http.StatusConflict, "bad_data", "endpoint tokens are switched off where this token would be used: query with your own Kubernetes token")
	}
	return scope, nil
}

func (a *api) rotateToken(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var body struct {
		// OverlapSeconds has no default: none would end the old token unasked.
		OverlapSeconds *int64 `json:"overlapSeconds"`
	}
	p, old, err := a.managedToken(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := c.Body(&body); err != nil {
		return nil, err
	}
	if body.OverlapSeconds == nil {
		return nil, badData("overlapSeconds is missing: write for how many seconds the old token stays good, or 0")
	}
	overlap, err := seconds("overlapSeconds", *body.OverlapSeconds, 0, maxOverlap)
	if err != nil {
		return nil, err
	}
	if state := old.State(a.Now()); state != tokens.StateActive {
		return nil, rotatedNoMore(state)
	}
	next, secret, replaced, err := a.Tokens.Rotate(ctx, old.ID, tokens.Rotation{Overlap: overlap, By: by(c.Identity)})
	if err != nil {
		return nil, a.rotateError(ctx, old.ID, err)
	}
	a.Logger.Info("endpoint token rotated", "token", old.ID, "successor", next.ID, "project", p.name, "by", by(c.Identity))
	gone := a.tokenItem(replaced)
	return &gateway.Reply{Status: http.StatusCreated, Body: tokenSecret{a.tokenItem(next), secret, &gone}}, nil
}

func rotatedNoMore(state tokens.State) error {
	return fault(http.StatusConflict, "bad_data", fmt.Sprintf("this token is %s, and is rotated no more: make a new one", state))
}

// rotateError tells a store that cannot be reached from somebody else who has
// rotated or revoked the token meanwhile.
func (a *api) rotateError(ctx context.Context, id string, err error) error {
	switch now, lost := a.Tokens.Get(ctx, id); {
	case errors.Is(lost, tokens.ErrNotFound):
		return errNoToken
	case lost == nil && now.State(a.Now()) != tokens.StateActive:
		return rotatedNoMore(now.State(a.Now()))
	}
	return storeError(err)
}

func (a *api) revokeToken(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	p, r, err := a.managedToken(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := a.Tokens.Revoke(ctx, r.ID); err != nil && !errors.Is(err, tokens.ErrNotFound) {
		return nil, storeError(err)
	}
	a.Logger.Info("endpoint token revoked", "token", r.ID, "project", p.name, "by", by(c.Identity))
	if r.RevokedAt.IsZero() {
		r.RevokedAt = a.Now().UTC()
	}
	return reply(struct {
		Token tokenItem `json:"token"`
	}{a.tokenItem(r)})
}

// by is the caller as they stand in a record.
func by(id *auth.Identity) string { return id.Principal.LogValue().String() }

func storeError(err error) error {
	return &gateway.Error{
		Status: http.StatusServiceUnavailable, Type: "unavailable", Cause: err, RetryAfter: 5 * time.Second,
		Message: "the gateway cannot reach its endpoint tokens right now: try again in a moment; its log says why",
	}
}

func checkDescription(text string) string {
	switch {
	case text == "":
		return "description must say what the token is for, such as Grafana"
	case utf8.RuneCountInString(text) > maxDescription || !utf8.ValidString(text):
		return fmt.Sprintf("description must have at most %d characters", maxDescription)
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }):
		return "description must stand on one line"
	}
	return ""
}

// seconds reads a number of seconds between bounds.
func seconds(name string, n int64, least, most time.Duration) (time.Duration, error) {
	if n < int64(least/time.Second) || n > int64(most/time.Second) {
		return 0, badData(fmt.Sprintf("%s must be from %d to %d", name, int64(least/time.Second), int64(most/time.Second)))
	}
	return time.Duration(n) * time.Second, nil
}

func shorten(text string) string {
	if len(text) > 63 {
		text = strings.ToValidUTF8(text[:63], "") + "…"
	}
	return text
}
