package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/gateway"
)

// canary looks for what others have in every answer.
type canary struct {
	g      *running
	direct string // the shared server
	silent string // a server with no data at all, which says nothing but what it was asked
	open   *viewer
	found  map[string]bool
	asked  int
	echoes int
}

// TestTenantsCanary: no answer under enforcement has a byte of what is others', while the same questions find all of it where nothing
// is enforced.
func TestTenantsCanary(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second)
	target := scraped(t)
	shared := tenantServer(t, at, keepAll, experiments, strings.ReplaceAll(tenantScrape, "ADDRESS", `"`+target+`"`), tenantRules)
	viewers := tenantViewers()
	c := &canary{direct: shared, silent: tenantServer(t, at, keepNothing, experiments, "", nil), found: map[string]bool{}}
	c.g, c.open = tenantGateway(t, shared, viewers...)
	c.awaitAll(t)

	pages, tokens := rulePages(t, shared, "")
	questions := canaryQuestions(at, pages, tokens)
	for _, e := range gateway.Endpoints() {
		if len(questions[e.Name]) == 0 {
			t.Errorf("the endpoint %s is asked nothing", e.Name)
		}
		t.Run(e.Name, func(t *testing.T) {
			for i, q := range questions[e.Name] {
				c.ask(t, e, q, viewers, []string{"gzip", "identity"}[i%2])
			}
			for _, text := range finds(e) {
				if !c.found[e.Name+" "+text] {
					t.Errorf("where nothing is enforced no answer has %q", text)
				}
			}
		})
	}
	t.Logf("%d answers under enforcement, of which %d only quote the question", c.asked, c.echoes)
	for _, v := range viewers {
		t.Run("exactly/"+v.project, func(t *testing.T) { c.exactly(t, v) })
	}
}

// awaitAll waits until rules, alerts and metadata of all tenants are there.
func (c *canary) awaitAll(t testing.TB) {
	t.Helper()
	for path, texts := range map[string][]string{
		"rules": {"canary:fails", "CanarySecondUp", "found duplicate series", "mixed:fails"},
		"alerts": {
			"CanaryUp", "CanaryOther", "ShopmarkUp", "ShopmarkPending", "BillingmarkUp", "BillingmarkPending", "Templated", "usmark-canary-0:80 of", "CanarySecondPending",
		},
		"metadata": {"Not a family", "shopmark_om", "shared_scraped_total"},
		"series?match[]={__name__=~\"shopmark_om|canary_scraped|canary:rate|ALERTS\"}": {"shopmark_om", "canary_scraped", "canary:rate", "CanaryUp"},
	} {
		eventually(t, func() error {
			a := ask(get(c.direct + "/api/v1/" + path))
			if strings.Contains(a.body, `"health":"unknown"`) {
				return fmt.Errorf("not yet evaluated: %s", a)
			}
			for _, text := range texts {
				if !strings.Contains(a.body, text) {
					return fmt.Errorf("no %s yet: %s", text, a)
				}
			}
			return nil
		})
	}
}

// ask asks one question of all.
func (c *canary) ask(t *testing.T, e *gateway.Endpoint, q question, viewers []*viewer, encoding string) {
	methods := slices.Compact(slices.Sorted(slices.Values(append([]string{http.MethodGet, http.MethodPost}, e.Methods...))))
	for _, method := range methods {
		a, head, body := hear(with(q.request(e, c.open.base(c.g), method, encoding), c.open.secret))
		check(t, a.err)
		for _, text := range finds(e) {
			if strings.Contains(head+body, text) {
				c.found[e.Name+" "+text] = true
			}
		}
		for _, v := range viewers {
			a, head, body := hear(with(q.request(e, v.base(c.g), method, encoding), v.secret))
			c.asked++
			if err := cmp.Or(a.err, c.leak(e, q, v, a, head, body)); err != nil {
				t.Errorf("%s is asked %s %s %s %q\nand answers %.1200s: %v", v.project, method, q.name, q.path, q.params, a, err)
			}
		}
	}
}

// finds are what the questions of an endpoint find where nothing is enforced: something of each owner, and much of the canary.
func finds(e *gateway.Endpoint) []string {
	texts := canaryFinds[e.Name]
	for _, o := range owners {
		if len(texts) > 0 {
			texts = append(slices.Clone(texts), o.mark)
		}
	}
	return texts
}

// leak tells what an answer says of others. What it says must be said by a server that has no data at all, too, and then in words of
// the question.
func (c *canary) leak(e *gateway.Endpoint, q question, v *viewer, a answer, head, body string) error {
	head, body = strings.ToLower(head), strings.ToLower(body)
	silent := func() answer { return ask(q.request(e, c.silent, directMethod(e, e.Methods[0]), "identity")) }
	if a.status >= 500 && said(a) != said(silent()) {
		return fmt.Errorf("which a server without data does not: %s", silent())
	}
	for _, mark := range v.hidden {
		if strings.Contains(head, mark) {
			return fmt.Errorf("%s in its header", mark)
		}
		if !strings.Contains(body, mark) {
			continue
		}
		question := strings.ToLower(q.path + " " + fmt.Sprint(q.form()) + " " + string(q.body))
		for _, word := range regexp.MustCompile(`[\w.:-]*`+mark+`[\w.:-]*`).FindAllString(body, -1) {
			if !strings.Contains(question, word) {
				return fmt.Errorf("%s, which is not in the question", word)
			}
		}
		if said(silent()) != said(a) {
			return fmt.Errorf("%s, which a server without data does not say: %s", mark, silent())
		}
		c.echoes++
	}
	return nil
}

