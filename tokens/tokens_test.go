package tokens

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanCreatedBy(t *testing.T) {
	long := strings.Repeat("a", MaxCreatedBy)
	for text, want := range map[string]string{
		"": "", "local:anna": "local:anna", "kubernetes:Ärztin": "kubernetes:Ärztin", long: long,
		long + "a":               long[:MaxCreatedBy-3] + "…",
		strings.Repeat("ä", 200): strings.Repeat("ä", 126) + "…",
		strings.Repeat("a", 252) + "ääääää": strings.Repeat("a", 252) + "…",
		"x\xffy":                            "xy",
		strings.Repeat("\xff", 300):         "…",
		strings.Repeat("\x80", 300):         "…",
		"no place for\nlines is asked here": "no place for\nlines is asked here",
	} {
		got := CleanCreatedBy(text)
		if got != want || len(got) > MaxCreatedBy || !utf8.ValidString(got) || CleanCreatedBy(got) != got {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
