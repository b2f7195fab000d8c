package gateway

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

var isolationCount = flag.Int("isolation.count", 3000, "requests of TestIsolation")

// Canaries tell whose data an answer holds: the path of the upstream, and there the
// tenant of its label, the caller of its credential, or open where neither is known.
var (
	canaryForm  = regexp.MustCompile(`canary_[a-z0-9]+_[a-z0-9]+`)
	tenantForm  = regexp.MustCompile(`tenant="([a-z0-9]+)"`)
	isolated    = []string{"red", "green", "blue"}
	isolatedUps = []string{"alpha", "beta"}
)

// witness answers with the canary of whom the question shows.
func witness(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(r.URL.Path, "/")[6][len("http:"):]
	path, _, _ = strings.Cut(path, ":")
	whose := "open"
	if m := tenantForm.FindStringSubmatch(r.URL.RawQuery + r.FormValue("query") + strings.Join(r.Form["match[]"], " ")); m != nil {
		whose = m[1]
	}
	if user, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer user-"); found {
		whose = user
	}
	canary := "canary_" + path + "_" + whose
	var body string
	switch at := r.URL.Path; {
	case strings.HasSuffix(at, "query_range"):
		body = matrixOf(r, `{"canary":"`+canary+`"}`)
	case strings.HasSuffix(at, "/query"):
		body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"canary":"` + canary + `"},"value":[1,"1"]}]}}`
	case strings.HasSuffix(at, "/series"):
		body = `{"status":"success","data":[{"canary":"` + canary + `"}]}`
	case strings.HasSuffix(at, "/labels"), strings.HasSuffix(at, "/values"):
		body = `{"status":"success","data":["` + canary + `"]}`
	default: // what is not selected by labels: everybody's
		var parts []string
		for _, tenant := range append(isolated, "open") {
			if whose != "open" {
				tenant = whose // a caller's own
			}
			name := "canary_" + path + "_" + tenant
			part := map[string]string{
				"metadata": `"` + name + `":[{"type":"gauge","help":"","unit":""}]`,
				"alerts":   `{"labels":{"tenant":"` + tenant + `","canary":"` + name + `"},"annotations":{},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"1e+00"}`,
				"rules": `{"name":"g","file":"f","rules":[{"name":"` + name + `","query":"up","labels":{"tenant":"` + tenant +
					`"},"health":"ok","evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z","type":"recording"}],"interval":1,"limit":0,"evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z"}`,
			}[at[strings.LastIndexByte(at, '/')+1:]]
			parts = append(parts, part)
			if whose != "open" {
				break
			}
		}
		body = map[string]string{"metadata": `{%s}`, "alerts": `{"alerts":[%s]}`, "rules": `{"groups":[%s]}`}[at[strings.LastIndexByte(at, '/')+1:]]
		body = `{"status":"success","data":` + fmt.Sprintf(body, strings.Join(parts, ",")) + `}`
	}
	answerJSON(http.StatusOK, body)(w, r)
}

// asker is a principal, the environment that it may query, and whose data that holds.
type asker struct {
	token, base, canary string
	open                bool // sees everybody's on its upstream, where nothing is selected
}

// isolation makes 50 principals: of three projects, each with an environment for each
// of its tenants and one without enforcement, on two upstreams; and callers who are
// asked with their own credentials, on the same upstreams.
func isolation(t *testing.T) (*harness, []asker) {
	h := newUsersKeeping(t)
	h.manualClock()
	h.up.answerWith(witness)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	var all []*routing.Environment
	var askers []asker
	known := newStubAuth()
	add := func(project *routing.Project, up, name string, edit func(*routing.Environment)) {
		target := h.up.target("/api/v1/namespaces/n/services/http:"+up+":web/proxy", transport)
		e := &routing.Environment{Project: project, Name: name, UID: project.UID + name, Target: target}
		edit(e)
		all = append(all, e)
	}
	grant := func(p *routing.Project, name, up, whose string, many int) {
		for i := range many {
			token := fmt.Sprintf("token-%s-%s-%d", p.Name, name, i)
			known[token] = &auth.Identity{
				Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: token},
				Grants:    []auth.Grant{{ProjectUID: p.UID, EnvironmentUID: p.UID + name}},
			}
			askers = append(askers, asker{token, "/projects/" + p.Name + "/environments/" + name + "/", "canary_" + up + "_" + whose, whose == "open"})
		}
	}
	for i, name := range []string{"one", "two", "three"} {
		project := &routing.Project{Name: name, UID: "uid-" + name}
		for j, up := range isolatedUps {
			add(project, up, up+"-open", func(*routing.Environment) {})
			grant(project, up+"-open", up, "open", 1+j)
			tenant := isolated[(i+j)%3]
			add(project, up, up+"-tenant", func(e *routing.Environment) { e.Enforce = map[string][]string{"tenant": {tenant}} })
			grant(project, up+"-tenant", up, tenant, 4)
		}
	}
	project := &routing.Project{Name: "users", UID: "uid-users"}
	for _, up := range isolatedUps {
		add(project, up, up, func(e *routing.Environment) {
			e.Target.Caller, e.Target.NoEndpointTokens, e.Target.Transport = transport, true, failing{t}
		})
		for i := range 9 {
			user := fmt.Sprintf("u%d", i)
			askers = append(askers, asker{"user-" + user, "/projects/users/environments/" + up + "/", "canary_" + up + "_" + user, false})
		}
	}
	h.gateway.auth = auth.Union{known, h.gateway.auth[1]}
	h.setEnvironments(all...)
	return h, askers
}

