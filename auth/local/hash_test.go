package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// cheap is the least that a file may ask for.
var cheap = cost{scheme: schemeArgon2id, memory: minMemory, passes: 1, lanes: 1, salt: 8, key: 16}

// hashed is a hash of that cost whose salt is the same each time.
func hashed(c cost, password string) string {
	h := &passwordHash{cost: c, salt: bytes.Repeat([]byte{7}, c.salt)}
	h.secret = hide(h.compute(password))
	return h.phc()
}

// The argon2id hashes are the test vectors of the reference implementation; the
// bcrypt ones were made by libxcrypt's crypt(3), as htpasswd -B has them made.
var knownAnswers = []struct{ hash, password string }{
	{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
	{"$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg", "password"},
	{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94", "differentpassword"},
	{"$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw", "password"},
	{"$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2", "correct horse battery"},
	{"$2y$10$N9qo8uLOickgx2ZMRZoMyeUalutVAUeK1iyhYKLzwpTyWAft3dHE.", "correct horse battery"},
	{"$2a$10$N9qo8uLOickgx2ZMRZoMyeUalutVAUeK1iyhYKLzwpTyWAft3dHE.", "correct horse battery"},
}

func TestKnownAnswers(t *testing.T) {
	for _, k := range knownAnswers {
		h, err := parseHash(k.hash)
		if err != nil {
			t.Errorf("%s: %v", k.hash, err)
			continue
		}
		if !h.matches(k.password) {
			t.Errorf("%s is not of %q", k.hash, k.password)
		}
		for _, other := range []string{k.password + "x", ""} {
			if h.matches(other) {
				t.Errorf("%s is of %q too", k.hash, other)
			}
		}
	}
}

func TestBadHashes(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	const good = "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + key
	long := strings.Repeat("AAAA", 22) // 66 bytes
	const kind, form, whole, bounds = "of a kind that is known", "not an argon2id hash of version 19", "not a whole bcrypt hash", "is out of bounds"
	for text, want := range map[string]string{
		"":                                       kind,
		"hunter2":                                kind,
		"$argon2i$v=19$m=65536,t=2,p=1$a$b":      kind,
		"$1$abc$def":                             kind,
		"$2$10$" + strings.Repeat("a", 53):       kind,
		"$2x$10$" + strings.Repeat("a", 53):      kind,
		"{SHA}abc":                               kind,
		" " + good:                               kind,
		"$argon2id$":                             form,
		good + "$":                               form,
		good + " ":                               form,
		good + "\n":                              form,
		good + "=":                               form,
		good[:len(good)-1] + "d":                 form, // bits after the last byte
		strings.Replace(good, "v=19", "v=16", 1): form,
		strings.Replace(good, "$v=19", "", 1):    form,
		strings.Replace(good, "m=65536", "m=065536", 1):          form,
		strings.Replace(good, "m=65536", "m=+65536", 1):          form,
		strings.Replace(good, "m=65536", "m=9e9", 1):             form,
		strings.Replace(good, "t=2", "t=4294967296", 1):          form,
		strings.Replace(good, "m=65536,t=2", "t=2,m=65536", 1):   form,
		strings.Replace(good, ",p=1", ",p=1,x=1", 1):             form,
		strings.Replace(good, ",p=1", "", 1):                     form,
		strings.Replace(good, "m=65536", "m=8191", 1):            "m=8191 " + bounds,
		strings.Replace(good, "m=65536", "m=1048577", 1):         "m=1048577 " + bounds,
		strings.Replace(good, "t=2", "t=0", 1):                   "t=0 " + bounds,
		strings.Replace(good, "t=2", "t=11", 1):                  "t=11 " + bounds,
		strings.Replace(good, "p=1", "p=0", 1):                   "p=0 " + bounds,
		strings.Replace(good, "p=1", "p=17", 1):                  "p=17 " + bounds,
		strings.Replace(good, salt, salt[:8], 1):                 "a salt of 6 bytes " + bounds,
		strings.Replace(good, salt, "", 1):                       "a salt of 0 bytes " + bounds,
		strings.Replace(good, salt, long, 1):                     "a salt of 66 bytes " + bounds,
		strings.Replace(good, key, key[:20], 1):                  "a hash of 15 bytes " + bounds,
		strings.Replace(good, key, long, 1):                      "a hash of 66 bytes " + bounds,
		"$2b$10$":                                                whole,
		knownAnswers[5].hash[:59]:                                whole,
		knownAnswers[5].hash + "a":                               whole,
		knownAnswers[5].hash[:59] + "3":                          whole, // bits after the last byte
		knownAnswers[5].hash[:59] + "=":                          whole,
		knownAnswers[5].hash[:59] + "\n":                         whole,
		strings.Replace(knownAnswers[5].hash, "$10$", "$1a$", 1): whole,
		strings.Replace(knownAnswers[5].hash, "$10$", "$100", 1): whole,
		strings.Replace(knownAnswers[5].hash, "$10$", "$09$", 1): "cost 9 " + bounds,
		strings.Replace(knownAnswers[5].hash, "$10$", "$17$", 1): "cost 17 " + bounds,
	} {
		h, err := parseHash(text)
		switch {
		case err == nil || h != nil || !strings.Contains(err.Error(), want):
			t.Errorf("%q: got %v, want %q", text, err, want)
		case strings.Contains(err.Error(), salt) || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "abcdefghijkl"):
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
}

func TestHash(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		text, err := Hash("correct horse battery")
		if err != nil || !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") || seen[text] {
			t.Fatalf("got %q, %v", text, err)
		}
		seen[text] = true
		h, err := parseHash(text)
		if err != nil || h.cost != newCost || h.phc() != text || !h.matches("correct horse battery") || h.matches("correct horse batterz") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxPasswordBytes+1)} {
		if _, err := Hash(bad); err == nil {
			t.Errorf("a password of %d bytes was hashed", len(bad))
		}
	}
}

