package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxGroups bounds the groups of one user.
const maxGroups = 1000

// maxFaults bounds what is told of one file: one that is no users file at all
// could have millions.
const maxFaults = 1000

// document is a users file that nothing is wrong with.
type document struct {
	root     *yaml.Node // the document
	list     *yaml.Node // the list of users in it
	accounts []*account // the users of the list, in its order
	warnings []string
}

// parser gathers the faults of one file.
type parser struct {
	name     string
	faults   Faults
	warnings []string
	taken    map[string]int // lines of names
	folded   map[string]int // lines of names in lower case
}

func parse(name string, data []byte) (*document, error) {
	p := &parser{name: name, taken: map[string]int{}, folded: map[string]int{}}
	d := &document{}
	if d.root = p.document(data); d.root != nil {
		if d.list = p.users(d.root.Content[0]); d.list != nil {
			for i, n := range d.list.Content {
				d.accounts = append(d.accounts, p.account(n, fmt.Sprintf("users[%d]", i)))
			}
		}
	}
	if len(p.faults.All) > 0 {
		p.faults.sort()
		return nil, &p.faults
	}
	d.warnings = p.warnings
	return d, nil
}

// document reads the file's one YAML document; nil: there is none.
func (p *parser) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		// A file that is about to be written can look like this. It is not to
		// end everybody's access.
		p.fault(1, "", "the file is empty; write users: [] for no users, or run promgate user add")
		return nil
	case err != nil:
		p.syntax(err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.syntax(err)
	default:
		p.fault(second.Line, "", "the file holds more than one YAML document; remove what starts with the --- here")
	}
	return &first
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax reports an error of the YAML library, which stops at the first.
func (p *parser) syntax(err error) {
	line, message := 1, err.Error()
	if m := yamlError.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		message = m[2]
		// The library counts these from 0, as it does not its other errors.
		if strings.HasPrefix(message, "did not find expected") && m[1] != "" {
			line++
		}
	}
	if strings.HasPrefix(message, "unknown anchor") { // goes on with a text of the file
		message = "an alias (*name) refers to nothing"
	}
	p.fault(line, "", "this is not YAML: %s; check the indentation, colons and quotes around this line", message)
}

func (p *parser) fault(line int, at, format string, args ...any) {
	switch n := len(p.faults.All); {
	case n == maxFaults:
		return
	case n == maxFaults-1:
		at, format, args = "", "there are more faults from here on; correct these first", nil
	}
	message := fmt.Sprintf(format, args...)
	if at != "" {
		message = at + ": " + message
	}
	p.faults.All = append(p.faults.All, Fault{File: p.name, Line: max(line, 1), Message: message})
}

// users finds the list of users; nil: there is none.
func (p *parser) users(top *yaml.Node) *yaml.Node {
	var list *yaml.Node
	for key, value := range p.pairs(top, "") {
		if key.Value != "users" {
			p.fault(key.Line, "", "unknown key%s; users is the only one at the margin", word(key.Value))
			continue
		}
		if value.Kind != yaml.SequenceNode {
			p.fault(value.Line, "users", "%s stands where a list belongs; write each user after a hyphen, or users: [] for none", kindWord(value))
			return nil
		}
		list = value
	}
	if list == nil && len(p.faults.All) == 0 {
		p.fault(top.Line, "", "there is no key users; write users: [] for no users, or run promgate user add")
	}
	return list
}

// account reads a user. What it returns is for use only where there are no faults.
func (p *parser) account(n *yaml.Node, at string) *account {
	a := &account{}
	seen := map[string]bool{}
	for key, value := range p.pairs(n, at) {
		seen[key.Value] = true
		at := at + "." + key.Value
		switch key.Value {
		case "name":
			a.user.Name = p.userName(value, at)
		case "passwordHash":
			a.hash = p.hash(value, at)
		case "groups":
			a.user.Groups = p.groups(value, at)
		case "disabled":
			a.disabled = p.disabled(value, at)
		case "password":
			p.fault(key.Line, at, "passwords are not written here; remove it, and have promgate user password make a passwordHash")
		default:
			p.fault(key.Line, "", "unknown key%s; write one of name, passwordHash, groups, disabled", word(key.Value))
		}
	}
	for _, required := range []string{"name", "passwordHash"} {
		if n.Kind == yaml.MappingNode && !seen[required] {
			p.fault(n.Line, at, "the user has no %s; write it, or remove the user and run promgate user add", required)
		}
	}
	return a
}

