package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
)

// jwt makes a token with that header.
func jwt(header string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".e30.c2ln"
}

func TestRecognizes(t *testing.T) {
	w := newWorld(user(newServer(t).direct("local")))
	cases := map[string]struct {
		token string
		want  bool
	}{
		"opaque":                    {"abc", true},
		"opaque, with dots":         {"a.b.c", true},
		"none":                      {"", false},
		"service account":           {jwt(`{"alg":"RS256","kid":"promgate-key"}`), true},
		"of type JWT":               {jwt(`{"alg":"RS256","typ":"JWT"}`), true},
		"endpoint token":            {jwt(`{"alg":"EdDSA","kid":"k","typ":"promgate-endpoint+jwt"}`), false},
		"any other of ours":         {jwt(`{"typ":"promgate-"}`), false},
		"upper case":                {jwt(`{"typ":"PromGate-Endpoint"}`), false},
		"escaped":                   {jwt(`{"typ":"\u0070romgate-x"}`), false},
		"key escaped":               {jwt(`{"\u0074yp":"promgate-x"}`), false},
		"key in upper case":         {jwt(`{"TYP":"promgate-x"}`), false},
		"first of two":              {jwt(`{"typ":"promgate-x","typ":"JWT"}`), false},
		"last of two":               {jwt(`{"typ":"JWT","typ":"promgate-x"}`), false},
		"long header":               {jwt(`{"x":"` + strings.Repeat("x", 2000) + `","typ":"promgate-x"}`), false},
		"with line breaks":          {jwt("{\n\"typ\" : \"promgate-x\"\n}"), false},
		"cut short in the header":   {jwt(`{"alg":"EdDSA","typ":"promgate-endpo`), false},
		"header not JSON any more":  {jwt(`{"typ":"promgate-x"}}`), false},
		"header with padding":       {base64.URLEncoding.EncodeToString([]byte(`{"typ":"promgate-xyz"}`)) + ".e30.c2ln", false},
		"without its dots":          {strings.ReplaceAll(jwt(`{"typ":"promgate-x"}`), ".", "_"), false},
		"elsewhere in the typ":      {jwt(`{"typ":"x-promgate-x"}`), true},
		"in another member":         {jwt(`{"cty":"promgate-x","typ":"JWT"}`), true},
		"typ no string":             {jwt(`{"typ":["promgate-x"]}`), true},
		"header no object":          {jwt(`"promgate-x"`), false},
		"backslash and no JSON":     {jwt(`\`), true},
		"header of nothing":         {".e30.c2ln", true},
		"longest":                   {strings.Repeat("a", MaxTokenBytes), true},
		"too long":                  {strings.Repeat("a", MaxTokenBytes+1), false},
		"too long, of another type": {jwt(`{"x":"` + strings.Repeat("x", MaxTokenBytes) + `"}`), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			credential := auth.NewCredential(c.token)
			if got := w.Recognizes(credential); got != c.want {
				t.Errorf("recognized: %v", got)
			}
			id, err := w.Authenticate(t.Context(), credential)
			if (id != nil) != c.want || (err != nil) == c.want || err != nil && !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("authenticated: %v, %v", id, err)
			}
			if newWorld().Recognizes(credential) {
				t.Error("recognized without any cluster")
			}
		})
	}
	if w.Recognizes(auth.Credential{}) {
		t.Error("no credential is recognized")
	}
}

// TestIdentity: it asks nobody, and shows nothing of the token.
func TestIdentity(t *testing.T) {
	s := newServer(t)
	w := newWorld(dedicated(s.direct("local")), user(s.direct("other")))
	id, err := w.Authenticate(t.Context(), auth.NewCredential(annas))
	if err != nil {
		t.Fatal(err)
	}
	if want := (auth.Principal{Kind: auth.KindKubernetes, ID: annasHash}); id.Principal != want || id.Grants != nil {
		t.Errorf("got %+v", id)
	}
	if id.MayQuery("", "") {
		t.Error("the identity has grants")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb+" "+verb+" "+verb, id, *id, id.Access); strings.Contains(text, annas) || strings.Contains(text, fmt.Sprintf("%x", annas)) {
			t.Errorf("the token is in %s", text)
		}
	}
	s.want(t, "")
}

// annasHash is printf annas-secret-token | sha256sum | cut -c1-12
const annasHash = "sha256:913c2ecab86e"

// FuzzRecognizes: whatever says of itself that it is one of the gateway's own
// tokens is never taken for a Kubernetes token.
func FuzzRecognizes(f *testing.F) {
	for _, header := range []string{`{"typ":"promgate-x"}`, `{"Typ":"PROMGATE-x"}`, `{"typ":"\u0070romgate-"}`, `{"typ":"JWT"}`, `{"typ":1}`, `{`, ``} {
		f.Add(header, jwt(header), "promgate-x")
	}
	a := newWorld(user(newServer(f).direct("local"))).Authenticator
	f.Fuzz(func(t *testing.T, header, token, typ string) {
		for _, token := range []string{token, jwt(header)} {
			if a.Recognizes(auth.NewCredential(token)) && (len(token) > MaxTokenBytes || saysOwn(token)) {
				t.Errorf("recognized %q", token)
			}
		}
		made, err := json.Marshal(map[string]string{"alg": header, "typ": "promgate-" + typ})
		if err != nil {
			t.Fatal(err)
		}
		if a.Recognizes(auth.NewCredential(jwt(string(made)))) {
			t.Errorf("recognized one with the header %s", made)
		}
	})
}

// saysOwn reads the header the long way.
func saysOwn(token string) bool {
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	var header map[string]any
	if json.Unmarshal(text, &header) != nil {
		return false
	}
	for key, value := range header {
		if s, _ := value.(string); strings.EqualFold(key, "typ") && strings.HasPrefix(strings.ToLower(s), "promgate-") {
			return true
		}
	}
	return false
}