// groupsPage is an answer of api/v1/rules.
type groupsPage struct {
	Data struct {
		Groups []struct {
			Name, File string
			Rules      []struct{ Name, LastError string }
		}
		GroupNextToken string
	}
}

// rulePages walks through all groups, one a page, and returns them, and each page's token.
func rulePages(t testing.TB, base, secret string) (pages []groupsPage, tokens []string) {
	t.Helper()
	for next := ""; ; next = "&group_next_token=" + tokens[len(tokens)-1] {
		var page groupsPage
		must(t, decode(ask(with(get(base+"/api/v1/rules?group_limit=1"+next), secret)), &page))
		if len(page.Data.Groups) != 1 || len(pages) > 20 {
			t.Fatalf("page %d is %v", len(pages), page)
		}
		pages = append(pages, page)
		if page.Data.GroupNextToken == "" {
			return pages, tokens
		}
		tokens = append(tokens, page.Data.GroupNextToken)
	}
}

// exactly holds that a tenant sees all of its rules, alerts and metadata, and no more.
func (c *canary) exactly(t *testing.T, v *viewer) {
	var groups, alerts, families []string
	files := map[string]bool{}
	pages, tokens := rulePages(t, v.base(c.g), v.secret)
	for _, page := range pages {
		group := page.Data.Groups[0]
		line := group.Name
		for _, r := range group.Rules {
			line += " " + r.Name
			if r.Name == "mixed:fails" && !strings.Contains(r.LastError, "is not shown") || strings.HasSuffix(r.Name, "mark:fails") && !strings.Contains(r.LastError, "mark-0:80") {
				t.Errorf("%s failed for: %s", r.Name, r.LastError)
			}
		}
		groups, files[group.File] = append(groups, line), true
		one := ask(with(get(v.base(c.g)+"/api/v1/rules?file[]="+group.File), v.secret))
		check(t, wantStatus(one, http.StatusOK))
		if !strings.Contains(one.body, `"name":"`+group.Name+`"`) {
			t.Errorf("%s is not in %s: %s", group.Name, group.File, one)
		}
	}
	direct, theirs := rulePages(t, c.direct, "")
	for _, token := range tokens {
		if slices.Contains(theirs, token) {
			t.Error("a page has the token of the server's own")
		}
	}
	for _, page := range direct {
		if files[page.Data.Groups[0].File] {
			t.Errorf("the file %s is named", page.Data.Groups[0].File)
		}
	}
	var list struct {
		Data struct {
			Alerts []struct{ Labels map[string]string }
		}
	}
	must(t, decode(ask(with(get(v.base(c.g)+"/api/v1/alerts"), v.secret)), &list))
	for _, a := range list.Data.Alerts {
		alerts = append(alerts, a.Labels["alertname"]+" "+a.Labels["instance"])
	}
	var metadata struct{ Data map[string]any }
	must(t, decode(ask(with(get(v.base(c.g)+"/api/v1/metadata"), v.secret)), &metadata))
	families = slices.Sorted(maps.Keys(metadata.Data))
	slices.Sort(groups)
	slices.Sort(alerts)
	for _, is := range []struct {
		what      string
		got, want []string
	}{{"groups", groups, slices.Sorted(slices.Values(v.groups))}, {"alerts", alerts, v.alerts}, {"families", families, v.families}} {
		if !slices.Equal(is.got, is.want) {
			t.Errorf("%s are %q, want %q", is.what, is.got, is.want)
		}
	}
}

// TestTenantsSeeTheirs: what a tenant is answered is what a server answers that has nothing but the tenant's data.
func TestTenantsSeeTheirs(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second)
	shared := tenantServer(t, at, keepAll, experiments, "", nil)
	viewers := tenantViewers()
	g, _ := tenantGateway(t, shared, viewers...)
	questions := tenantQuestions(at)
	for _, v := range viewers {
		t.Run(v.project, func(t *testing.T) {
			alone := tenantServer(t, at, keepOf(v.labels), experiments, "", nil)
			asked, mattered := 0, 0
			for _, e := range gateway.Endpoints() {
				for _, q := range questions[e.Name] {
					for _, method := range e.Methods {
						got, err := settled(q, ask(with(q.request(e, v.base(g), method, "gzip"), v.secret)))
						check(t, err)
						direct := func(base string) string {
							text, err := settled(q, ask(q.request(e, base, directMethod(e, method), "gzip")))
							check(t, err)
							return text
						}
						want := direct(alone)
						// Some of Prometheus' orders are those of a map: then one of its answers has to be the same.
						for i := 0; got != want && i < 50; i++ {
							want = direct(alone)
						}
						if got != want {
							t.Errorf("%s %s %s %s %s\ngot  %.1500s\nwant %.1500s", method, e.Name, q.name, q.path, q.params, got, want)
						}
						asked++
						if direct(shared) != got {
							mattered++
						}
					}
				}
			}
			t.Logf("%d answers compared, %d of which are others without enforcement", asked, mattered)
			if mattered < asked/2 {
				t.Error("too few of the questions are about what others have, too")
			}
		})
	}
}

