package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing/direct"
	"github.com/promgate/promgate/routing/file"
)

// parser gathers the faults of one file.
type parser struct {
	name   string
	root   *yaml.Node
	faults Faults
	// unread are the keys whose value could not be read. That they look
	// absent after that is no fault of its own.
	unread []string
}

func parse(name string, data []byte, check func(file.Reference) error) (*Config, error) {
	p := &parser{name: name}
	c := &Config{}
	setDefaults(reflect.ValueOf(c).Elem())
	if p.document(data) {
		d := &decoder{dir: filepath.Dir(name), fault: func(line int, at file.Path, format string, args ...any) {
			p.unread = append(p.unread, at.String())
			p.add(line, at, format, args...)
		}}
		d.section(p.root, reflect.ValueOf(c).Elem(), nil)
		c.validate(p.report)
		for _, r := range c.references() {
			if err := check(r); err != nil {
				p.report(r.At, "%v; correct the path or the file", err)
			}
		}
	}
	if len(p.faults.All) == 0 {
		return c, nil
	}
	p.faults.sort()
	p.faults.Files = c.Files()
	return nil, &p.faults
}

// document reads the file's one YAML document and tells whether there is one
// to go on with. An empty file is an empty mapping.
func (p *parser) document(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		p.root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
		return true
	case err != nil:
		p.syntax(err)
		return false
	}
	p.root = first.Content[0]
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.syntax(err)
	default:
		p.add(second.Line, nil, "the file holds more than one YAML document; remove what starts with the --- here")
	}
	return true
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
	p.add(line, nil, "this is not YAML: %s; check the indentation, colons and quotes around this line", message)
}

func (p *parser) add(line int, at file.Path, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if len(at) > 0 {
		message = clip(at.String()) + ": " + message
	}
	// Keys and values that a fault repeats must not break its line.
	message = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, message)
	p.faults.All = append(p.faults.All, Fault{File: p.name, Line: max(line, 1), Message: message})
}

// report is the file.Report of validators.
func (p *parser) report(at file.Path, format string, args ...any) {
	here := at.String()
	for _, u := range p.unread {
		rest, below := strings.CutPrefix(here, u)
		if below && (u == "" || rest == "" || strings.ContainsAny(rest[:1], ".[")) {
			return
		}
	}
	for i, arg := range args {
		if path, ok := arg.(file.Path); ok {
			args[i] = fmt.Sprintf("line %d", p.line(path))
		}
	}
	p.add(p.line(at), at, format, args...)
}

// line is where the path stands: the line of its last step that the file has.
func (p *parser) line(at file.Path) int {
	n, line := p.root, p.root.Line
	for _, step := range at {
		next, nextLine := child(n, step)
		if next == nil {
			break
		}
		n, line = next, nextLine
	}
	return line
}

func child(n *yaml.Node, step any) (*yaml.Node, int) {
	switch s := step.(type) {
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && s < len(n.Content) {
			return n.Content[s], n.Content[s].Line
		}
	}
	return nil, 0
}

// checkFile opens a file that the configuration names and tells whether it
// holds what it should.
func checkFile(r file.Reference) error {
	var err error
	switch r.Kind {
	case file.KindCA:
		_, err = direct.ReadCA(r.File)
	case file.KindKeyPair:
		_, err = direct.ReadKeyPair(r.File, r.Key)
	case file.KindSecret:
		_, err = direct.ReadSecret(r.File)
	case file.KindKubeconfig:
		err = kube.CheckKubeconfig(r.File, r.Context)
	case kindUsers:
		err = checkUsers(r.File)
	default:
		err = fmt.Errorf("no way to check a file of kind %q", r.Kind)
	}
	return err
}
