package promql

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/util/strutil"
)

// What a text may ask of the parser, whose work grows with the square of some of
// these and without bound with others. Together they keep parsing, printing and
// parsing again below 50 ms. Dashboards have a few hundred terms, nest 20 deep,
// and need less than 1 ms for their regular expressions.
const (
	// maxNesting bounds the syntax tree's depth: each parenthesis and call adds
	// a level, each operator in a chain does too. Checking types takes time with
	// the tree's size times its depth.
	maxNesting = 500
	// maxTerms bounds the tokens. A label in both on() and group_left() costs
	// an error message each, so that pairs of these count as well.
	maxTerms = 4000
	// maxPrinting bounds the printed text's length times its nesting, which is
	// what Prometheus' own printer copies, which the upstream may use.
	maxPrinting = 64 << 20
	// maxRegexpWork bounds what all regular expressions need to be compiled
	// once, as regexpWork has it, and what the text needs to be read.
	maxRegexpWork = 24 * time.Millisecond
	// readingTime is what one byte of text needs.
	readingTime = 8 * time.Nanosecond
	// printedNumber is the length of 1e308 when printed without exponent.
	printedNumber = 330
	// pairTerms is how many terms' time a pair of labels may take, and the others
	// how many bytes of a number, and how many bytes that a string gains when it
	// is printed, take a term's.
	pairTerms, numberTerm, growthTerm = 4, 32, 192
)

