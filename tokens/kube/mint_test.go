package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/tokens"
)

func draft(environment string) tokens.Draft {
	return tokens.Draft{Scope: tokens.Scope{Project: "shop", Environment: environment}, Description: "Grafana", Lifetime: 48 * time.Hour}
}

func TestCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		m := w.process("cli")
		elapse(300 * time.Millisecond)
		now := time.Now().UTC().Truncate(time.Second)
		r, token, err := m.create(t.Context(), draft("production"))
		if err != nil {
			t.Fatal(err)
		}
		all := w.all(nil)
		if len(all) != 1 {
			t.Fatalf("%d objects", len(all))
		}
		o := all[0]
		if got := o.record(newest(o.object)); got != r || !strings.HasPrefix(o.Name, "production-") || o.Spec.ExpiresAt == nil {
			t.Errorf("returned %+v, stored %+v in %+v", r, got, o.object)
		}
		want := tokens.Record{
			ID: o.idPrefix() + "1", KeyID: "key-1", Description: "Grafana", CreatedAt: now, ExpiresAt: now.Add(48 * time.Hour),
			Scope: tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop", Environment: "production", EnvironmentUID: "uid-of-shop/production"},
		}
		if r != want || w.made.all[token] != want {
			t.Errorf("got %+v\nof %+v\nwant %+v", r, w.made.all[token], want)
		}
		if got := readyOf(o.object); got != "True Issued: "+goodUntil(r.ExpiresAt) || o.Status.Phase != phaseActive || o.Status.Previous != nil {
			t.Errorf("status %+v", o.Status)
		}
		whole, _, err := m.create(t.Context(), draft(""))
		if err != nil || whole.Scope.Environment != "" || whole.Scope.EnvironmentUID != "" || w.find(nil) == nil {
			t.Errorf("got %+v, %v", whole, err)
		}
		if l, _ := w.find(nil)(t.Context(), whole.ID); !strings.HasPrefix(l.Name, "shop-") {
			t.Errorf("the object of a whole project is %s", l.Name)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	refuse := func(part string, status int) func(*mintWorld) {
		return func(w *mintWorld) {
			w.refuse = func(_, request string) (int, bool) {
				if strings.Contains(request, part) {
					return status, false
				}
				return 0, false
			}
		}
	}
	for name, test := range map[string]struct {
		draft   func(*tokens.Draft)
		arrange func(*mintWorld)
		want    []string
	}{
		"no lifetime":     {draft: func(d *tokens.Draft) { d.Lifetime = 0 }, want: []string{"a token needs a lifetime of more than nothing"}},
		"another cluster": {draft: func(d *tokens.Draft) { d.Scope.Cluster = "far" }, want: []string{"cluster far holds no tokens"}},
		"not followed":    {draft: func(d *tokens.Draft) { d.Scope.Project = "other" }, want: []string{"looks for no tokens in namespace other of cluster local: add it to"}},
		"no namespace": {
			draft: func(d *tokens.Draft) { d.Scope.Project = "gone" },
			want:  []string{"the tokens of a project are objects in the namespace of its name; create namespace gone on cluster local"},
		},
		"namespace made anew": {
			draft: func(d *tokens.Draft) { d.Scope.ProjectUID = "uid-of-old" }, want: []string{"was deleted and made anew", "uid-of-shop", "uid-of-old"},
		},
		"namespace ends": {
			arrange: func(w *mintWorld) { w.namespaces["shop"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }, want: []string{"the namespace shop on cluster local is being deleted"},
		},
		"namespace not readable": {
			arrange: refuse("GET /api/v1/namespaces/shop", http.StatusForbidden),
			want:    []string{"may not read the namespace shop", "kind: Role\n", `name: "promgate:tokens:namespace"`, `resourceNames: ["shop"]`, `verbs: ["get"]`, `namespace: "home"`},
		},
		"not installed": {
			arrange: func(w *mintWorld) {
				w.hang, w.refuse = nil, func(_, request string) (int, bool) {
					if request == "POST "+tokensPath {
						return -2, false
					}
					return 0, false
				}
			},
			want: []string{"cluster local has no EndpointTokens: apply deploy/kubernetes/crd"},
		},
		"may not create": {
			arrange: refuse("POST "+tokensPath, http.StatusForbidden),
			want:    []string{"may not create an EndpointToken in namespace shop", `"create", "delete", "get", "list", "patch", "watch"`, `["endpointtokens/status"]`, `apiGroups: ["promgate.io"]`},
		},
		"may not write the status": {arrange: refuse("/status", http.StatusForbidden), want: []string{"may not change the status", `["endpointtokens/status"]`}},
		"unreachable":              {arrange: refuse("/status", -1), want: []string{"could not change the status of an EndpointToken in namespace shop on cluster local", "connection reset"}},
		"nor deleted": {
			arrange: func(w *mintWorld) {
				w.refuse = func(_, request string) (int, bool) {
					if strings.HasPrefix(request, "PATCH ") || strings.HasPrefix(request, "DELETE ") {
						return http.StatusInternalServerError, false
					}
					return 0, false
				}
			},
			want: []string{"the EndpointToken shop/production-0 on cluster local was made for it and could not be deleted", "delete it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMintWorld(t)
			m := w.process("cli")
			if test.arrange != nil {
				test.arrange(w)
			}
			d := draft("production")
			if test.draft != nil {
				test.draft(&d)
			}
			_, token, err := m.create(t.Context(), d)
			if err == nil || token != "" {
				t.Fatalf("made a token, %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q", err, want)
				}
			}
			if all := w.all(nil); len(all) > 0 != (name == "nor deleted") {
				t.Errorf("left %d objects", len(all))
			}
		})
	}
}

