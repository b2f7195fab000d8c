package promql

import (
	"strings"
	"time"
)

// What the parts of a regular expression cost when Prometheus makes a matcher of
// it: it parses it, prints it, parses that again, compiles it, and looks for
// faster ways to match. Measured on one core at 3 GHz.
const (
	patternTime = 5 * time.Microsecond // each regular expression
	wordsTime   = 8                    // ns for each byte of an alternation of words, which is not compiled
	wordTime    = 200                  // ns for each of the words
	byteTime    = 220                  // ns for each byte, which is one instruction or less
	nodeTime    = 1200                 // ns for each group, class, dot and repetition
	barTime     = 300                  // ns for each branch
	instTime    = 250                  // ns for each instruction that repetition adds
	runesTime   = 3                    // ns for each range of a class, multiplied like instructions
	// wideTime is for a class of more than a few characters, such as [^/]: when
	// it is printed, all that have an upper and a lower case are looked up.
	wideTime = 1700 * time.Microsecond
	// tableTime is for \p{…} within a class.
	tableTime = 100 * time.Microsecond
	// tableRanges is how many ranges \p{…} has at most, about.
	tableRanges = 700
	// mergeTime is for each range in each set of first characters, of which
	// there is one for each branch, and again for each optional part before it.
	mergeTime   = 3 // ns
	maxBranches = 500
	// setTime and setByteTime are for each of up to maxSet strings that the
	// pattern is when it is written out, and its bytes, at each group or class.
	setTime, setByteTime = 170, 0.5 // ns
	maxSet               = 256
	// depthTime is for each byte at each level of groups.
	depthTime = 15 // ns
	// muchWork is where it does not matter any more.
	muchWork = 100 * maxRegexpWork
	// maxGroups is how deep groups may nest, which needs no more than 5.
	maxGroups = 30
	// maxCount keeps sums from overflowing.
	maxCount = 1 << 29
)

// regexpWork estimates how long it takes to make a matcher of a regular
// expression, from its text alone: parsing it properly can take as long.
func regexpWork(pattern string) time.Duration {
	if !strings.ContainsAny(pattern, `\.+*?()[]{}^$`) {
		return patternTime + time.Duration(wordsTime*len(pattern)+wordTime*strings.Count(pattern, "|"))
	}
	if work := patternTime + time.Duration(byteTime*len(pattern)); work > maxRegexpWork {
		return work
	}
	p := patternScanner{text: pattern}
	if p.scan(); p.depth > maxGroups {
		return muchWork
	}
	return p.work()
}

// patternScanner weighs a regular expression. What it does not understand, it
// takes for characters: then the expression does not parse.
type patternScanner struct {
	text                                    string
	pos                                     int
	depth                                   int
	nodes, bars, items, wide, spans, tables int
	fold, several                           bool // it has the flag i; it matches more than one string
	open                                    int  // groups that are open within the text, which is the first
	groups                                  [maxGroups + 2]group
}

// weight is what repetition multiplies.
type weight struct {
	insts, branches, ranges int32
	// optional counts what may be left out.
	optional int32
}

func (w *weight) add(v weight) {
	w.insts = min(w.insts+v.insts, maxCount)
	w.branches = min(w.branches+v.branches, maxCount)
	w.ranges = min(w.ranges+v.ranges, maxCount)
	w.optional = min(w.optional+v.optional, maxCount)
}

// times has it occur n times.
func (w *weight) times(n int) {
	for _, count := range []*int32{&w.insts, &w.branches, &w.ranges, &w.optional} {
		*count = int32(min(int64(*count)*int64(n), maxCount))
	}
}

// group is an open parenthesis.
type group struct {
	sum  weight // without last
	last weight // what a repetition would refer to
	dot  bool   // last is a dot, after which nothing can be told by one character
	// length is that of the current branch, longest that of the longest before.
	length, longest int32
}

func (g *group) push(w weight, length int32) {
	g.sum.add(g.last)
	g.last, g.dot = w, false
	g.length += length
}

// work puts the price on what was counted.
func (p *patternScanner) work() time.Duration {
	for p.open > 0 {
		p.close()
	}
	g := &p.groups[0]
	g.push(weight{}, 0)
	w, length := g.sum, float64(len(p.text))
	ns := byteTime*length + nodeTime*float64(p.nodes) + barTime*float64(p.bars) + instTime*max(0, float64(w.insts)-length) + runesTime*float64(w.ranges)
	branches := float64(min(w.branches, maxBranches))
	ns += mergeTime * (1 + 2*float64(w.optional)) * branches * (branches + float64(w.ranges))
	ns += depthTime * float64(p.depth) * length
	set := 1.0
	if p.several {
		set = maxSet
	}
	ns += float64(p.depth+1) * set * float64(max(0, p.items-1)) * (setTime + setByteTime*float64(max(g.length, g.longest)))
	wide := p.wide
	if p.fold {
		wide += 2 * p.spans
	}
	ns += float64(wide)*float64(wideTime) + float64(p.tables)*float64(tableTime)
	return patternTime + time.Duration(min(ns, float64(muchWork)))
}

