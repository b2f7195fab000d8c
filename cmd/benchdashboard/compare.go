package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// comparison counts answers beside Prometheus' own.
type comparison struct {
	compared int
	// identical are those that are the same byte for byte.
	identical int
	// wrong tells of each answer that is another.
	wrong []string
}

// addAll asks Prometheus the same and compares.
func (c *comparison) addAll(ctx context.Context, answers []answer, direct *client) error {
	connections := direct.open()
	defer connections.CloseIdleConnections()
	for _, a := range answers {
		own, err := direct.ask(ctx, connections, a.form, identity)
		if err != nil {
			return fmt.Errorf("the answer to compare with: %w", err)
		}
		c.add(a, own.body)
	}
	return nil
}

func (c *comparison) add(a answer, want []byte) {
	c.compared++
	got, err := a.text()
	if err != nil {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: the answer cannot be decompressed: %v", a.form, err))
		return
	}
	if bytes.Equal(got, want) {
		c.identical++
		return
	}
	if d := difference(got, want); d != "" {
		c.wrong = append(c.wrong, fmt.Sprintf("%s (%s, cache %q): %s", a.form, a.encoding, a.cache, d))
	}
}

// print tells the counts. Wrong answers are an error.
func (c *comparison) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%d answers compared with Prometheus' own: %d identical byte for byte, %d equal by value, %d wrong\n",
		c.compared, c.identical, c.compared-c.identical-len(c.wrong), len(c.wrong))
	if len(c.wrong) == 0 {
		return nil
	}
	const most = 10
	for _, text := range c.wrong[:min(most, len(c.wrong))] {
		fmt.Fprintln(w, "  "+text)
	}
	return fmt.Errorf("%d answers through the gateway are not Prometheus'", len(c.wrong))
}

// matrix is an answer to a range query.
type matrix struct {
	Status string `json:"status"`
	Data   struct {
		ResultType string   `json:"resultType"`
		Result     []series `json:"result"`
	} `json:"data"`
	Warnings []string `json:"warnings"`
	Infos    []string `json:"infos"`
}

type series struct {
	Metric     map[string]string `json:"metric"`
	Values     []point           `json:"values"`
	Histograms []json.RawMessage `json:"histograms"`
}

// point is a time in seconds and a value.
type point struct{ at, value float64 }

func (p *point) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a point has two members, and not %s", text)
	}
	var value string
	if err := json.Unmarshal(pair[1], &value); err != nil {
		return err
	}
	var err error
	if p.at, err = strconv.ParseFloat(string(pair[0]), 64); err != nil {
		return err
	}
	p.value, err = strconv.ParseFloat(value, 64)
	return err
}

// decode reads an answer. Members that it does not know are an error: they would
// not be compared.
func decode(text []byte) (*matrix, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := &matrix{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("the answer is no matrix: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the answer")
	}
	slices.Sort(m.Warnings) // Prometheus writes both in any order
	slices.Sort(m.Infos)
	return m, nil
}

// difference tells the first difference of two answers in value; empty: none.
// The order of the series counts.
func difference(got, want []byte) string {
	g, err := decode(got)
	if err != nil {
		return err.Error()
	}
	w, err := decode(want)
	if err != nil {
		return "Prometheus' own: " + err.Error()
	}
	switch {
	case g.Status != w.Status || g.Data.ResultType != w.Data.ResultType:
		return fmt.Sprintf("%s of %q, want %s of %q", g.Status, g.Data.ResultType, w.Status, w.Data.ResultType)
	case !slices.Equal(g.Warnings, w.Warnings) || !slices.Equal(g.Infos, w.Infos):
		return fmt.Sprintf("warnings %q and infos %q, want %q and %q", g.Warnings, g.Infos, w.Warnings, w.Infos)
	case len(g.Data.Result) != len(w.Data.Result):
		return fmt.Sprintf("%d series, want %d", len(g.Data.Result), len(w.Data.Result))
	}
	for i := range w.Data.Result {
		if d := seriesDifference(&g.Data.Result[i], &w.Data.Result[i]); d != "" {
			return fmt.Sprintf("series %d, %v: %s", i, w.Data.Result[i].Metric, d)
		}
	}
	return ""
}

func seriesDifference(got, want *series) string {
	if !maps.Equal(got.Metric, want.Metric) {
		return fmt.Sprintf("is %v", got.Metric)
	}
	if len(got.Values) != len(want.Values) {
		return fmt.Sprintf("%d points, want %d", len(got.Values), len(want.Values))
	}
	for i, w := range want.Values {
		g := got.Values[i]
		if g.at != w.at || math.Float64bits(g.value) != math.Float64bits(w.value) {
			return fmt.Sprintf("point %d is %v at %.3f, want %v at %.3f", i, g.value, g.at, w.value, w.at)
		}
	}
	sameText := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	if !slices.EqualFunc(got.Histograms, want.Histograms, sameText) {
		return fmt.Sprintf("%d histograms are not the %d of Prometheus", len(got.Histograms), len(want.Histograms))
	}
	return ""
}