// TestCreateForAProjectOfTheFile: its identity is no namespace's.
func TestCreateForAProjectOfTheFile(t *testing.T) {
	w := newMintWorld(t)
	d := draft("production")
	d.Scope.ProjectUID, d.Scope.EnvironmentUID = fileUID("shop"), fileUID("shop/production")
	r, _, err := w.process("cli").create(t.Context(), d)
	if err != nil || r.Scope.ProjectUID != "uid-of-shop" || r.Scope.EnvironmentUID != "uid-of-shop/production" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestCreateWhileOthersWrite: a change of the object by others is no reason to
// give up, and a caller who leaves leaves nothing behind.
func TestCreateWhileOthersWrite(t *testing.T) {
	w := newMintWorld(t)
	m := w.process("cli")
	read := m.signingKeys
	changes := 0
	m.signingKeys = func(ctx context.Context) ([]tokens.Key, string, error) {
		if changes++; changes < 3 {
			w.edit(tokensPath+"/"+w.all(nil)[0].Name, `{"spec": {"description": "`+strings.Repeat("x", changes)+`"}}`)
		}
		return read(ctx)
	}
	r, _, err := m.create(t.Context(), draft(""))
	if err != nil || r.Description != "xx" || !strings.HasSuffix(r.ID, "-1") {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.signingKeys = func(ctx context.Context) ([]tokens.Key, string, error) {
		cancel()
		return nil, "", ctx.Err()
	}
	if _, _, err = m.create(ctx, draft("")); !errors.Is(err, context.Canceled) || len(w.all(nil)) != 1 {
		t.Errorf("got %v, left %d objects", err, len(w.all(nil)))
	}
}

func TestRotate(t *testing.T) {
	for name, test := range map[string]struct {
		overlap, want time.Duration // want: until the old one ends
	}{
		"overlap":             {time.Hour, time.Hour},
		"longer than its own": {1000 * time.Hour, 24 * time.Hour},
		"none":                {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newMintWorld(t)
				m := w.process("cli")
				first, _, err := m.create(t.Context(), draft("production"))
				if err != nil {
					t.Fatal(err)
				}
				elapse(24 * time.Hour)
				now := time.Now().UTC()
				next, token, old, err := m.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: test.overlap})
				if err != nil {
					t.Fatal(err)
				}
				o := w.all(nil)[0].object
				want := first
				want.ID, want.CreatedAt, want.ExpiresAt = o.idPrefix()+"2", now, now.Add(48*time.Hour)
				if next != want || w.made.all[token] != want || o.record(newest(o)) != want {
					t.Errorf("next is %+v\nwant %+v", next, want)
				}
				want = first
				want.ExpiresAt, want.ReplacedBy = now.Add(test.want), next.ID
				if old != want {
					t.Errorf("old is %+v\nwant %+v", old, want)
				}
				if p := before(o); test.want == 0 && o.Status.Previous != nil || test.want > 0 && (p == nil || o.record(p) != old) {
					t.Errorf("previous is %+v", o.Status.Previous)
				}
			})
		})
	}
}

