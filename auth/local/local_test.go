package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"

	"github.com/promgate/promgate/auth"
)

// file writes a users file and returns its path.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.yaml")
	write(t, path, text)
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, path string) *Users {
	t.Helper()
	users, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

const longPassword = "0123456789012345678901234567890123456789012345678901234567890123456789012" // 73 bytes

// three is a file of an active user, a disabled one, and one of bcrypt.
func three(t testing.TB) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(longPassword[:72]), minRounds)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, `users:
  - name: anna
    passwordHash: `+hashed(cheap, "anna's password")+`
    groups: [shop-team, operators]
  - name: dora
    passwordHash: `+hashed(cheap, "dora's password")+`
    disabled: true
  - {name: "bert", passwordHash: '`+string(b)+`'}
`)
}

func TestVerify(t *testing.T) {
	users := load(t, three(t))
	anna, bert := User{Name: "anna", Groups: []string{"shop-team", "operators"}}, User{Name: "bert"}
	for _, c := range []struct {
		name, password string
		want           User
	}{
		{"anna", "anna's password", anna},
		{"bert", longPassword[:72], bert},
		{"anna", "dora's password", User{}},
		{"anna", "anna's password ", User{}},
		{"anna", "", User{}},
		{"anna", strings.Repeat("x", MaxPasswordBytes), User{}},
		{"anna", strings.Repeat("x", MaxPasswordBytes+1), User{}},
		{"Anna", "anna's password", User{}},
		{"anna ", "anna's password", User{}},
		{"dora", "dora's password", User{}},
		{"dora", "wrong", User{}},
		{"bert", longPassword, User{}},
		{"bert", longPassword[:71], User{}},
		{"nobody", "anna's password", User{}},
		{"", "", User{}},
		{strings.Repeat("x", 10000), "anna's password", User{}},
		// The hash itself opens nothing.
		{"anna", hashed(cheap, "anna's password"), User{}},
	} {
		got, err := users.Verify(t.Context(), c.name, c.password)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want.Name != "") {
			t.Errorf("%q, %q: got %+v, %v", c.name, c.password, got, err)
		}
		if err != nil && (err != ErrWrong || !errors.Is(err, auth.ErrInvalid)) {
			t.Errorf("%q, %q: got %v, want ErrWrong itself", c.name, c.password, err)
		}
	}
}

// TestEveryNameCostsAHash counts what is hashed: one hash a verification,
// whoever it is, and of unknown names one as most are.
func TestEveryNameCostsAHash(t *testing.T) {
	users := load(t, three(t))
	var ran []cost
	users.run = func(h *passwordHash, _ string) bool {
		ran = append(ran, h.cost)
		return true // also what matches the decoy is wrong
	}
	bcrypt10 := cost{scheme: schemeBcrypt, rounds: minRounds}
	for _, c := range []struct {
		name string
		want cost
		ok   bool
	}{
		{"anna", cheap, true}, {"dora", cheap, false}, {"bert", bcrypt10, true},
		{"nobody", cheap, false}, {"", cheap, false}, {strings.Repeat("x", 1000), cheap, false},
	} {
		ran = nil
		_, err := users.Verify(t.Context(), c.name, "a password")
		if len(ran) != 1 || ran[0] != c.want || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrWrong) {
			t.Errorf("%q: %v, hashed %+v; want one of %+v", c.name, err, ran, c.want)
		}
	}
	if got := load(t, file(t, "users: []")).decoy.cost; got != newCost {
		t.Errorf("without users the decoy costs %+v", got)
	}
	zero := Users{run: users.run}
	ran = nil
	if _, err := zero.Verify(t.Context(), "anna", "a password"); !errors.Is(err, ErrWrong) || len(ran) != 1 || ran[0] != newCost {
		t.Errorf("the zero Users: %v, hashed %+v", err, ran)
	}
}

func TestUsualCost(t *testing.T) {
	a, b := &account{hash: decoy(cheap)}, &account{hash: decoy(newCost)}
	for _, c := range []struct {
		accounts []*account
		want     cost
	}{
		{nil, newCost}, {[]*account{a}, cheap}, {[]*account{a, b}, cheap}, {[]*account{b, a}, newCost}, {[]*account{b, a, a}, cheap},
	} {
		if got := usual(c.accounts); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}

func TestLookup(t *testing.T) {
	users := load(t, three(t))
	for name, want := range map[string]bool{"anna": true, "bert": true, "dora": false, "nobody": false, "": false, "Anna": false} {
		if got, ok := users.Lookup(name); ok != want || ok && got.Name != name || !ok && !reflect.DeepEqual(got, User{}) {
			t.Errorf("%q: got %+v, %v", name, got, ok)
		}
	}
	// What is given out is the caller's own.
	anna, _ := users.Lookup("anna")
	anna.Groups[0] = "admins"
	users.All()[0].Groups[0] = "admins"
	if again, _ := users.Lookup("anna"); again.Groups[0] != "shop-team" {
		t.Errorf("got %+v", again)
	}
	want := []Entry{
		{User: User{Name: "anna", Groups: []string{"shop-team", "operators"}}, Scheme: "argon2id"},
		{User: User{Name: "dora"}, Disabled: true, Scheme: "argon2id"}, {User: User{Name: "bert"}, Scheme: "bcrypt"},
	}
	if got := users.All(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// TestFewVerificationsAtOnce also goes through a Store that reads the file again
// meanwhile: that lets no more in.
func TestFewVerificationsAtOnce(t *testing.T) {
	path := three(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var running atomic.Int32
		release := make(chan struct{})
		block := func() {
			s.Users().run = func(*passwordHash, string) bool {
				running.Add(1)
				defer running.Add(-1)
				<-release
				return true
			}
		}
		var wait sync.WaitGroup
		verify := func(ctx context.Context, want error) {
			users := s.Users()
			wait.Go(func() {
				if _, err := users.Verify(ctx, "anna", "x"); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		block()
		n := runtime.GOMAXPROCS(0)
		for range n {
			verify(t.Context(), nil)
		}
		synctest.Wait()
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		block()
		verify(t.Context(), nil)
		leaving, leave := context.WithCancel(t.Context())
		verify(leaving, context.Canceled)
		synctest.Wait()
		if got := int(running.Load()); got != n {
			t.Errorf("%d verifications run at once, want %d", got, n)
		}
		leave()
		synctest.Wait()
		if got := int(running.Load()); got != n {
			t.Errorf("%d verifications run at once, want %d", got, n)
		}
		verify(leaving, context.Canceled) // who has left is not let in
		close(release)
		wait.Wait()
	})
}

func BenchmarkVerify(b *testing.B) {
	argon, err := Hash("correct horse battery")
	if err != nil {
		b.Fatal(err)
	}
	users := load(b, file(b, "users:\n  - {name: argon2id, passwordHash: '"+argon+"'}\n"+
		"  - {name: bcrypt10, passwordHash: '"+knownAnswers[5].hash+"'}\n"))
	for _, c := range []struct {
		name string
		want error
	}{{"argon2id", nil}, {"bcrypt10", nil}, {"nobody", ErrWrong}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := users.Verify(b.Context(), c.name, "correct horse battery"); err != c.want {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	users := load(b, three(b))
	for b.Loop() {
		if _, ok := users.Lookup("anna"); !ok {
			b.Fatal("gone")
		}
	}
}
