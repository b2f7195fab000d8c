package promql

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

var ownedQueries = []struct {
	query string
	ours  bool
}{
	{`up{namespace="shop"}`, true},
	{`up{namespace='shop'}`, true},
	{"up{namespace=`shop`}", true},
	{`{"up","namespace"="shop"}`, true},
	{`{"up","\x6eamespace"="\x73hop"}`, true},
	{`up{namespace=~"shop"}`, true},
	{`up{namespace=~"^shop$"}`, true},
	{`up{namespace=~"(shop)"}`, true},
	{`up{namespace=~"sho[p]"}`, true},
	{`up{namespace=~".*",namespace="shop"}`, true},
	{"up{namespace # text\n =~\t\"sh(op)\"}", true},
	{"up{namespace # text\n = # shop\n 'shop'}", true},
	{`{"namespace" =~ "sh(op)"}`, true},
	{`up{namespace="shop",namespace!="x"}`, true},
	{`sum by (namespace) (rate(up{namespace="shop"}[5m:1m] offset 1d)) > on () group_left () vector(1)`, true},
	{`quantile_over_time(scalar(q{namespace="shop"}), up{namespace="shop"}[5m])`, true},
	{`topk(scalar(q{namespace="shop"}), up{namespace="shop"})`, true},
	{`label_replace(up{namespace="shop"}, "namespace", "billing", "", "")`, true},
	{`absent(up{namespace="shop"})`, true},
	{`up{namespace="shop"} # namespace="billing"`, true},

	{``, false},
	{`1`, false},
	{`time()`, false},
	{`vector(1)`, false},
	{`"namespace=\"shop\""`, false},
	{`up`, false},
	{`{namespace=""}`, false},
	{`up{namespace=""}`, false},
	{`up{namespace="billing"}`, false},
	{`up{namespace="Shop"}`, false},
	{`up{namespace="shop "}`, false},
	{`up{namespace="shopping"}`, false},
	{`up{namespace!="x"}`, false},
	{`up{namespace!="billing"}`, false},
	{`up{namespace!~"billing"}`, false},
	{`up{namespace=~"shop.*"}`, false},
	{`up{namespace=~"shop|"}`, false},
	{`up{namespace=~"(shop)?"}`, false},
	{`up{namespace=~"(?i)shop"}`, false},
	{`up{namespace=~"(?i:s)hop"}`, false},
	{`up{namespace=~"shop|billing"}`, false},
	{`up{namespace=~"sho[pt]"}`, false},
	{`up{namespace=~""}`, false},
	{`up{namespaces="shop"}`, false},
	{`up{job="shop"}`, false},
	{`up{job="namespace=shop"}`, false},
	{`up{namespace="billing"} # {namespace="shop"}`, false},
	{`up{namespace="billing"} or up{namespace="shop"}`, false},
	{`up{namespace="shop"} or up`, false},
	{`up{namespace="shop"} unless on () up{namespace="billing"}`, false},
	{`up{namespace="shop"} and vector(scalar(up))`, false},
	{`topk(scalar(up{namespace="billing"}), up{namespace="shop"})`, false},
	{`sum by (namespace) (up)`, false},
	{`label_replace(up, "namespace", "shop", "", "")`, false},
	{`info(up{namespace="shop"})`, false},
	{`info(up{namespace="shop"}, {namespace="shop"})`, false},
	{`sum(info(up{namespace="shop"}))`, false},
	{`up{namespace="shop"`, false},
	{`up{namespace="shop"} or`, false},
	{`up{namespace="shop" or namespace="billing"}`, false},
	{`up{namespace="{{ $labels.namespace }}"}`, false},
}

func TestOwnedByQuery(t *testing.T) {
	for _, p := range []*Policy{ofShop(t), enforcing(t, map[string][]string{"namespace": {"shop", "shop-canary"}})} {
		for _, c := range ownedQueries {
			o := owner{policy: p}
			for range 2 { // the second is remembered
				if got := o.owns(&rule{Query: c.query}); got != c.ours {
					t.Errorf("%s: the tenant's: %v", c.query, got)
				}
			}
			if !o.owns(&rule{Query: c.query, Labels: labelSet{"namespace": "shop"}}) {
				t.Errorf("%s: not the tenant's by label", c.query)
			}
		}
	}
	several := enforcing(t, map[string][]string{"namespace": {"shop", "billing"}})
	for query, ours := range map[string]bool{
		`a{namespace=~"shop|billing"}`:                             true,
		`a{namespace=~"billing"} or b{namespace="shop"}`:           true,
		`a{namespace=~"(bill|shopp)ing"}`:                          false,
		`a{namespace=~"shop|billing|x"}`:                           false,
		`a{namespace=~"shop|billing|"}`:                            false,
		`a{namespace=~"` + strings.Repeat("shop|", 400) + `shop"}`: true,
	} {
		if got := (&owner{policy: several}).owns(&rule{Query: query}); got != ours {
			t.Errorf("%s: the tenant's: %v", query, got)
		}
	}
}

