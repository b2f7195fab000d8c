package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

func TestFromHeader(t *testing.T) {
	long := strings.Repeat("a", maxCredentialBytes-len("Bearer "))
	cases := map[string]struct {
		values []string
		secret string
		basic  bool
		err    error
	}{
		"bearer":                 {values: []string{"Bearer abc.DEF-_~+/="}, secret: "abc.DEF-_~+/="},
		"lower case":             {values: []string{"bearer abc"}, secret: "abc"},
		"upper case":             {values: []string{"BEARER abc"}, secret: "abc"},
		"spaces":                 {values: []string{"Bearer   abc  "}, secret: "abc"},
		"longest":                {values: []string{"Bearer " + long}, secret: long},
		"basic":                  {values: []string{basic("user:abc")}, secret: "abc", basic: true},
		"basic, no user":         {values: []string{basic(":abc")}, secret: "abc", basic: true},
		"basic, lower case":      {values: []string{"basic" + basic("u:abc")[5:]}, secret: "abc", basic: true},
		"none":                   {err: ErrMissing},
		"no values":              {values: []string{}, err: ErrMissing},
		"two":                    {values: []string{"Bearer abc", "Bearer abc"}, err: ErrInvalid},
		"two kinds":              {values: []string{"Bearer abc", basic("u:abc")}, err: ErrInvalid},
		"empty":                  {values: []string{""}, err: ErrInvalid},
		"scheme alone":           {values: []string{"Bearer"}, err: ErrInvalid},
		"no token":               {values: []string{"Bearer "}, err: ErrInvalid},
		"token alone":            {values: []string{"abc"}, err: ErrInvalid},
		"space first":            {values: []string{" Bearer abc"}, err: ErrInvalid},
		"tab":                    {values: []string{"Bearer\tabc"}, err: ErrInvalid},
		"tab after":              {values: []string{"Bearer abc\t"}, err: ErrInvalid},
		"two tokens":             {values: []string{"Bearer abc def"}, err: ErrInvalid},
		"comma":                  {values: []string{"Bearer abc, Basic def"}, err: ErrInvalid},
		"quotes":                 {values: []string{`Bearer "abc"`}, err: ErrInvalid},
		"NUL":                    {values: []string{"Bearer abc\x00"}, err: ErrInvalid},
		"above ASCII":            {values: []string{"Bearer äbc"}, err: ErrInvalid},
		"too long":               {values: []string{"Bearer " + long + "a"}, err: ErrInvalid},
		"digest":                 {values: []string{"Digest abc"}, err: ErrInvalid},
		"bearer prefix":          {values: []string{"Bearerx abc"}, err: ErrInvalid},
		"basic, not base64":      {values: []string{"Basic %%%"}, basic: true, err: ErrInvalid},
		"basic, no padding":      {values: []string{strings.TrimRight(basic("u:abc"), "=")}, basic: true, err: ErrInvalid},
		"basic, no colon":        {values: []string{basic("abc")}, basic: true, err: ErrInvalid},
		"basic, no password":     {values: []string{basic("abc:")}, basic: true, err: ErrInvalid},
		"basic, colons":          {values: []string{basic("u:abc:def")}, basic: true, err: ErrInvalid},
		"basic, space":           {values: []string{basic("u:a b")}, basic: true, err: ErrInvalid},
		"basic, line feed after": {values: []string{basic("u:abc\n")}, basic: true, err: ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Authorization": c.values, "Cookie": {"token=abc"}, "Proxy-Authorization": {"Bearer abc"}}
			if c.values == nil {
				delete(h, "Authorization")
			}
			got, err := FromHeader(h)
			if got.Secret() != c.secret || got.Basic() != c.basic || !errors.Is(err, c.err) {
				t.Errorf("secret %q, basic %v, error %v; want %q, %v, %v", got.Secret(), got.Basic(), err, c.secret, c.basic, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "abc") {
				t.Errorf("the error shows the credential: %v", err)
			}
		})
	}
}

// TestCredentialNeverPrints: in no verb, at no depth, in no log.
func TestCredentialNeverPrints(t *testing.T) {
	const secret = "very-secret"
	c := NewCredential(secret)
	nested := struct {
		C  Credential
		P  *Credential
		M  map[string]Credential
		L  []Credential
		an Credential
	}{c, &c, map[string]Credential{"a": c}, []Credential{c}, c}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
		fmt.Fprintf(&out, verb+"\n", nested.M)
		fmt.Fprintf(&out, verb+"\n", nested.L)
		fmt.Fprintf(&out, verb+"\n", nested)
	}
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		logger.Info("x", "c", c, "p", &c, "l", nested.L, "m", nested.M)
	}
	raw, _ := json.Marshal([]any{c, &c, nested})
	out.Write(raw)
	if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, fmt.Sprintf("%X", secret)) {
		t.Errorf("the secret is in %s", text)
	}
	if c.Secret() != secret || c.Basic() {
		t.Error("the credential lost its secret")
	}
}