func (p *parser) userName(n *yaml.Node, at string) string {
	name, ok := p.text(n, at)
	if !ok {
		return ""
	}
	if err := CheckName(name); err != nil {
		p.fault(n.Line, at, "%v", err)
		return ""
	}
	if line, taken := p.taken[name]; taken {
		p.fault(n.Line, at, "the name %q is taken already in line %d; remove one of the two users", name, line)
		return ""
	}
	p.taken[name] = n.Line
	lower := strings.ToLower(name)
	if line, like := p.folded[lower]; like {
		p.warnings = append(p.warnings, fmt.Sprintf("%s:%d: the name %q differs from that in line %d in case alone; they are two users",
			p.name, n.Line, name, line))
	}
	p.folded[lower] = n.Line
	return name
}

func (p *parser) hash(n *yaml.Node, at string) *passwordHash {
	text, ok := p.text(n, at)
	if !ok {
		return nil
	}
	hash, err := parseHash(text)
	if err != nil {
		p.fault(n.Line, at, "%v", err)
	}
	return hash
}

func (p *parser) groups(n *yaml.Node, at string) []string {
	if n.Kind != yaml.SequenceNode {
		p.fault(n.Line, at, "%s stands where a list belongs; write [first, second], or remove groups for none", kindWord(n))
		return nil
	}
	if len(n.Content) > maxGroups {
		p.fault(n.Line, at, "there are %d groups; a user has %d at most", len(n.Content), maxGroups)
		return nil
	}
	var groups []string
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", at, i)
		group, ok := p.text(item, at)
		if !ok {
			continue
		}
		if err := CheckName(group); err != nil {
			p.fault(item.Line, at, "%v", err)
			continue
		}
		if slices.Contains(groups, group) {
			p.fault(item.Line, at, "the group %q is written twice; keep one", group)
			continue
		}
		groups = append(groups, group)
	}
	return groups
}

func (p *parser) disabled(n *yaml.Node, at string) bool {
	text, ok := p.text(n, at)
	yes := strings.EqualFold(text, "true")
	if ok && !yes && !strings.EqualFold(text, "false") {
		p.fault(n.Line, at, "neither true nor false; write one of them")
	}
	return yes
}

// text reads a single value as it is written, whatever type YAML sees in it.
func (p *parser) text(n *yaml.Node, at string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		p.fault(n.Line, at, "%s stands where a single value belongs; write it on one line after the key", kindWord(n))
	case n.ShortTag() == "!!null":
		p.fault(n.Line, at, "there is no value; write one")
	case !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag()):
		p.fault(n.Line, at, "the YAML tag before the value is not understood; remove it, or put the value in quotes")
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		p.fault(n.Line, at, "the value holds line breaks or control characters; write it as plain text on one line")
	default:
		return n.Value, true
	}
	return "", false
}

// pairs yields the keys of a mapping with their values, and reports what is not
// a mapping or has a key twice.
func (p *parser) pairs(n *yaml.Node, at string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			p.fault(n.Line, at, "%s stands where a mapping belongs; write keys with values below it", kindWord(n))
			return
		}
		first := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch line, taken := first[key.Value]; {
			case key.Kind != yaml.ScalarNode:
				p.fault(key.Line, at, "%s stands where a key belongs; write a plain word", kindWord(key))
				continue
			case key.ShortTag() == "!!merge":
				p.fault(key.Line, at, "merge keys (<<) are not understood; write the keys out")
				continue
			case taken:
				p.fault(key.Line, at, "the key%s is written twice, first in line %d; keep one of them", word(key.Value), line)
				continue
			}
			first[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)

// word is a key in a message, unless it could be a hash that lost its own key.
func word(key string) string {
	if !plainWord.MatchString(key) {
		return ""
	}
	return " " + key
}

func kindWord(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (*name)"
	}
	return "a single value"
}
