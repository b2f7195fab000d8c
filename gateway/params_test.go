package gateway

import (
	"strings"
	"testing"
)

// times are times, and what looks like them.
var times = []string{
	"0", "1", "-1", "1767225600.123456789", "1e3", "0x10", "1_000", "1767225600000", "1516639660800", "253402300800", "-62135596801", "9e15", "-9e15", ".5", "5.", "+5",
	"1970-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789%2B02:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+02:00", "2026-13-01T00:00:00Z", "now", "5m", "1 ", " 1", "1s",
	"-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z", "-292273086-05-16T16:47:07Z", "50000-01-01T00:00:00Z",
}

// TestStricterThanPrometheus: what Prometheus takes and the gateway refuses.
func TestStricterThanPrometheus(t *testing.T) {
	for _, v := range []string{"NaN", "nan", "Inf", "-Inf", "infinity", "1e300", "-1e300", "9223372036854776"} {
		_, err := parseParams(endpointNamed("query"), testTenancy(), nil, "query=up&time="+v, "")
		if want := `invalid parameter "time": invalid time value for 'time': cannot parse "` + v + `" to a valid timestamp`; err == nil || err.Error() != want {
			t.Errorf("time %s: %v, want %s", v, err, want)
		}
	}
	if _, err := parseParams(endpointNamed("query"), testTenancy(), nil, "query=up&timeout=NaN", ""); err == nil || err.Error() != `invalid parameter "timeout": cannot parse "NaN" to a valid duration` {
		t.Errorf("timeout NaN: %v", err)
	}
}

func TestEncoding(t *testing.T) {
	many := strings.Repeat("x=1&", 63)
	cases := map[string]string{
		many + "query=up":              "",
		many + "x=1&query=up":          "more than 64 parameters",
		many + "x=1&&&&query=up":       "more than 64 parameters",
		"&&query=up&&" + many:          "",
		"query=up;time=4":              "the parameters hold a bare semicolon: separate parameters by & and write a semicolon as %3B",
		"x=;&query=up":                 "the parameters hold a bare semicolon: separate parameters by & and write a semicolon as %3B",
		"query=%22%3B%22":              "",
		"query=%zz":                    `parameter "query" is not percent-encoded properly: invalid URL escape "%zz"`,
		"query=up&%zz=1":               `a parameter name is not percent-encoded properly: invalid URL escape "%zz"`,
		"query=up&x=%":                 `parameter "x" is not percent-encoded properly: invalid URL escape "%"`,
		"query=up&query=up":            "",
		"query=up&query=":              "",
		"query=up&query=up2":           `parameter "query" is given twice with different values`,
		"%71uery=up&query=up2":         `parameter "query" is given twice with different values`,
		"query=up&time=1&time=1.0":     `parameter "time" is given twice with different values`,
		"query=up&QUERY=x&query[]=x":   "",
		"query=up&time=1&access_token": "",
	}
	for raw, want := range cases {
		for _, split := range []bool{false, true} {
			query, form := raw, ""
			if i := strings.LastIndex(raw, "&"); split && i > 0 {
				query, form = raw[:i], raw[i+1:]
			}
			_, err := parseParams(endpointNamed("query"), testTenancy(), nil, query, form)
			if got := errorText(err); got != want {
				t.Errorf("%q and %q: %q, want %q", query, form, got, want)
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