func TestGrants(t *testing.T) {
	cases := []struct {
		grant                Grant
		project, environment string
		want                 bool
	}{
		{Grant{}, "", "", false},
		{Grant{}, "p", "e", false},
		{Grant{WholeProject: true}, "", "", false},
		{Grant{WholeProject: true}, "p", "e", false},
		{Grant{EnvironmentUID: "e"}, "", "e", false},
		{Grant{ProjectUID: "p"}, "p", "", false},
		{Grant{ProjectUID: "p"}, "p", "e", false},
		{Grant{ProjectUID: "p", EnvironmentUID: "e"}, "p", "e", true},
		{Grant{ProjectUID: "p", EnvironmentUID: "e"}, "p", "f", false},
		{Grant{ProjectUID: "p", EnvironmentUID: "e"}, "q", "e", false},
		{Grant{ProjectUID: "p", EnvironmentUID: "e"}, "P", "e", false},
		{Grant{ProjectUID: "p", WholeProject: true}, "p", "e", true},
		{Grant{ProjectUID: "p", WholeProject: true, EnvironmentUID: "e"}, "p", "f", true},
		{Grant{ProjectUID: "p", WholeProject: true}, "q", "e", false},
		{Grant{ProjectUID: "*", EnvironmentUID: "*"}, "p", "e", false},
	}
	for _, c := range cases {
		if got := c.grant.Allows(c.project, c.environment); got != c.want {
			t.Errorf("%+v allows %q %q: %v", c.grant, c.project, c.environment, got)
		}
		if got := (&Identity{Grants: []Grant{{}, c.grant}}).MayQuery(c.project, c.environment); got != c.want {
			t.Errorf("an identity with %+v may query %q %q: %v", c.grant, c.project, c.environment, got)
		}
	}
	var nobody *Identity
	if nobody.MayQuery("p", "e") || (&Identity{}).MayQuery("p", "e") || (&Identity{}).MayQuery("", "") {
		t.Error("an identity without grants may something")
	}
}

func TestMayManage(t *testing.T) {
	for _, c := range []struct {
		grant Grant
		want  bool
	}{
		{Grant{}, false},
		{Grant{ProjectUID: "p", WholeProject: true}, false},
		{Grant{ProjectUID: "p", EnvironmentUID: "e", Manage: true}, false},
		{Grant{ProjectUID: "q", WholeProject: true, Manage: true}, false},
		{Grant{ProjectUID: "p", WholeProject: true, Manage: true}, true},
	} {
		if got := (&Identity{Grants: []Grant{{}, c.grant}}).MayManage("p"); got != c.want {
			t.Errorf("%+v manages p: %v", c.grant, got)
		}
	}
	var nobody *Identity
	if nobody.MayManage("p") || (&Identity{Grants: []Grant{{WholeProject: true, Manage: true}}}).MayManage("") {
		t.Error("a project without UID is managed")
	}
}

func TestPrincipalInLogs(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "principal", Principal{Kind: KindEndpointToken, ID: "7"})
	if !strings.Contains(out.String(), `"principal":"endpoint_token:7"`) {
		t.Error(out.String())
	}
}

// kind is an Authenticator of credentials with a prefix.
type kind struct {
	prefix string
	err    error
	asked  int
}

func (k *kind) Recognizes(c Credential) bool { return strings.HasPrefix(c.Secret(), k.prefix) }

func (k *kind) Authenticate(context.Context, Credential) (*Identity, error) {
	k.asked++
	if k.err != nil {
		return nil, k.err
	}
	return &Identity{Principal: Principal{Kind: Kind(k.prefix), ID: "1"}}, nil
}

func TestUnion(t *testing.T) {
	refuses := fmt.Errorf("%w: expired", ErrInvalid)
	cases := map[string]struct {
		header string
		first  *kind
		second *kind
		want   Kind
		err    error
		asked  [2]int
	}{
		"first":                         {header: "Bearer a1", first: &kind{prefix: "a"}, second: &kind{prefix: "b"}, want: "a", asked: [2]int{1, 0}},
		"second":                        {header: "Bearer b1", first: &kind{prefix: "a"}, second: &kind{prefix: "b"}, want: "b", asked: [2]int{0, 1}},
		"refused, never offered again":  {header: "Bearer a1", first: &kind{prefix: "a", err: refuses}, second: &kind{prefix: ""}, err: ErrInvalid, asked: [2]int{1, 0}},
		"unavailable, no fall-through":  {header: "Bearer a1", first: &kind{prefix: "a", err: ErrUnavailable}, second: &kind{prefix: "a"}, err: ErrUnavailable, asked: [2]int{1, 0}},
		"of no kind":                    {header: "Bearer c1", first: &kind{prefix: "a"}, second: &kind{prefix: "b"}, err: ErrInvalid},
		"malformed reaches nobody":      {header: "Bearer a 1", first: &kind{prefix: ""}, second: &kind{prefix: ""}, err: ErrInvalid},
		"no credential reaches nobody":  {first: &kind{prefix: ""}, second: &kind{prefix: ""}, err: ErrMissing},
		"basic, its scheme is returned": {header: basic("u:c1"), first: &kind{prefix: "a"}, second: &kind{prefix: "b"}, err: ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if c.header != "" {
				h.Set("Authorization", c.header)
			}
			id, credential, err := Union{c.first, c.second}.Authenticate(t.Context(), h)
			if !errors.Is(err, c.err) || (err == nil) != (id != nil) {
				t.Errorf("%v, %v; want error %v", id, err, c.err)
			}
			if id != nil && id.Principal.Kind != c.want {
				t.Errorf("%s decided, want %s", id.Principal.Kind, c.want)
			}
			if got := [2]int{c.first.asked, c.second.asked}; got != c.asked {
				t.Errorf("asked %v, want %v", got, c.asked)
			}
			if credential.Basic() != strings.HasPrefix(c.header, "Basic") {
				t.Errorf("basic is %v", credential.Basic())
			}
		})
	}
	if _, _, err := (Union)(nil).Authenticate(t.Context(), http.Header{"Authorization": {"Bearer a"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty union: %v", err)
	}
}