// TestBcryptNeverTruncates: of what bcrypt takes for equal, only what is equal
// is right.
func TestBcryptNeverTruncates(t *testing.T) {
	longest := strings.Repeat("0123456789", 8)[:bcryptLimit]
	for password, others := range map[string][]string{
		longest: {longest + "8", longest[:71]},
		"short": {"short\x00short"},
	} {
		encoded, err := bcrypt.GenerateFromPassword([]byte(password), minRounds)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHash(string(encoded))
		if err != nil || !h.matches(password) {
			t.Fatalf("%q is not right: %v", password, err)
		}
		for _, other := range others {
			if h.matches(other) {
				t.Errorf("%q is taken for %q", other, password)
			}
		}
	}
}

func TestDecoysCostTheSame(t *testing.T) {
	for _, c := range []cost{newCost, cheap, {scheme: schemeBcrypt, rounds: 10}, {scheme: schemeBcrypt, rounds: 16}} {
		d := decoy(c)
		if d.cost != c {
			t.Errorf("the decoy of %+v costs %+v", c, d.cost)
		}
		text := string(d.secret())
		if c.scheme == schemeArgon2id {
			text = d.phc()
		}
		if h, err := parseHash(text); err != nil || h.cost != c {
			t.Errorf("the decoy of %+v is no hash: %v", c, err)
		}
	}
	if decoy(cost{scheme: schemeBcrypt, rounds: 10}).matches("password") || decoy(cheap).matches("password") {
		t.Error("a decoy matches")
	}
}

func TestCheckPassword(t *testing.T) {
	const name = "anna of the shop"
	for password, want := range map[string]string{
		"correct horse battery":          "",
		"zwölf Zeichn":                   "",
		strings.Repeat("x", 1024):        "",
		"":                               "the password has 0 characters: choose one of at least 12",
		"short":                          "the password has 5 characters: choose one of at least 12",
		"elf Zeichen":                    "the password has 11 characters: choose one of at least 12",
		"äöüäöüäöüäö":                    "the password has 11 characters: choose one of at least 12",
		name:                             "the password is the user's name: choose another one",
		strings.ToUpper(name):            "the password is the user's name: choose another one",
		strings.Repeat("x", 1025):        "the password has over 1024 bytes: choose a shorter one",
		"\xff\xfe correct horse battery": "the password is not UTF-8 text: no browser could send it; choose another one",
	} {
		err := CheckPassword(name, password)
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%q: got %q, want %q", password, got, want)
		}
	}
}

func TestHashesNeverPrint(t *testing.T) {
	const key = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h, err := parseHash(knownAnswers[0].hash)
	b, bErr := parseHash(knownAnswers[5].hash)
	if err != nil || bErr != nil {
		t.Fatal(err, bErr)
	}
	u := newUsers([]*account{{user: User{Name: "anna"}, hash: h}, {user: User{Name: "bert"}, hash: b}})
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, h, u, u.accounts[0], []any{b, u.accounts, u.All()})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "h", h, "u", u, "all", u.All())
	raw, _ := json.Marshal([]any{h, u, u.All()})
	out.Write(raw)
	for _, secret := range []string{key, fmt.Sprintf("%x", h.secret()), fmt.Sprint(h.secret())[1:20], string(b.secret()[20:]), fmt.Sprintf("%x", b.secret()[20:])} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in %s", secret, out.String())
		}
	}
}

// FuzzParseHash states that what is accepted can be right: the hash of a
// password with the same salt and figures is accepted too, and is of that
// password alone.
func FuzzParseHash(f *testing.F) {
	for _, k := range knownAnswers {
		f.Add(k.hash, k.password)
	}
	f.Add(hashed(cheap, "password"), "password")
	f.Add("$argon2id$v=19$m=8192,t=1,p=16$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "\x00")
	f.Add("$2b$10$"+strings.Repeat(".", 53), "a")
	f.Add("$argon2id$v=19$m=8192,t=1,p=1$$", "")
	f.Fuzz(func(t *testing.T, text, password string) {
		h, err := parseHash(text)
		if err != nil {
			if h != nil {
				t.Fatal("a hash beside an error")
			}
			return
		}
		if h.cost.scheme == schemeArgon2id && h.phc() != text {
			t.Fatalf("%q prints as %q", text, h.phc())
		}
		if password == "" || len(password) > 70 || strings.Contains(password, "\x00") {
			return
		}
		var own string
		switch {
		case h.cost.scheme == schemeBcrypt && h.cost.rounds == minRounds:
			encoded, err := bcrypt.GenerateFromPassword([]byte(password), h.cost.rounds)
			if err != nil {
				t.Fatal(err)
			}
			own = string(encoded)
		case h.cost.scheme == schemeArgon2id && h.cost.memory*h.cost.passes <= 2*minMemory:
			h.secret = hide(h.compute(password))
			own = h.phc()
		default: // takes too long
			return
		}
		again, err := parseHash(own)
		if err != nil || !again.matches(password) || again.matches(password+"x") {
			t.Errorf("%q is not of %q alone: %v", own, password, err)
		}
	})
}
