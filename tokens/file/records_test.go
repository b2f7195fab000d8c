package file

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

func TestRecordsAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	whole := record("b")
	whole.Scope.Environment, whole.Scope.EnvironmentUID = "", ""
	whole.Description = "quotes ' and \x00 and é"
	whole.CreatedAt = whole.CreatedAt.Add(time.Second)
	full := record("a")
	full.RevokedAt, full.LastUsedAt, full.ReplacedBy = full.CreatedAt, full.CreatedAt.Add(1), "b"
	full.CreatedBy = "local:anna"
	insertAll(t, s, full, whole)

	other := open(t, Options{Dir: dir})
	got, err := other.List(t.Context())
	if want := []tokens.Record{whole, full}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("list: got %+v, %v; want %+v", got, err, want)
	}
	one, err := other.Get(t.Context(), "a")
	if err != nil || !reflect.DeepEqual(one, full) {
		t.Errorf("get: got %+v, %v; want %+v", one, err, full)
	}
	if _, err := other.Get(t.Context(), "c"); !errors.Is(err, tokens.ErrNotFound) {
		t.Errorf("get of an unknown id: %v, want ErrNotFound", err)
	}
	if other.Issuer() != s.Issuer() || !strings.HasPrefix(s.Issuer(), "promgate:") || len(s.Issuer()) != len("promgate:")+32 {
		t.Errorf("issuers %q and %q, want one, of promgate: and 128 bits", s.Issuer(), other.Issuer())
	}
}

func TestListProject(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	older, newer, other := record("a"), record("b"), record("c")
	newer.CreatedAt, other.Scope.ProjectUID = older.CreatedAt.Add(time.Second), "other-uid"
	insertAll(t, s, older, newer, other)
	for uid, want := range map[string][]tokens.Record{"p-uid": {newer, older}, "other-uid": {other}, "none": nil, "": nil} {
		got, err := s.ListProject(t.Context(), tokens.Scope{Project: "shop", ProjectUID: uid})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v; want %+v", uid, got, err, want)
		}
	}
}

func TestInsertRefuses(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	insertAll(t, s, record("a"))
	tests := map[string]func(*tokens.Record){
		"id that is taken":         func(r *tokens.Record) { r.ID = "a" },
		"no id":                    func(r *tokens.Record) { r.ID = "" },
		"no key id":                func(r *tokens.Record) { r.KeyID = "" },
		"no project UID":           func(r *tokens.Record) { r.Scope.ProjectUID = "" },
		"environment without UID":  func(r *tokens.Record) { r.Scope.EnvironmentUID = "" },
		"environment without name": func(r *tokens.Record) { r.Scope.Environment = "" },
		"no end":                   func(r *tokens.Record) { r.ExpiresAt = time.Time{} },
		"long maker":               func(r *tokens.Record) { r.CreatedBy = strings.Repeat("a", tokens.MaxCreatedBy+1) },
	}
	for name, change := range tests {
		r := record("b")
		change(&r)
		if err := s.Insert(t.Context(), r); err == nil {
			t.Errorf("%s: inserted", name)
		}
		if err := s.Insert(t.Context(), record("good"), r); err == nil {
			t.Errorf("%s: inserted after a good one", name)
		}
		if err := s.Replace(t.Context(), "a", r, r.CreatedAt); err == nil {
			t.Errorf("%s: replaced", name)
		}
	}
	got, err := s.Get(t.Context(), "a")
	if err != nil || got.ReplacedBy != "" || got.State(time.Now()) != tokens.StateActive {
		t.Errorf("a replacement that failed left %+v, %v", got, err)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d records, %v; want the first alone", len(all), err)
	}
}

