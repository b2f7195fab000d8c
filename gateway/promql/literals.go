package promql

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// positive writes a range or a step.
func (w *printer) positive(d time.Duration, expr *parser.DurationExpr) {
	switch {
	case expr != nil:
		w.duration(expr)
	case d == 0:
		// Of a number that is rounded to nothing, but has to be above it.
		w.write("1e-10")
	default:
		w.seconds(d)
	}
}

// seconds writes a duration, as a number where it has a fraction of a
// millisecond, which no unit can tell.
func (w *printer) seconds(d time.Duration) {
	reads := func(v float64) bool { return time.Duration(math.Round(v*float64(time.Second))) == d }
	if s := d.Abs(); s%time.Millisecond == 0 && reads(d.Seconds()) {
		if d < 0 {
			w.write("-")
		}
		w.write(model.Duration(s).String())
		return
	}
	w.read(d.Seconds(), reads)
}

// read writes the number next to near that is read as what is meant.
func (w *printer) read(near float64, meant func(v float64) bool) {
	for _, v := range [...]float64{near, math.Nextafter(near, math.Inf(1)), math.Nextafter(near, math.Inf(-1))} {
		if meant(v) {
			w.float(v)
			return
		}
	}
	w.fail(&RefusedError{Message: "a duration or timestamp in the expression has more digits than can be kept where labels are enforced"})
}

// duration writes an expression of durations.
func (w *printer) duration(e parser.Expr) {
	d, ok := e.(*parser.DurationExpr)
	if !ok {
		n, ok := e.(*parser.NumberLiteral)
		if !ok {
			w.fail(errNode)
			return
		}
		w.number(n)
		return
	}
	if d.Wrapped {
		w.write("(")
		defer w.write(")")
	}
	switch d.Op {
	case parser.STEP, parser.RANGE:
		w.write(d.Op.String() + "()")
	case parser.MIN_OF, parser.MAX_OF:
		w.write(d.Op.String() + "(")
		w.duration(d.LHS)
		w.write(", ")
		w.duration(d.RHS)
		w.write(")")
	case parser.ADD, parser.SUB, parser.MUL, parser.DIV, parser.MOD, parser.POW:
		switch {
		case d.LHS != nil:
			w.duration(d.LHS)
			w.write(" " + d.Op.String() + " ")
		case d.Op == parser.SUB || d.Op == parser.ADD && !d.Wrapped:
			w.write(d.Op.String())
		}
		w.duration(d.RHS)
	default:
		w.fail(errNode)
	}
}

func (w *printer) number(e *parser.NumberLiteral) {
	if e.Duration {
		d := time.Duration(math.Round(math.Abs(e.Val)*1000)) * time.Millisecond
		if d >= 0 && d.Seconds() == math.Abs(e.Val) {
			if math.Signbit(e.Val) {
				w.write("-")
			}
			w.write(model.Duration(d).String())
			return
		}
	}
	w.float(e.Val)
}

// float writes a number so that it is read as the same bits, which are others
// for -NaN. Infinity gets no plus, which would bind less than a power.
func (w *printer) float(v float64) {
	switch abs := math.Abs(v); {
	case math.IsInf(v, 1):
		w.write("Inf")
	case math.IsNaN(v) && math.Signbit(v):
		w.write("-NaN")
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		w.text = strconv.AppendFloat(w.text, v, 'e', -1, 64)
	default:
		w.text = strconv.AppendFloat(w.text, v, 'f', -1, 64)
	}
}
