package routing

import "testing"

func TestAlias(t *testing.T) {
	for _, c := range []struct{ raw, alias, problem string }{
		{"http://prometheus.shop.svc:9090", "http://prometheus.shop.svc:9090", ""},
		{"HTTP://Prometheus.Shop.svc.:9090/", "http://prometheus.shop.svc:9090", ""},
		{"http://prometheus.shop.svc:80/", "http://prometheus.shop.svc", ""},
		{"https://prometheus.shop.svc:443/prom/", "https://prometheus.shop.svc/prom", ""},
		{"https://prometheus.shop.svc:80", "https://prometheus.shop.svc:80", ""},
		{"http://[2001:DB8::1]:9090", "http://[2001:db8::1]:9090", ""},
		{"http://prometheus:", "http://prometheus", ""},
		{"", "", "is no http or https URL"},
		{"prometheus:9090", "", "is no http or https URL"},
		{"ftp://prometheus", "", "is no http or https URL"},
		{"http://:9090", "", "is no http or https URL"},
		{"http://prometheus:notaport", "", "is no http or https URL"},
		{"http://anna:secret@prometheus", "", "has more than scheme, host, port and path"},
		{"http://prometheus?x=1", "", "has more than scheme, host, port and path"},
		{"http://prometheus?", "", "has more than scheme, host, port and path"},
		{"http://prometheus#x", "", "has more than scheme, host, port and path"},
		{"http://prometheus/a/../b", "", "has a path that is not plain"},
		{"http://prometheus/a%2fb", "", "has a path that is not plain"},
		{"http://prometheus//a", "", "has a path that is not plain"},
	} {
		alias, problem := Alias(c.raw)
		if alias != c.alias || problem != c.problem {
			t.Errorf("Alias(%q) = %q, %q; want %q, %q", c.raw, alias, problem, c.alias, c.problem)
		}
		if again, _ := Alias(alias); again != alias {
			t.Errorf("Alias(%q) = %q: it is not the one form", alias, again)
		}
	}
}

func FuzzAlias(f *testing.F) {
	f.Add("http://prometheus.shop.svc:9090/prom/")
	f.Fuzz(func(t *testing.T, raw string) {
		alias, problem := Alias(raw)
		if (alias == "") == (problem == "") {
			t.Fatalf("%q: alias %q, problem %q", raw, alias, problem)
		}
		if alias == "" {
			return
		}
		if again, problem := Alias(alias); again != alias {
			t.Fatalf("%q becomes %q and then %q (%s)", raw, alias, again, problem)
		}
	})
}
