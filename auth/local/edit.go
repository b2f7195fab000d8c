package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Errors of editing that tell who is there already, and who is not.
var (
	// ErrExists means that a user of that name exists already.
	ErrExists = errors.New("the user exists already")
	// ErrUnknown means that no user has that name.
	ErrUnknown = errors.New("no user has that name")
)

// blank is a users file before its first user.
const blank = "# The users of promgate. promgate user --help tells how to change them.\nusers: []\n"

// Add appends a user to the users file, and makes the file with mode 0600 where
// it is missing. The error wraps ErrExists where the name is taken. hash is
// what Hash returns, or any other that the file may hold.
//
// All edits keep the order and the comments of the file and its mode, replace
// it at once or not at all, and wait for each other. They refuse a file that
// Load refuses, with the same error.
func Add(path string, user User, hash string) error { return editor{}.add(path, user, hash, false) }

// AddDisabled is Add of a user who cannot sign in until SetDisabled allows it.
func AddDisabled(path string, user User, hash string) error {
	return editor{}.add(path, user, hash, true)
}

// SetPassword changes the hash of a user's password. The error wraps ErrUnknown
// where there is no such user.
func SetPassword(path, name, hash string) error { return editor{}.setPassword(path, name, hash) }

// SetDisabled disables a user, or enables it again. It does nothing where the
// user is so already. The error wraps ErrUnknown where there is no such user.
func SetDisabled(path, name string, disabled bool) error {
	return editor{}.setDisabled(path, name, disabled)
}

// Remove removes a user, and the comments that stand with it. The error wraps
// ErrUnknown where there is no such user.
func Remove(path, name string) error { return editor{}.remove(path, name) }

// editor edits users files. The zero editor does.
type editor struct {
	rename func(from, to string) error // nil: os.Rename
}

func (e editor) add(path string, user User, hash string, disabled bool) error {
	if err := CheckName(user.Name); err != nil {
		return err
	}
	for _, g := range user.Groups {
		if err := CheckName(g); err != nil {
			return fmt.Errorf("group: %w", err)
		}
	}
	parsed, err := parseHash(hash)
	if err != nil {
		return err
	}
	return e.edit(path, true, func(d *document) (bool, error) {
		if d.find(user.Name) >= 0 {
			return false, ErrExists
		}
		n := &yaml.Node{Kind: yaml.MappingNode}
		set(n, "name", scalar(user.Name))
		set(n, "passwordHash", scalar(hash))
		if len(user.Groups) > 0 {
			groups := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, g := range user.Groups {
				groups.Content = append(groups.Content, scalar(g))
			}
			set(n, "groups", groups)
		}
		if disabled {
			set(n, "disabled", boolean(true))
		}
		if len(d.list.Content) == 0 {
			d.list.Style &^= yaml.FlowStyle // users: [] has it for want of users alone
		}
		d.list.Content = append(d.list.Content, n)
		d.accounts = append(d.accounts, &account{user: user.clone(), disabled: disabled, hash: parsed})
		return true, nil
	})
}

func (e editor) setPassword(path, name, hash string) error {
	parsed, err := parseHash(hash)
	if err != nil {
		return err
	}
	return e.edit(path, false, func(d *document) (bool, error) {
		i := d.find(name)
		if i < 0 {
			return false, ErrUnknown
		}
		set(d.list.Content[i], "passwordHash", scalar(hash))
		d.accounts[i].hash = parsed
		return true, nil
	})
}

func (e editor) setDisabled(path, name string, disabled bool) error {
	return e.edit(path, false, func(d *document) (bool, error) {
		i := d.find(name)
		if i < 0 {
			return false, ErrUnknown
		}
		if d.accounts[i].disabled == disabled {
			return false, nil
		}
		set(d.list.Content[i], "disabled", boolean(disabled))
		d.accounts[i].disabled = disabled
		return true, nil
	})
}

func (e editor) remove(path, name string) error {
	return e.edit(path, false, func(d *document) (bool, error) {
		i := d.find(name)
		if i < 0 {
			return false, ErrUnknown
		}
		d.list.Content = slices.Delete(d.list.Content, i, i+1)
		d.accounts = slices.Delete(d.accounts, i, i+1)
		return true, nil
	})
}

// edit changes the file while it is locked. change tells whether there is
// anything to write.
func (e editor) edit(path string, create bool, change func(*document) (bool, error)) error {
	// A link stays a link: the file that it leads to is replaced.
	target, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		target = path
	case errors.Is(err, fs.ErrNotExist):
		return missingError(path)
	case err != nil:
		return fmt.Errorf("the users file cannot be read: %w", err)
	}
	unlock, err := lock(target)
	if err != nil {
		return fmt.Errorf("the users file cannot be changed: %w", err)
	}
	defer unlock()
	data, info, err := read(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		data, err = []byte(blank), nil
	}
	if err != nil {
		return err
	}
	if create && len(bytes.TrimSpace(data)) == 0 {
		data = []byte(blank)
	}
	d, err := parse(path, data)
	if err != nil {
		return err
	}
	changed, err := change(d)
	if err != nil || !changed {
		return err
	}
	if data, err = d.encode(path); err != nil {
		return err
	}
	if err := e.replace(target, data, info); err != nil {
		return fmt.Errorf("the users file stays as it was: %w", err)
	}
	return nil
}

// encode writes the document, and makes sure that the text says the same.
func (d *document) encode(path string) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d.root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("the users file stays as it was: it cannot be written as YAML: %w", err)
	}
	if out.Len() > maxFileBytes {
		return nil, fmt.Errorf("the users file stays as it was: it would have more than %d MiB", maxFileBytes>>20)
	}
	again, err := parse(path, out.Bytes())
	if err != nil || !slices.EqualFunc(again.accounts, d.accounts, (*account).equal) {
		return nil, errors.New("the users file stays as it was: its comments or its form cannot be kept with the change; make it by hand")
	}
	return out.Bytes(), nil
}

func (a *account) equal(b *account) bool {
	return a.user.Name == b.user.Name && slices.Equal(a.user.Groups, b.user.Groups) &&
		a.disabled == b.disabled && a.hash.equal(b.hash)
}

// find is where the user of that name is in the list; -1: nowhere.
func (d *document) find(name string) int {
	return slices.IndexFunc(d.accounts, func(a *account) bool { return a.user.Name == name })
}

// set gives a key of a mapping another value, which keeps the comments of the
// old one.
func set(mapping *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			old := mapping.Content[i+1]
			value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
			mapping.Content[i+1] = value
			return
		}
	}
	mapping.Content = append(mapping.Content, scalar(key), value)
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(b)}
}

// replace puts a new file in the place of target, whole or not at all. info is
// of the old one; nil: there is none.
func (e editor) replace(target string, data []byte, info fs.FileInfo) error {
	dir := filepath.Dir(target)
	f, err := os.CreateTemp(dir, "."+filepath.Base(target)+".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // there is none after a rename
	mode := fs.FileMode(0o600)
	if info != nil {
		mode = info.Mode().Perm()
	}
	_, err = f.Write(data)
	if err == nil {
		err = keepOwner(f.Name(), dir, info)
	}
	if err == nil {
		err = f.Chmod(mode) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	rename := e.rename
	if rename == nil {
		rename = os.Rename
	}
	if err := rename(f.Name(), target); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}