// TestTenantsPositions: what the server alone refuses, or warns of, it tells of the text that it got; the tenant reads of its own.
func TestTenantsPositions(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second)
	shared := tenantServer(t, at, keepAll, "exemplar-storage", "", nil)
	v := tenantViewers()[2]
	g, _ := tenantGateway(t, shared, v)
	position := regexp.MustCompile(`[0-9]+:[0-9]+`)
	for text, positioned := range map[string]bool{
		`up + mad_over_time(up[5m])`: true, "up\n  + sum by (job) (\n\tmad_over_time(up[5m])\n)": true, `# größe` + "\n" + `up{a="größe"} or limitk(2, up)`: true,
		`sort_by_label(up, "job")`: true, `up + up + sort_by_label_desc(up{cluster="eu"}, "job")`: true, `up / on (job) fill(0) up`: true, `{"shared.utf8 metric"} + rate(up[5m] anchored)`: true,
		`shared_queue + up smoothed`: true, `up + max_over_time(up[5m:1m/0])`: true, `up + up offset (1m % 0)`: true, `up + rate(up{a="ü"}[-1m * 2])`: true, `up + rate(up[5m - 5m])`: true,
		`shared_queue + quantile(2, shared_queue)`: false, `shared_queue + rate(shared_queue[5m])`: false, "sum(up) +\n histogram_quantile(7, sum(shared_native_seconds))": false,
		`label_replace(up, "a", "$1", "b", "(")`: false, `up * on (nothing) up{namespace="shop"}`: false,
	} {
		q := question{params: fmt.Sprintf("time=%d&query=%s", at.Unix(), text)}
		e := gateway.Endpoints()[slices.IndexFunc(gateway.Endpoints(), func(e *gateway.Endpoint) bool { return e.Name == "query" })]
		told := func(a answer) string {
			var m struct {
				Error           string
				Warnings, Infos []string
			}
			check(t, cmp.Or(a.err, decode(a, &m)))
			if a.status == http.StatusOK { // whose warnings stream by, with positions in what was sent
				m.Warnings, m.Infos = unplaced(m.Warnings), unplaced(m.Infos)
			}
			return fmt.Sprint(a.status, eachRequestID.ReplaceAllString(m.Error, ""), m.Warnings, m.Infos)
		}
		for _, method := range e.Methods {
			got, want := told(ask(with(q.request(e, v.base(g), method, "gzip"), v.secret))), told(ask(q.request(e, shared, http.MethodGet, "gzip")))
			if got != want && positioned || got == "200[][]" || positioned != position.MatchString(got) {
				t.Errorf("%s %q\nis told %s\nwant    %s", method, text, got, want)
			}
		}
	}
}

// unplaced are annotations without their positions, sorted.
func unplaced(annotations []string) []string {
	for i, a := range annotations {
		annotations[i] = regexp.MustCompile(` \([0-9]+:[0-9]+\)$`).ReplaceAllString(a, "")
	}
	slices.Sort(annotations)
	return annotations
}

// TestTenantsDiscovered: what the annotation of a Service enforces is enforced, and changes with it.
func TestTenantsDiscovered(t *testing.T) {
	t.Parallel()
	c := controlPlane(t)
	kubeconfig := searcher(t, "shared-home")
	must(t, c.Namespace(t.Context(), "shared"))
	must(t, c.Service(t.Context(), "shared", "prometheus", "web", 9090, fixture(t).Addr()))
	enforce := func(text string) {
		annotate(t, "shared", "prometheus", environmentLabel("production"), map[string]string{"promgate.io/enforce": text})
	}
	enforce("namespace=shop")
	applied(t, "shared", "shared-home", projectRole)
	path := searchConfiguration(t, kubeconfig, "{namespaces: {names: [shared]}, sources: [services]}", "")
	g := serve(t, path)
	secret := created(t, g, path, "shared")
	see := func(want string) error {
		a := ask(with(get(instant(g.base("shared/production"), "count by (namespace) (queue_depth or up)")), secret))
		got := strings.Join(regexp.MustCompile(`"namespace":"[a-z]+"|"metric":\{\}`).FindAllString(a.body, -1), " ")
		if got != want {
			return fmt.Errorf("%s shows %s, want %s", a, got, want)
		}
		return nil
	}
	eventually(t, func() error { return see(`"namespace":"shop"`) })
	enforce("namespace=billing\njob=api")
	eventually(t, func() error { return see(`"namespace":"billing"`) })
	enforce("namespace=")
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(g.base("shared/production"), "up")), secret)), http.StatusForbidden)
	})
}
