package kube

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing"
)

// TestCallers: with user credentials a target takes no other than callers' own,
// and no endpoint token; with the gateway's it may refuse these, too.
func TestCallers(t *testing.T) {
	f := &fakeAPI{t: t}
	server := apiServer(t, f.ServeHTTP)
	connection, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: own}")})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	uids := map[string]bool{}
	for name, c := range map[string]struct {
		options          Options
		caller, noTokens bool
	}{
		"dedicated":             {Options{}, false, false},
		"dedicated, no tokens":  {Options{NoEndpointTokens: true}, false, true},
		"user":                  {Options{UserCredentials: true}, true, true},
		"user, tokens or not":   {Options{UserCredentials: true, NoEndpointTokens: true}, true, true},
		"dedicated, other name": {Options{}, false, false},
	} {
		target, err := NewCluster(connection, c.options).Service(ref)
		if err != nil {
			t.Fatal(err)
		}
		if (target.Caller != nil) != c.caller || target.NoEndpointTokens != c.noTokens || target.Transport == target.Caller {
			t.Errorf("%s: %+v", name, target)
		}
		uids[target.UID] = true
	}
	if len(uids) != 2 {
		t.Errorf("%d upstreams, want one for each kind of credentials", len(uids))
	}

	users := NewCluster(connection, Options{UserCredentials: true})
	pinned := ref
	pinned.Pin = true
	if _, err := users.Service(pinned); err == nil || !strings.Contains(err.Error(), "replicas: pin needs the gateway's own credentials") {
		t.Errorf("got %v", err)
	}
	target, err := users.Service(ref)
	if err != nil {
		t.Fatal(err)
	}
	hops := target.Examine(t.Context(), true)
	if _, failed := routing.FailedHop(hops); failed || hops[2].Status != routing.HopSkipped || !strings.Contains(hops[2].Found, "kubectl auth can-i get services/http:prometheus:web --subresource proxy -n shop") {
		t.Errorf("got %+v", hops)
	}
	if len(f.asked) > 0 {
		t.Errorf("asked what the gateway may: %q", f.asked)
	}
}

// TestCallerTransport: what goes out by it carries the request's own
// Authorization, and none of the gateway's.
func TestCallerTransport(t *testing.T) {
	seen := make(chan string, 2)
	server := apiServer(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") })
	connection, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: own}")})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	target, err := NewCluster(connection, Options{UserCredentials: true}).Service(ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "Bearer jane"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.Base.String()+"/api/v1/query", nil)
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			r.Header.Set("Authorization", want)
		}
		response, err := target.Caller.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := <-seen; got != want {
			t.Errorf("the API server saw %q, want %q", got, want)
		}
	}
}