func (p *patternScanner) scan() {
	for p.pos < len(p.text) && p.depth <= maxGroups {
		g := &p.groups[p.open]
		c := p.text[p.pos]
		p.pos++
		switch c {
		case '(':
			p.group()
		case ')':
			p.close()
		case '|':
			p.several = true
			p.bars++
			g.push(weight{insts: 1, branches: 1}, 0)
			g.longest, g.length = max(g.longest, g.length), 0
		case '[':
			p.class(g)
		case '.', '^', '$':
			p.nodes++
			g.push(weight{insts: 1}, 1)
			g.dot = c == '.'
		case '*', '+', '?', '{':
			p.repeat(g, c)
		case '\\':
			p.escape(g)
		default:
			g.push(weight{insts: 1}, 1)
		}
	}
}

// group begins a group, or sets flags.
func (p *patternScanner) group() {
	if rest := p.text[p.pos:]; strings.HasPrefix(rest, "?") && !strings.HasPrefix(rest, "?P<") && !strings.HasPrefix(rest, "?<") {
		end := strings.IndexAny(rest, ":)")
		if end < 0 {
			return
		}
		p.fold = p.fold || strings.Contains(rest[:end], "i")
		p.pos += end + 1
		if rest[end] == ')' {
			return
		}
	}
	p.nodes++
	p.items++
	p.open++
	p.groups[p.open] = group{}
	p.depth = max(p.depth, p.open)
}

func (p *patternScanner) close() {
	if p.open == 0 {
		return
	}
	g := &p.groups[p.open]
	p.open--
	g.push(weight{insts: 2}, 0)
	g.sum.add(g.last)
	p.groups[p.open].push(g.sum, max(g.length, g.longest))
}

// repeat reads what follows on what is repeated.
func (p *patternScanner) repeat(g *group, c byte) {
	least, most := 0, 1
	switch c {
	case '+':
		least = 1
	case '{':
		count, _, closed := strings.Cut(p.text[p.pos:], "}")
		var ok bool
		if least, most, ok = repeatCount(count); !ok || !closed {
			g.push(weight{insts: 1}, 1)
			return
		}
		p.pos += len(count) + 1
	}
	if strings.HasPrefix(p.text[p.pos:], "?") {
		p.pos++
	}
	p.nodes++
	g.last.times(max(1, most))
	own := weight{insts: int32(2 + most - least)}
	if !g.dot {
		own.branches, own.optional = 1, int32(max(1, most-least))
	}
	g.last.add(own)
}

// repeatCount reads the inside of {2}, {2,} or {2,3}.
func repeatCount(s string) (least, most int, ok bool) {
	number := func(s string) (n int, ok bool) {
		for _, c := range []byte(s) {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = min(10*n+int(c-'0'), 1000) // Prometheus takes no more.
		}
		return n, s != ""
	}
	low, high, comma := strings.Cut(s, ",")
	if least, ok = number(low); !ok {
		return 0, 0, false
	}
	most = least
	if comma && high == "" {
		most++
	} else if comma {
		most, ok = number(high)
	}
	return least, max(least, most), ok
}

// escape reads what follows on a backslash.
func (p *patternScanner) escape(g *group) {
	if p.pos >= len(p.text) {
		return
	}
	c := p.text[p.pos]
	p.pos++
	switch c {
	case 'Q':
		literal, rest, _ := strings.Cut(p.text[p.pos:], `\E`)
		p.pos = len(p.text) - len(rest)
		g.push(weight{insts: int32(len(literal))}, int32(len(literal)))
	case 'p', 'P':
		p.nodes++
		p.items++
		p.wide++
		p.spans++
		p.several = true
		name := 1
		if rest := p.text[p.pos:]; strings.HasPrefix(rest, "{") {
			name = strings.IndexByte(rest, '}') + 1
		}
		p.pos = min(p.pos+name, len(p.text))
		g.push(weight{insts: 1, ranges: tableRanges}, 4)
	case 'd', 'D', 's', 'S', 'w', 'W':
		p.nodes++
		p.items++
		p.several = true
		if c < 'a' {
			p.wide++
		}
		g.push(weight{insts: 1, ranges: 5}, 4)
	case 'A', 'b', 'B', 'z':
		p.nodes++
		g.push(weight{insts: 1}, 0)
	default:
		g.push(weight{insts: 1}, 1)
	}
}

// class reads what follows on an opening bracket.
func (p *patternScanner) class(g *group) {
	p.nodes++
	p.items++
	p.several = true
	wide, spans, tables := false, 0, 0
	start := p.pos
	if strings.HasPrefix(p.text[p.pos:], "^") {
		wide = true
		p.pos++
	}
	for first := true; p.pos < len(p.text) && (first || p.text[p.pos] != ']'); first = false {
		rest := p.text[p.pos:]
		switch {
		case strings.HasPrefix(rest, "[:"):
			p.nodes++
			if end := strings.Index(rest[2:min(len(rest), 18)], ":]"); end >= 0 {
				wide = wide || rest[2] == '^'
				p.pos += end + 3
			}
		case rest[0] == '\\' && len(rest) > 1:
			wide = wide || strings.IndexByte("pPDSWx01234567", rest[1]) >= 0
			if rest[1]|0x20 == 'p' {
				tables++
			}
			p.pos++
		case rest[0] == '-' && len(rest) > 1:
			wide = wide || rest[1] >= 0x80
			spans++
		}
		p.pos++
	}
	if wide {
		p.wide++
		p.spans += spans + tables
	}
	p.tables += tables
	p.pos = min(p.pos+1, len(p.text))
	g.push(weight{insts: 1, ranges: int32(p.pos - start + tables*tableRanges)}, 4)
}
