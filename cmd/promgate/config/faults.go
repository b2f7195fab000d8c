package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a configuration file.
type Fault struct {
	// File is the file's name as given to Parse, and Line the line in it, from 1.
	File string
	Line int
	// Message says what is wrong and what to write instead.
	Message string
}

// String writes the fault as file:line: message.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message) }

// Faults is everything that is wrong with a configuration file.
type Faults struct {
	// All are sorted by line. There is at least one.
	All []Fault
	// Files are those that the configuration names as far as it could be read,
	// so that they can be watched: a fault may end when one of them changes.
	Files []string
}

// Error writes the faults, one a line.
func (f *Faults) Error() string {
	lines := make([]string, len(f.All))
	for i, fault := range f.All {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

func (f *Faults) sort() {
	slices.SortStableFunc(f.All, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	f.All = slices.Compact(f.All)
}
