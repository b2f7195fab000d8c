package local

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is how many characters the name of a user or a group has at most.
const MaxName = 128

// CheckName tells what is wrong with the name of a user or a group. It never
// repeats the name, which may be anything that stands in the wrong
// place.
func CheckName(name string) error {
	n := utf8.RuneCountInString(name)
	switch {
	case name == "":
		return errors.New("the name is empty; write one")
	case n > MaxName:
		return fmt.Errorf("the name has %d characters; shorten it to %d", n, MaxName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		// Among them are those that turn the direction of writing, and spaces
		// that cannot be told from plain ones.
		return errors.New("the name has characters that cannot be seen; write letters, digits, signs and plain spaces")
	case strings.Trim(name, " ") != name:
		return errors.New("the name has a space at an end; remove it")
	case strings.Contains(name, "$2"), strings.Contains(name, "$argon2"):
		return errors.New("the name looks like the hash of a password; write the name alone")
	}
	return nil
}