// TestRotateTwice: there is one overlap at a time.
func TestRotateTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		m := w.process("cli")
		first, _, _ := m.create(t.Context(), draft(""))
		elapse(time.Hour)
		second, _, _, _ := m.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: 10 * time.Hour})
		elapse(time.Hour)
		third, _, _, err := m.rotate(t.Context(), second.ID, tokens.Rotation{Overlap: 10 * time.Hour})
		o := w.all(nil)[0].object
		if err != nil || o.Status.ID != third.ID || o.Status.Previous.ID != second.ID || third.ExpiresAt.Sub(third.CreatedAt) != 48*time.Hour {
			t.Errorf("got %+v, %v, status %+v", third, err, o.Status)
		}
		for id, want := range map[string]string{
			second.ID: "it was replaced already, by token " + third.ID,
			first.ID:  tokens.ErrNotFound.Error(),
			"unknown": tokens.ErrNotFound.Error(),
		} {
			if _, token, _, err := m.rotate(t.Context(), id, tokens.Rotation{}); err == nil || err.Error() != want || token != "" {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		elapse(48 * time.Hour)
		if _, _, _, err := m.rotate(t.Context(), third.ID, tokens.Rotation{}); err == nil || err.Error() != "it has expired; create a new token instead" {
			t.Errorf("got %v", err)
		}
	})
}

// TestRotateNeverLengthensTheOld: not even where it stops half way.
func TestRotateNeverLengthensTheOld(t *testing.T) {
	for stop := range 5 {
		synctest.Test(t, func(t *testing.T) {
			w := newMintWorld(t)
			m := w.process("cli")
			first, _, _ := m.create(t.Context(), draft(""))
			path := tokensPath + "/" + w.all(nil)[0].Name
			end := first.CreatedAt.Add(2 * time.Hour)
			w.edit(path, `{"spec": {"expiresAt": "`+end.Format(time.RFC3339)+`"}}`)
			writes := 0
			w.refuse = func(_, request string) (int, bool) {
				if strings.HasPrefix(request, "PATCH") {
					if writes++; writes > stop {
						return -1, false
					}
				}
				return 0, false
			}
			next, _, _, err := m.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: 1000 * time.Hour})
			if o := w.all(nil)[0].object; err != nil {
				if got := o.record(newest(o)); got.ID != first.ID || !got.ExpiresAt.Equal(end) {
					t.Errorf("stopped after %d: %+v", stop, got)
				}
			} else if got := o.record(before(o)); !got.ExpiresAt.Equal(end) || next.ExpiresAt.Sub(next.CreatedAt) != 2*time.Hour || !o.Spec.ExpiresAt.Equal(newest(o).ExpiresAt) {
				t.Errorf("old %+v, next %+v, spec %+v", got, next, o.Spec)
			}
			if (err == nil) != (stop >= 3) {
				t.Errorf("stopped after %d: %v", stop, err)
			}
		})
	}
}

// TestRotateWithConflict decides again, and not on what it saw before.
func TestRotateWithConflict(t *testing.T) {
	w := newMintWorld(t)
	m := w.process("cli")
	first, _, _ := m.create(t.Context(), draft(""))
	path := tokensPath + "/" + w.all(nil)[0].Name
	read, reads := m.signingKeys, 0
	m.signingKeys = func(ctx context.Context) ([]tokens.Key, string, error) {
		if reads++; reads == 1 {
			w.edit(path, `{"status": {"lastUsedAt": "2026-01-01T00:00:00Z"}}`)
		}
		return read(ctx)
	}
	second, _, old, err := m.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: time.Hour})
	if err != nil || reads != 2 || old.ID != first.ID || second.ExpiresAt.Sub(second.CreatedAt) != 48*time.Hour {
		t.Errorf("got %+v, %+v, %v after %d tries", second, old, err, reads)
	}
	other := w.process("other")
	m.signingKeys = func(ctx context.Context) ([]tokens.Key, string, error) {
		if _, _, _, err := other.rotate(ctx, second.ID, tokens.Rotation{Overlap: time.Hour}); err != nil {
			t.Error(err)
		}
		return read(ctx)
	}
	if _, _, _, err = m.rotate(t.Context(), second.ID, tokens.Rotation{Overlap: time.Hour}); err == nil || !strings.Contains(err.Error(), "it was replaced already") {
		t.Errorf("got %v", err)
	}
	m.signingKeys = func(ctx context.Context) ([]tokens.Key, string, error) {
		reads++
		w.edit(path, `{"spec": {"description": "`+strings.Repeat("y", reads)+`"}}`)
		return read(ctx)
	}
	if _, _, _, err = m.rotate(t.Context(), w.all(nil)[0].Status.ID, tokens.Rotation{}); !errors.Is(err, errBusy) {
		t.Errorf("got %v", err)
	}
}

// TestStoreRotateSaysWhat names the token in the error, and ErrNotFound stays.
func TestStoreRotateSaysWhat(t *testing.T) {
	s := newMintWorld(t).process("cli").s
	if _, _, _, err := s.Rotate(t.Context(), "none", tokens.Rotation{}); err == nil || !strings.HasPrefix(err.Error(), `rotate token "none": `) {
		t.Errorf("got %v", err)
	}
}
