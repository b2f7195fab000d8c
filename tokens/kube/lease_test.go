package kube

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	nowLeads   = "this process makes the tokens in Secrets"
	nowDoesNot = "this process no longer makes the tokens in Secrets"
	cannotHave = "this process cannot have the lease"
)

// holder is who has the lease.
func (w *mintWorld) holder() any {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.objects[leasesPath+"/"+leaseName]; o != nil {
		return o["spec"].(map[string]any)["holderIdentity"]
	}
	return nil
}

// TestOneLeads, and another soon after that has ended.
func TestOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		stopA := w.run(w.process("a").compete)
		elapse(time.Second)
		stopB := w.run(w.process("b").compete)
		elapse(time.Minute)
		if w.holder() != "a" || w.logs.count(nowLeads) != 1 {
			t.Fatalf("%v leads\n%s", w.holder(), w.logs.text())
		}
		w.add("grafana", `{"secretName": "s"}`)
		elapse(50 * time.Millisecond)
		w.good("grafana", "s")
		began := time.Now()
		stopA()
		if w.holder() != "" || time.Since(began) > time.Second {
			t.Errorf("%q has the lease after %s", w.holder(), time.Since(began))
		}
		elapse(3 * retryPeriod)
		if w.holder() != "b" || w.logs.count(nowLeads) != 2 || w.logs.count(nowDoesNot) != 1 {
			t.Errorf("%v leads\n%s", w.holder(), w.logs.text())
		}
		stopB()
		if w.holder() != "" || w.logs.count("level=WARN") > 0 {
			t.Errorf("%q has the lease\n%s", w.holder(), w.logs.text())
		}
	})
}

// TestCutOff: a process that cannot renew the lease stops before another begins,
// and competes again.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		defer w.run(w.process("a").compete)()
		elapse(time.Second)
		defer w.run(w.process("b").compete)()
		elapse(10 * time.Second)
		w.setRefuse(func(who, _ string) (int, bool) {
			if who == "a" {
				return -1, false
			}
			return 0, false
		})
		elapse(renewDeadline + retryPeriod)
		if w.logs.count(nowLeads) != 1 || w.logs.count(nowDoesNot) != 1 || w.logs.count("level=WARN", cannotHave, "goes on trying") != 2 { // of update and get
			t.Errorf("logged\n%s", w.logs.text())
		}
		elapse(leaseDuration)
		if w.holder() != "b" || w.logs.count(nowLeads) != 2 {
			t.Errorf("%v leads\n%s", w.holder(), w.logs.text())
		}
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Second)
		w.good("grafana", "s")
		w.setRefuse(func(who, _ string) (int, bool) {
			if who == "b" {
				return -1, false
			}
			return 0, false
		})
		elapse(2 * leaseDuration)
		if w.holder() != "a" {
			t.Errorf("%v leads\n%s", w.holder(), w.logs.text())
		}
	})
}

// TestLeaseForbidden says what to grant, once.
func TestLeaseForbidden(t *testing.T) {
	for _, verb := range []string{"GET", "POST", "PUT"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newMintWorld(t)
				w.setRefuse(refusing(http.StatusForbidden, verb+" "+leasesPath))
				defer w.run(w.process("a").compete)()
				elapse(10 * time.Minute)
				text := w.logs.text()
				if n := w.logs.count("level=WARN"); n != 1 {
					t.Errorf("%d lines\n%s", n, text)
				}
				for _, want := range []string{
					"promgate:tokens:lease", "coordination.k8s.io", `resources: [\"leases\"]`, `verbs: [\"create\"]`, `resourceNames: [\"promgate-minting\"]`, `verbs: [\"get\", \"update\"]`,
				} {
					if !strings.Contains(text, want) {
						t.Errorf("logged\n%s\nwant %s", text, want)
					}
				}
				w.setRefuse(nil)
				elapse(time.Minute)
				if w.holder() != "a" {
					t.Errorf("%v leads", w.holder())
				}
			})
		})
	}
}

// TestLeaseIdentity: processes of one host are told apart.
func TestLeaseIdentity(t *testing.T) {
	s := newMintWorld(t).process("").s
	one, err := s.leaseLock()
	if err != nil {
		t.Fatal(err)
	}
	two, _ := s.leaseLock()
	if one.Identity() == "" || one.Identity() == two.Identity() {
		t.Errorf("%q and %q", one.Identity(), two.Identity())
	}
}

// TestHomeMoves: a lease is asked for where home is now.
func TestHomeMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		a := w.process("a")
		stop := w.run(a.compete)
		elapse(time.Minute)
		var asked []string
		a.s.mu.Lock()
		home := *a.s.options.Home
		home.Base = &url.URL{Scheme: "https", Host: "moved", Path: "/k8s"}
		home.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String())
			r = r.Clone(r.Context())
			r.URL.Host, r.URL.Path = "api", strings.TrimPrefix(r.URL.Path, "/k8s")
			return mintSender{w.mintAPI, "a"}.RoundTrip(r)
		})
		a.s.options.Home = &home
		a.s.mu.Unlock()
		elapse(time.Minute)
		if w.holder() != "a" {
			t.Errorf("%v leads", w.holder())
		}
		stop()
		if len(asked) < 10 || !strings.HasPrefix(asked[0], "https://moved/k8s"+leasesPath+"/"+leaseName) || w.holder() != "" || w.logs.count("level=WARN") > 0 {
			t.Errorf("asked %q, %v has the lease\n%s", asked, w.holder(), w.logs.text())
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
