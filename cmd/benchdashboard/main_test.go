package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
)

// build builds a program of a module.
func build(t *testing.T, module, from string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := process.Build(t.Context(), module, binary, from, flags...); err != nil {
		t.Fatal(err)
	}
	return binary
}

// prometheusProgram is the one that the environment names, or else built.
func prometheusProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PROMGATE_PROMETHEUS"); path != "" {
		return path
	}
	return build(t, "../../testdata/prometheus", "github.com/prometheus/prometheus/cmd/prometheus",
		"-tags", "remove_all_sd", "-ldflags", "-s -w")
}

// TestDashboard is the measurement in short: it says nothing of times, and all
// of whether the answers are Prometheus' own. In the third refresh a series
// appears that the first two have not.
func TestDashboard(t *testing.T) {
	b := bench{
		promgate: build(t, "../..", "./cmd/promgate"), prometheus: prometheusProgram(t),
		refreshes: 3, panels: len(panels), span: time.Hour,
	}
	runs, comparison, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if all := 2 * 3 * len(panels); len(comparison.wrong) > 0 || comparison.compared != all {
		t.Errorf("%d answers compared, want %d; wrong are\n%s", comparison.compared, all, strings.Join(comparison.wrong, "\n"))
	}
	want := [][2]string{{"Prometheus", gzipped}, {"promgate", gzipped}, {"Prometheus", identity}, {"promgate", identity}}
	if len(runs) != len(want) {
		t.Fatalf("%d measurements, want %d", len(runs), len(want))
	}
	for i, m := range runs {
		if m.who != want[i][0] || m.encoding != want[i][1] || len(m.refreshes) != 3 || (m.alone == nil) != (m.who == "Prometheus") {
			t.Errorf("measurement %d is of %s in %s, %d refreshes; want %v and 3", i, m.who, m.encoding, len(m.refreshes), want[i])
		}
		if m.encoding == identity && m.bytes < 2_000_000 || m.bytes < 400_000 {
			t.Errorf("%s, %s: %d bytes are no dashboard", m.who, m.encoding, m.bytes)
		}
	}
	var report bytes.Buffer
	if err := printRuns(&report, runs); err != nil {
		t.Fatal(err)
	}
	printTargets(&report, runs)
	if err := comparison.print(&report); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", report.String())
}

func TestDifference(t *testing.T) {
	const want = `{"status":"success","data":{"resultType":"matrix","result":[` +
		`{"metric":{"a":"1","b":"x"},"values":[[15,"1.5"],[30,"NaN"],[45.5,"+Inf"]]},` +
		`{"metric":{"a":"2"},"histograms":[[15,{"count":"3","sum":"4"}]]}]},"warnings":["w1","w2"]}`
	for _, c := range []struct{ name, old, new, difference string }{
		{"the same", "", "", ""},
		{"other text, same values", `"a":"1","b":"x"`, ` "b":"x", "a":"1" `, ""},
		{"a number in another form", `[15,"1.5"]`, `[15.0,"15e-1"]`, ""},
		{"warnings in another order", `"w1","w2"`, `"w2","w1"`, ""},
		{"a value in its last bit", `"1.5"`, `"1.5000000000000002"`,
			"series 0, map[a:1 b:x]: point 0 is 1.5000000000000002 at 15.000, want 1.5 at 15.000"},
		{"NaN becomes a number", `"NaN"`, `"0"`, "series 0, map[a:1 b:x]: point 1 is 0 at 30.000, want NaN at 30.000"},
		{"a time", `[45.5,`, `[45,`, "series 0, map[a:1 b:x]: point 2 is +Inf at 45.000, want +Inf at 45.500"},
		{"a point is missing", `[30,"NaN"],`, ``, "series 0, map[a:1 b:x]: 2 points, want 3"},
		{"a label", `"b":"x"`, `"b":"y"`, "series 0, map[a:1 b:x]: is map[a:1 b:y]"},
		{"a label is missing", `,"b":"x"`, ``, "series 0, map[a:1 b:x]: is map[a:1]"},
		{"a histogram", `"sum":"4"`, `"sum":"5"`, "series 1, map[a:2]: 1 histograms are not the 1 of Prometheus"},
		{"a series is missing", `,{"metric":{"a":"2"},"histograms":[[15,{"count":"3","sum":"4"}]]}`, ``, "1 series, want 2"},
		{"a warning is missing", `"w1",`, ``, `warnings ["w2"] and infos [], want ["w1" "w2"] and []`},
		{"the type", `"matrix"`, `"vector"`, `success of "vector", want success of "matrix"`},
		{"the status", `"success"`, `"error"`, `error of "matrix", want success of "matrix"`},
		{"it breaks off", `"warnings":["w1","w2"]}`, ``, "the answer is no matrix: unexpected EOF"},
		{"something follows", `"w1","w2"]}`, `"w1","w2"]}{}`, "something follows the answer"},
		{"a point of three", `[15,"1.5"]`, `[15,"1.5","2"]`, `the answer is no matrix: a point has two members, and not [15,"1.5","2"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Replace(want, c.old, c.new, 1)
			if d := difference([]byte(got), []byte(want)); d != c.difference {
				t.Errorf("the difference is %q, want %q", d, c.difference)
			}
		})
	}
}

// TestComparisonCounts sees that what is wrong is an error, and what is equal is none.
func TestComparisonCounts(t *testing.T) {
	text := func(value string) []byte {
		return []byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[15,"` + value + `"]]}]}}`)
	}
	c := &comparison{}
	c.add(answer{body: text("1")}, text("1"))
	c.add(answer{body: text("1.0")}, text("1"))
	if err := c.print(&bytes.Buffer{}); err != nil || c.compared != 2 || c.identical != 1 {
		t.Errorf("got %v, %d compared and %d identical; want no error, 2 and 1", err, c.compared, c.identical)
	}
	c.add(answer{form: "query=up", encoding: identity, cache: "partial", body: text("2")}, text("1"))
	c.add(answer{form: "query=up", encoding: gzipped, body: text("1")}, text("1"))
	var out bytes.Buffer
	err := c.print(&out)
	const want = "\n4 answers compared with Prometheus' own: 1 identical byte for byte, 1 equal by value, 2 wrong\n" +
		"  query=up (identity, cache \"partial\"): series 0, map[]: point 0 is 2 at 15.000, want 1 at 15.000\n" +
		"  query=up: the answer cannot be decompressed: gzip: invalid header\n"
	if err == nil || err.Error() != "2 answers through the gateway are not Prometheus'" || out.String() != want {
		t.Errorf("got %v and %q, want %q", err, out.String(), want)
	}
}
