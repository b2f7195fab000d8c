package local

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a users file.
type Fault struct {
	// File is the file's name as given to Load, and Line the line in it, from 1.
	File string
	Line int
	// Message says what is wrong and what to write instead. It never repeats a
	// hash.
	Message string
}

// String writes the fault as file:line: message.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message) }

// Faults is everything that is wrong with a users file.
type Faults struct {
	// All are sorted by line. There is at least one.
	All []Fault
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
}