// guard refuses text that would cost much to parse, to print or to compile, in
// time that grows with its length alone. It says nothing of what does not parse.
// Several texts share the limits.
//
// It reads the text itself: Prometheus' lexer takes four times as long. Where
// that one stops with an error, this one goes on and may count too much.
func guard(texts ...string) error {
	var s scanner
	for _, text := range texts {
		s.scan(text)
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// scanner counts what the limits are about.
type scanner struct {
	text    string
	pos     int
	terms   int
	printed int           // length, at most, when printed
	copied  int           // bytes that printing copies
	work    time.Duration // for regular expressions
	nesting int           // of the text that was scanned last
	list    list          // which the last word opens
	on      int           // labels in the last list after on or ignoring
	braces  bool          // inside of a selector's
	pattern bool          // the last token was =~ or !~
	open    int           // levels that are open within the text, which is the first
	levels  [maxNesting + 2]level
}

// level is an open parenthesis or bracket.
type level struct {
	list   list
	start  int32 // terms before it
	chain  int32 // operators in the current argument
	below  int32 // depth of what the current argument has in parentheses
	deeper int32 // depth of the deepest argument before
}

func (l *level) depth() int32 { return max(l.deeper, l.chain+l.below) }

// list is a list of labels that is matched against another.
type list byte

const (
	noList list = iota
	onList
	groupList
)

// scan reads one text, or as much of it as is within the limits.
func (s *scanner) scan(text string) {
	s.text, s.pos, s.braces, s.pattern, s.list, s.on = text, 0, false, false, noList, 0
	s.open, s.levels[0] = 0, level{}
	s.work += time.Duration(len(text)) * readingTime
	before := s.printed
	s.printed += 3 * len(text)
	for s.pos < len(s.text) && s.terms <= maxTerms && s.open <= maxNesting && s.work <= maxRegexpWork {
		switch kind := kinds[s.text[s.pos]]; kind {
		case blankByte:
			s.pos++
		case commentByte:
			s.terms++
			s.comment()
		case tildeByte:
			s.pattern = true
			s.pos++
		default:
			s.terms++
			s.token(kind)
			s.pattern = false
		}
	}
	for s.open > 0 {
		s.close()
	}
	s.nesting = int(s.levels[0].depth())
	s.copied += (s.printed - before) * (s.nesting + 2)
}

// check tells of the first limit that is exceeded.
func (s *scanner) check() error {
	switch {
	case s.nesting > maxNesting:
		return refused("nesting", "the expression nests %d deep, and %d is the limit: use fewer parentheses and shorter chains of operators", s.nesting, maxNesting)
	case s.terms > maxTerms:
		return refused("terms", "the expression has more than %d terms, which is the limit: split it into several, or record parts of it with rules", maxTerms)
	case s.copied > maxPrinting:
		return refused("nesting", "the expression nests %d deep, and %d is the limit at its length: shorten it, or use fewer parentheses and shorter chains of operators",
			s.nesting, max(0, maxPrinting/s.printed-2))
	case s.work > maxRegexpWork:
		return refused("regexp", "the regular expressions of the expression take %v or more to compile, and %v is the limit: use fewer repetitions, fewer classes such as [^/] or \\S, and shorter lists",
			s.work.Round(100*time.Microsecond), maxRegexpWork)
	}
	return nil
}

func refused(limit, format string, args ...any) error {
	return &RefusedError{Limit: limit, Message: fmt.Sprintf(format, args...)}
}

// token reads one token, which counted already.
func (s *scanner) token(kind byteKind) {
	list := s.list
	s.list = noList
	top := &s.levels[s.open]
	switch kind {
	case wordByte:
		s.word(top)
		return
	case digitByte:
		s.number()
		return
	case quoteByte:
		s.str()
		return
	case operatorByte:
		if !s.braces {
			top.chain++
		}
	case equalByte:
		if !s.braces && strings.HasPrefix(s.text[s.pos:], "==") {
			top.chain++
			s.pos++
		}
	case commaByte:
		top.deeper, top.chain, top.below = top.depth(), 0, 0
	case openByte:
		if s.text[s.pos] == '[' {
			top.chain++ // A subquery is a node above its expression.
		}
		s.open++
		s.levels[s.open] = level{list: list, start: int32(s.terms)}
	case closeByte:
		s.close()
	case braceByte:
		s.braces = s.text[s.pos] == '{'
	}
	s.pos++
}

// close ends a level.
func (s *scanner) close() {
	if s.open == 0 {
		return
	}
	l, up := &s.levels[s.open], &s.levels[s.open-1]
	s.open--
	up.below = max(up.below, l.depth()+1)
	labels := (s.terms - int(l.start)) / 2 // Half of the tokens are commas.
	switch l.list {
	case onList:
		s.on = labels
	case groupList:
		s.terms += pairTerms * s.on * labels
	}
}

func (s *scanner) word(top *level) {
	start := s.pos
	for s.pos < len(s.text) && inWord(s.text[s.pos]) {
		s.pos++
	}
	if s.braces {
		return
	}
	word := s.text[start:s.pos]
	is := func(keyword string) bool { return strings.EqualFold(word, keyword) }
	switch len(word) {
	case 2:
		if is("or") {
			top.chain++
		} else if is("on") {
			s.list = onList
		}
	case 3, 5, 6:
		if is("and") || is("atan2") || is("unless") {
			top.chain++
		}
	case 8:
		if is("ignoring") {
			s.list = onList
		}
	case 10, 11:
		if is("group_left") || is("group_right") {
			s.list = groupList
		}
	}
}

// number reads a number or duration. What is printed has no exponent.
func (s *scanner) number() {
	start, exponent := s.pos, false
	for s.pos < len(s.text) && (inWord(s.text[s.pos]) && s.text[s.pos] != ':' || s.text[s.pos] == '.') {
		exponent = exponent || s.text[s.pos]|0x20 == 'e'
		s.pos++
	}
	s.terms += (s.pos - start) / numberTerm
	if exponent {
		s.printed += printedNumber
	}
}

func (s *scanner) comment() {
	end := strings.IndexAny(s.text[s.pos:], "\r\n")
	if end < 0 {
		end = len(s.text) - s.pos
	}
	s.pos += end
}

// str reads a string, which may be a regular expression.
func (s *scanner) str() {
	start, quote := s.pos, s.text[s.pos]
	growth, escaped := 0, false
	i := start + 1
	for ; i < len(s.text) && s.text[i] != quote; i++ {
		c := s.text[i]
		if c == '\\' && quote != '`' {
			escaped = true
			i++
		} else if c == '\n' && quote != '`' {
			break
		}
		growth += int(growths[c])
	}
	s.pos = min(i+1, len(s.text))
	s.printed += growth - 2*(s.pos-start) // It was counted thrice.
	s.terms += growth / growthTerm
	if !s.pattern || i >= len(s.text) {
		return
	}
	pattern := s.text[start+1 : i]
	if escaped {
		var err error
		if pattern, err = strutil.Unquote(s.text[start:s.pos]); err != nil {
			return
		}
	}
	s.work += regexpWork(pattern)
}

type byteKind byte

const (
	otherByte byteKind = iota
	blankByte
	commentByte
	wordByte
	digitByte
	quoteByte
	operatorByte
	equalByte
	tildeByte
	commaByte
	openByte
	closeByte
	braceByte
)

// kinds tells what a token is by its first byte, and growths how many bytes a
// byte of a string gains when it is printed.
var kinds, growths = func() (kinds [256]byteKind, growths [256]byte) {
	for kind, bytes := range map[byteKind]string{
		blankByte: " \t\r\n", commentByte: "#", digitByte: "0123456789.", quoteByte: "\"'`", operatorByte: "+-*/%^<>!",
		equalByte: "=", tildeByte: "~", commaByte: ",", openByte: "([", closeByte: ")]", braceByte: "{}",
	} {
		for _, c := range []byte(bytes) {
			kinds[c] = kind
		}
	}
	for c := range kinds {
		switch {
		case c < ' ' || c == 0x7f:
			growths[c] = 3
		case c >= 0x80:
			growths[c] = 2
		case c == '"' || c == '\\':
			growths[c] = 1
		case c != ':' && inWord(byte(c)) && kinds[c] != digitByte:
			kinds[c] = wordByte
		}
	}
	return kinds, growths
}()

// inWord tells whether a name may go on with the byte.
func inWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == ':'
}
