package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/promgate/promgate/cmd/internal/process"
)

// TestScale is the measurement in short: every request is answered, by a token
// that was made for its environment, whatever it takes.
func TestScale(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "promgate")
	if err := process.Build(t.Context(), "../..", binary, "./cmd/promgate"); err != nil {
		t.Fatal(err)
	}
	b := bench{
		few: size{projects: 1, environments: 2, tokens: 3}, many: size{projects: 5, environments: 4, tokens: maxUsed + 100},
		rounds: 2, requests: 100,
	}
	var out bytes.Buffer
	if err := b.run(t.Context(), binary, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	const number = `[0-9]+(\.[0-9]+)?`
	want := regexp.MustCompile(`^ +2 environments, +3 tokens: median of a query ` + number + ` µs \(` + number + ` at the first use of a token\)
 +20 environments, +2100 tokens: median of a query ` + number + ` µs \(` + number + ` at the first use of a token\)

Targets
  (reached|MISSED )  the median query takes ` + number + ` of that with few \(rounds: ` + number + ` to ` + number + `\), at most 1.1
  (reached|MISSED )  memory ` + number + ` MB at most so far \(with few: ` + number + ` MB\), under 300 MB
  (reached|MISSED )  ready after ` + number + ` s \(` + number + ` s of CPU\), with few after ` + number + ` s; at most 3 s
$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("it printed\n%s", out.String())
	}
}