func TestRevoke(t *testing.T) {
	first := time.Now().UTC().Round(0)
	now := first
	s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	insertAll(t, s, record("a"), record("b"))
	for range 3 {
		if err := s.Revoke(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || !got.RevokedAt.Equal(first) {
		t.Errorf("revoked at %s, %v; want the first time, %s", got.RevokedAt, err, first)
	}
	if err := s.Revoke(t.Context(), "c"); !errors.Is(err, tokens.ErrNotFound) {
		t.Errorf("unknown id: %v, want ErrNotFound", err)
	}
}

func TestReplace(t *testing.T) {
	now := time.Now().UTC().Round(0)
	tests := []struct {
		name    string
		old     func(*tokens.Record)
		oldID   string
		oldEnds time.Time
		want    time.Time // the old token's end
		err     string
	}{
		{"cuts the old token short", func(*tokens.Record) {}, "old", now.Add(time.Minute), now.Add(time.Minute), ""},
		{"at once", func(*tokens.Record) {}, "old", now, now, ""},
		{"never makes it longer", func(r *tokens.Record) { r.ExpiresAt = now.Add(time.Minute) }, "old", now.Add(time.Hour), now.Add(time.Minute), ""},
		{"revoked", func(r *tokens.Record) { r.RevokedAt = now }, "old", now, time.Time{}, "it is revoked"},
		{"expired", func(r *tokens.Record) { r.ExpiresAt = now.Add(-1) }, "old", now, time.Time{}, "it has expired"},
		{"replaced already", func(r *tokens.Record) { r.ReplacedBy = "x" }, "old", now, time.Time{}, "it was replaced already, by token x"},
		{"unknown", func(*tokens.Record) {}, "none", now, time.Time{}, tokens.ErrNotFound.Error()},
		{"id that is taken", func(r *tokens.Record) { r.ID = "next" }, "next", now, time.Time{}, "constraint"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
			old := record("old")
			old.ExpiresAt = now.Add(24 * time.Hour)
			test.old(&old)
			insertAll(t, s, old)
			next := record("next")
			err := s.Replace(t.Context(), test.oldID, next, test.oldEnds)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %q", err, test.err)
				}
				if all, err := s.List(t.Context()); err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], old) {
					t.Errorf("left %+v, %v; want the old record as it was", all, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(t.Context(), "old")
			if err != nil || !got.ExpiresAt.Equal(test.want) || got.ReplacedBy != "next" {
				t.Errorf("old record %+v, %v; want its end at %s", got, err, test.want)
			}
			if got, err := s.Get(t.Context(), "next"); err != nil || !reflect.DeepEqual(got, next) {
				t.Errorf("next record %+v, %v", got, err)
			}
		})
	}
}

func TestOldRecordsAreDeleted(t *testing.T) {
	now := time.Now()
	s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }, Retention: 24 * time.Hour})
	expired, revoked, fresh := record("expired"), record("revoked"), record("fresh")
	expired.ExpiresAt = now.Add(-24*time.Hour - 1)
	revoked.RevokedAt = now.Add(-24*time.Hour - 1)
	fresh.ExpiresAt, fresh.RevokedAt = now.Add(-24*time.Hour), now.Add(-24*time.Hour)
	insertAll(t, s, expired, revoked, fresh, record("live"))
	if err := s.deleteEnded(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	all, err := s.List(t.Context())
	for _, r := range all {
		left = append(left, r.ID)
	}
	if err != nil || len(left) != 2 || left[0] == "expired" || left[0] == "revoked" || left[1] == "expired" || left[1] == "revoked" {
		t.Errorf("left %q, %v; want fresh and live", left, err)
	}
}

func TestAssignUIDs(t *testing.T) {
	dir := t.TempDir()
	one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	assign := func(s *Store, retire bool, names ...string) map[string]string {
		t.Helper()
		uids, err := s.AssignUIDs(t.Context(), names, retire)
		if err != nil || len(uids) != len(names) {
			t.Fatalf("got %v, %v; want UIDs of %q", uids, err, names)
		}
		return uids
	}
	first := assign(one, true, "shop", "shop/production", "shop/staging", "blog")
	seen := map[string]bool{}
	for name, uid := range first {
		if len(uid) != 32 || seen[uid] {
			t.Errorf("%s has UID %q, want 128 bits of its own", name, uid)
		}
		seen[uid] = true
	}
	if again := assign(two, true, "shop", "shop/production", "shop/staging", "blog"); !reflect.DeepEqual(again, first) {
		t.Errorf("another process sees %v, want %v", again, first)
	}
	if some := assign(two, false, "blog"); some["blog"] != first["blog"] {
		t.Errorf("blog has %s, want %s", some["blog"], first["blog"])
	}
	if all := assign(one, false, "shop", "shop/staging"); all["shop/staging"] != first["shop/staging"] {
		t.Error("a name was retired although nobody asked for it")
	}
	assign(one, true, "shop", "shop/production")
	back := assign(two, true, "shop", "shop/production", "shop/staging", "blog")
	if back["shop"] != first["shop"] || back["shop/production"] != first["shop/production"] {
		t.Error("names that stayed lost their UIDs")
	}
	if back["shop/staging"] == first["shop/staging"] || back["blog"] == first["blog"] {
		t.Error("names that came back inherit their old UIDs")
	}
	if got := assign(one, true); len(got) != 0 {
		t.Errorf("no names have %v", got)
	}
	if _, err := one.AssignUIDs(t.Context(), []string{"shop", ""}, false); err == nil {
		t.Error("an empty name has a UID")
	}
	if twice, err := one.AssignUIDs(t.Context(), []string{"shop", "shop"}, false); err != nil || len(twice) != 1 {
		t.Errorf("a name listed twice: %v, %v", twice, err)
	}
}
