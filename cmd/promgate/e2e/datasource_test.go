package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestDataSources sends what the data sources of Grafana and Perses send.
func TestDataSources(t *testing.T) {
	t.Parallel()
	server := fixture(t)
	path := configuration(t, namespace(t, "panels", server.Addr()), "", "panels/production: "+service("panels", "prometheus"))
	secret, _ := token(t, path, "panels/production")
	g := serve(t, path)
	base := g.base("panels/production")
	grafana := []string{
		"User-Agent", "Grafana/13.2.0", "Accept-Encoding", "gzip", "X-Grafana-Org-Id", "7", "X-Dashboard-Uid", "cart",
		"X-Panel-Id", "12", "X-Datasource-Uid", "promgate-shop", "X-Grafana-User", "admin", "X-Forwarded-For", "203.0.113.9",
		"X-Remote-User", "system:admin", "Impersonate-User", "system:admin", "Cookie", "grafana_session=1",
	}
	form := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, c := range []struct {
		name    string
		path    string
		form    url.Values // of a POST; nil: GET
		headers []string
		want    string // literally; empty: what Prometheus answers
		direct  string // the same question by GET
		varies  bool
		status  int
	}{
		{name: "Grafana's test", path: "/api/v1/query", form: form("query", "1+1", "time", "4"), headers: grafana,
			want: `{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}`},
		{name: "Grafana's build information", path: "/api/v1/status/buildinfo", headers: grafana, direct: "/api/v1/status/buildinfo"},
		{name: "Grafana's panel", path: "/api/v1/query_range?stats=all&custom=1", headers: grafana, varies: true,
			form:   form("query", "rate(http_requests_total[1m0s])", "start", start, "end", end, "step", "15"),
			direct: "/api/v1/query_range?stats=all&query=rate(http_requests_total[1m0s])&step=15&" + span},
		{name: "Grafana's instant query", path: "/api/v1/query", form: form("query", "up", "time", end), headers: grafana, direct: "/api/v1/query?query=up&time=" + end},
		{name: "Grafana's exemplar probe", path: "/api/v1/query_exemplars", headers: grafana,
			form: form("query", "test", "start", "1767225600000", "end", "1767229200000"), want: `{"status":"success","data":[]}`},
		{name: "Grafana's exemplars", path: "/api/v1/query_exemplars", form: form("query", "http_requests_total", "start", start, "end", end),
			headers: grafana, direct: "/api/v1/query_exemplars?query=http_requests_total&" + span},
		{name: "Grafana's suggestions", path: "/api/v1/label/__name__/values", headers: grafana,
			form: form("start", start, "end", end, "limit", "40000", "match[]", `{job="api"}`), direct: `/api/v1/label/__name__/values?match[]={job="api"}&` + span},
		{name: "Grafana's label values", path: "/api/v1/label/handler/values?limit=40000&" + span, headers: grafana, direct: "/api/v1/label/handler/values"},
		{name: "Grafana's labels", path: "/api/v1/labels", form: form("match[]", "up", "limit", "40000"), headers: grafana, direct: "/api/v1/labels?match[]=up"},
		{name: "Grafana's metadata", path: "/api/v1/metadata?limit=40000", headers: grafana, direct: "/api/v1/metadata"},
		{name: "Grafana's series", path: "/api/v1/series", form: form("match[]", "queue_depth", "start", start, "end", end), headers: grafana,
			direct: "/api/v1/series?match[]=queue_depth&" + span},
		{name: "Grafana's rules", path: "/api/v1/rules?type=record", headers: grafana, direct: "/api/v1/rules?type=record"},
		{name: "Perses' health check", path: "/-/healthy", direct: "/-/healthy"},
		{name: "Perses' panel", path: "/api/v1/query_range", form: form("query", "up", "start", start+".000", "end", end+".000", "step", "15.000"),
			direct: "/api/v1/query_range?query=up&step=15&" + span},
		{name: "Perses' custom parameters", path: "/api/v1/query?limit=1", form: form("query", "up", "time", end), direct: "/api/v1/query?limit=1&query=up&time=" + end},
		{name: "Perses' label values", path: "/api/v1/label/instance/values?" + span, direct: "/api/v1/label/instance/values"},
		{name: "Perses' syntax tree", path: "/api/v1/parse_query", form: form("query", "sum(up)"), direct: "/api/v1/parse_query?query=sum(up)"},
		{name: "given twice alike", path: "/api/v1/query?query=up", form: form("query", "up", "time", end), direct: "/api/v1/query?query=up&time=" + end},
		{name: "given twice", path: "/api/v1/query?query=up", form: form("query", "down", "time", end), status: http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(base + c.path)
			if c.form != nil {
				r = post(base+c.path, c.form)
			}
			through := ask(with(r, secret, c.headers...))
			if c.status != 0 {
				check(t, wantError(through, c.status, "bad_data"))
				return
			}
			if c.direct != "" {
				path, query, _ := strings.Cut(c.direct, "?")
				c.want = ask(get(server.URL() + path + "?" + question{params: query}.form().Encode())).body
			}
			if c.varies {
				c.want, through.body = timings.ReplaceAllString(c.want, ""), timings.ReplaceAllString(through.body, "")
			}
			if err := wantStatus(through, http.StatusOK); err != nil || through.body != c.want {
				t.Errorf("got %s, want %s", through, c.want)
			}
			if c.headers != nil {
				g.wantLogged(t, through, map[string]any{
					"grafana_org_id": "7", "grafana_dashboard_uid": "cart", "grafana_panel_id": "12", "grafana_datasource_uid": "promgate-shop",
					"client": "127.0.0.1", "status": float64(http.StatusOK),
				})
			}
		})
	}
	basic := get(base + "/api/v1/labels")
	basic.SetBasicAuth("anyone", secret)
	check(t, wantStatus(ask(basic), http.StatusOK))
}