func TestOwnedByLabels(t *testing.T) {
	p := enforcing(t, map[string][]string{"cluster": {"east"}, "namespace": {"shop", "shop-2"}})
	for _, c := range []struct {
		query  string
		labels labelSet
		ours   bool
	}{
		{`up`, labelSet{"cluster": "east", "namespace": "shop"}, true},
		{`not promql`, labelSet{"cluster": "east", "namespace": "shop-2"}, true},
		{`up{namespace="shop"}`, labelSet{"cluster": "east"}, true},
		{`up{cluster="east"}`, labelSet{"namespace": "shop"}, true},
		{`up{cluster="east",namespace="shop"}`, nil, true},
		{`up{cluster="east"} / up{namespace="shop"}`, nil, false},
		{`up{cluster="east"} / up{namespace="shop"}`, labelSet{"cluster": "east"}, false},
		{`up{cluster="east"}`, labelSet{"cluster": "east"}, false},
		{`up{namespace="shop"}`, labelSet{"namespace": "shop"}, false},
		{`up{namespace="shop"}`, labelSet{"cluster": "west"}, false},
		{`up{namespace="shop"}`, labelSet{"cluster": ""}, false},
		{`up{namespace="shop"}`, labelSet{"cluster": "{{ $labels.cluster }}"}, false},
		{`up`, labelSet{"cluster": "east", "namespace": ""}, false},
		{`up`, labelSet{"cluster": "east", "namespace": "shop|shop-2"}, false},
		{`up`, labelSet{"cluster": "shop", "namespace": "east"}, false},
		{`info(up{namespace="shop"})`, labelSet{"cluster": "east"}, false},
	} {
		if got := (&owner{policy: p}).owns(&rule{Query: c.query, Labels: c.labels}); got != c.ours {
			t.Errorf("%s %v: the tenant's: %v", c.query, c.labels, got)
		}
	}
}

func TestOwnedAlerts(t *testing.T) {
	o := &owner{policy: enforcing(t, map[string][]string{"cluster": {"east"}, "namespace": {"shop"}})}
	byBoth := &rule{Query: `up{namespace="shop"}`, Labels: labelSet{"cluster": "east"}}
	for _, c := range []struct {
		labels labelSet
		ours   bool
	}{
		{labelSet{"cluster": "east", "namespace": "shop"}, true},
		{labelSet{"cluster": "east"}, true},
		{labelSet{"cluster": "east", "namespace": ""}, true},
		{labelSet{"cluster": "east", "namespace": "billing"}, false},
		{labelSet{"cluster": "west", "namespace": "shop"}, false},
		// Prometheus puts a rule's labels on its alerts: without, it is not one of these.
		{labelSet{"namespace": "shop"}, false},
		{nil, false},
	} {
		if got := o.ownsAlert(byBoth, &alert{Labels: c.labels}); got != c.ours {
			t.Errorf("%v: the tenant's: %v", c.labels, got)
		}
	}
}

// TestOwnerForgets: what is remembered stays within its bounds.
func TestOwnerForgets(t *testing.T) {
	o := &owner{policy: ofShop(t)}
	for i := range 2*maxOwned + 1 {
		o.confined(strconv.Itoa(i))
	}
	o.confined(strings.Repeat("z", maxOwnedLength+1))
	if len(o.known) != 1 {
		t.Errorf("%d expressions are remembered", len(o.known))
	}
}

// TestFunctionsReadTheirArguments: which functions read what is in no selector
// has to be decided of each one. A new one belongs here, and in selectorsOf if
// it is like info.
func TestFunctionsReadTheirArguments(t *testing.T) {
	const known = "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos cosh " +
		"count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv double_exponential_smoothing end exp " +
		"first_over_time floor histogram_avg histogram_count histogram_fraction histogram_quantile histogram_quantiles histogram_stddev " +
		"histogram_stdvar histogram_sum hour idelta increase info irate label_join label_replace last_over_time ln log10 log2 mad_over_time " +
		"max_of max_over_time min_of min_over_time minute month pi predict_linear present_over_time quantile_over_time rad range rate " +
		"resets round scalar sgn sin sinh sort sort_by_label sort_by_label_desc sort_desc sqrt start start_timestamp stddev_over_time " +
		"stdvar_over_time step sum_over_time tan tanh time timestamp ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time " +
		"ts_of_min_over_time vector year"
	if got := strings.Join(slices.Sorted(maps.Keys(parser.Functions)), " "); got != known {
		t.Errorf("functions are\n%s", got)
	}
}

// confinedSlowly decides without looking at the text first.
func (p *Policy) confinedSlowly(query string) confined {
	expr, err := everything.ParseExpr(query)
	if err != nil {
		return nil
	}
	selectors, all := selectorsOf(expr)
	if !all || len(selectors) == 0 {
		return nil
	}
	c := make(confined, len(p.names))
	for i, name := range p.names {
		c[i] = true
		for _, s := range selectors {
			has := false
			for _, m := range s.LabelMatchers {
				has = has || m.Name == name && p.allows(m)
			}
			c[i] = c[i] && has
		}
	}
	return c
}

// FuzzConfined: looking at the text first changes nothing, and a selector that
// confines matches no value but the policy's.
func FuzzConfined(f *testing.F) {
	for _, c := range ownedQueries {
		f.Add(c.query, "billing")
	}
	p := enforcing(f, map[string][]string{"cluster": {"east", "west"}, "namespace": {"shop"}})
	f.Fuzz(func(t *testing.T, query, other string) {
		fast, slow := p.confined(query), p.confinedSlowly(query)
		for i, name := range p.names {
			if fast.by(i) != slow.by(i) {
				t.Fatalf("%q: confined by %s: %v, and %v without looking first", query, name, fast.by(i), slow.by(i))
			}
			if !fast.by(i) || p.has(name, other) {
				continue
			}
			expr, err := everything.ParseExpr(query)
			if err != nil {
				t.Fatal(err)
			}
			for _, matchers := range parser.ExtractSelectors(expr) {
				matches := true
				for _, m := range matchers {
					matches = matches && (m.Name != name || m.Matches(other))
				}
				if matches {
					t.Fatalf("%q reads %s=%q", query, name, other)
				}
			}
		}
	})
}