// TestIsolation: whatever is kept and shared, no answer holds what is another's, and
// much is kept and shared.
func TestIsolation(t *testing.T) {
	h, askers := isolation(t)
	clock := int64(1767225600)
	var outcomes sync.Map
	var next, wrong atomic.Int64
	var all sync.WaitGroup
	for worker := range 16 {
		random := rand.New(rand.NewPCG(uint64(worker), 11))
		all.Go(func() {
			for n := next.Add(1); n <= int64(*isolationCount) && wrong.Load() < 10; n = next.Add(1) {
				a := askers[random.IntN(len(askers))]
				end := clock - 600*random.Int64N(8)
				endpoints := []string{
					fmt.Sprintf("query_range?query=up&step=60&start=%d&end=%d", end-3600*(1+random.Int64N(5)), end),
					fmt.Sprintf("query_range?query=up&step=60&start=%d&end=%d", end-7200, end), "query?query=up",
					"labels", "label/canary/values", "series?match[]=up", "metadata", "rules", "alerts",
				}
				path := endpoints[random.IntN(len(endpoints))]
				r := h.request(http.MethodGet, a.base+"api/v1/"+path, "")
				r.Header.Set("Authorization", "Bearer "+a.token)
				got := h.do(r)
				if why := a.judge(path, got); why != "" {
					wrong.Add(1)
					t.Errorf("%s asked %s%s: %s", a.token, a.base, path, why)
				}
				name, _, _ := strings.Cut(path, "?")
				count, _ := outcomes.LoadOrStore(name+" "+got.header.Get(outcomeHeader), new(atomic.Int64))
				count.(*atomic.Int64).Add(1)
			}
		})
	}
	all.Wait()
	share := func(endpoint string, kept ...string) float64 {
		var good, sum float64
		outcomes.Range(func(key, value any) bool {
			name, outcome, _ := strings.Cut(key.(string), " ")
			if name == endpoint {
				sum += float64(value.(*atomic.Int64).Load())
				for _, k := range kept {
					if outcome == k {
						good += float64(value.(*atomic.Int64).Load())
					}
				}
			}
			return true
		})
		return good / sum
	}
	for endpoint, least := range map[string]float64{"query_range": 0.6, "labels": 0.4, "label/canary/values": 0.4, "series": 0.4, "metadata": 0.4} {
		if got := share(endpoint, "hit", "partial"); got < least {
			t.Errorf("of %s a share of %.2f was kept, want %.2f", endpoint, got, least)
		} else {
			t.Logf("of %s a share of %.2f was kept", endpoint, got)
		}
	}
	h.wantNothingLeft()
}

// judge says what is wrong with an answer; empty: nothing.
func (a asker) judge(path string, got answer) string {
	if got.status != http.StatusOK || got.err != nil {
		return fmt.Sprintf("answer %d %.200s, %v", got.status, got.body, got.err)
	}
	own := false
	for _, canary := range canaryForm.FindAllString(got.body, -1) {
		selected := strings.HasPrefix(path, "query") || strings.HasPrefix(path, "label") || strings.HasPrefix(path, "series")
		same := strings.Split(canary, "_")[1] == strings.Split(a.canary, "_")[1]
		own = own || canary == a.canary
		if canary != a.canary && !(a.open && !selected && same) {
			return "it holds " + canary
		}
	}
	if !own {
		return fmt.Sprintf("it does not hold %s: %.200s", a.canary, got.body)
	}
	return ""
}

// newUsersKeeping is newUsers with places for all and a cache.
func newUsersKeeping(t *testing.T) *harness {

	return newHarness(t, keeping, func(o *Options) {
		o.Auth = append(o.Auth, new(silentUsers))
		o.Limits.Default.Queue = limit.Queue{Length: 1000, Timeout: patience}
	})
}

// silentUsers leaves all decisions to who is asked with the caller's token, and is
// safe for many at once.
type silentUsers struct{ stubUsers }

func (s *silentUsers) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	own := &stubUsers{undecided: true}
	return &auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: c.Secret()}, Access: &stubAccess{own, c.Secret()}}, nil
}
