package file

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"1B": 1, "3KiB": 3 << 10, "1536KiB": 1536 << 10, "2GiB": 2 << 30, "0B": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != text {
			t.Errorf("%s: got %d (%s), %v", text, s, s, err)
		}
	}
	for _, text := range []string{"", "1", "1KB", "1.5MiB", "-1B", "MiB", "9007199254740992GiB", "1 MiB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// FuzzParse states that no file makes the parser panic, and that what it
// accepts means the same after it is written and parsed again.
