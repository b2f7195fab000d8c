package oidc

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/promgate/promgate/auth"
)

func list(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprint("group ", i)
	}
	return groups
}

// claimsCase is what a provider says of a person, and who that makes.
type claimsCase struct {
	claim    string // of the name; empty: preferred_username
	id       m      // changes
	userInfo m      // beside its sub
	name     string
	groups   []string
	err      string
}

func (c claimsCase) run(t *testing.T) {
	i := newIssuer(t)
	o := i.options()
	if c.claim != "" {
		o.UsernameClaim = c.claim
	}
	i.claims, i.userInfo = c.id, changed(m{"sub": "1000"}, c.userInfo)
	l, err := i.provider(o).Complete(t.Context(), attempt(), callback())
	if c.err != "" {
		wants(t, err, auth.ErrInvalid, c.err)
		return
	}
	if err != nil || l.Name != c.name || !reflect.DeepEqual(l.Groups, c.groups) || l.Subject != "1000" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestNames(t *testing.T) {
	none := m{"preferred_username": nil, "groups": nil}
	for name, c := range map[string]claimsCase{
		"in the id token":            {name: "anna", groups: []string{"team-shop"}},
		"by subject":                 {claim: "sub", name: "1000", groups: []string{"team-shop"}},
		"in userinfo":                {id: none, userInfo: m{"preferred_username": "bert", "groups": []string{"a", "b"}}, name: "bert", groups: []string{"a", "b"}},
		"a name nowhere":             {id: none, err: `the id token or userinfo has no claim "preferred_username"`},
		"an empty name":              {id: m{"preferred_username": ""}, userInfo: m{"preferred_username": "bert"}, err: `"preferred_username" is empty`},
		"a long name":                {id: m{"preferred_username": strings.Repeat("ä", 129)}, err: "129 characters, over 128"},
		"a name that just fits":      {id: m{"preferred_username": strings.Repeat("ä", 128)}, name: strings.Repeat("ä", 128), groups: []string{"team-shop"}},
		"a name with a line break":   {id: m{"preferred_username": "an\nna"}, err: "cannot be seen"},
		"a name that is not UTF-8":   {id: m{"preferred_username": json.RawMessage(`"anna\ud800"`)}, err: "cannot be seen"},
		"a name with a space":        {id: m{"preferred_username": " anna"}, err: "space at an end"},
		"a name that is a list":      {id: m{"preferred_username": []string{"anna"}}, err: `"preferred_username" is not a string`},
		"verified":                   {claim: "email", id: m{"email": "anna@example.com", "email_verified": true}, name: "anna@example.com", groups: []string{"team-shop"}},
		"verified, as Cognito says":  {claim: "email", id: m{"groups": nil}, userInfo: m{"email": "anna@example.com", "email_verified": "true"}, name: "anna@example.com"},
		"not said to be verified":    {claim: "email", id: m{"email": "anna@example.com"}, name: "anna@example.com", groups: []string{"team-shop"}},
		"not verified":               {claim: "email", id: m{"email": "anna@example.com", "email_verified": false}, err: "not verified"},
		"not verified, as a string":  {claim: "email", id: m{"email": "anna@example.com", "email_verified": "false"}, err: "not verified"},
		"verified, sort of":          {claim: "email", id: m{"email": "anna@example.com", "email_verified": 1}, err: "neither true nor false"},
		"not verified in userinfo":   {claim: "email", id: m{"email": "anna@example.com", "groups": nil}, userInfo: m{"email_verified": false}, err: "not verified"},
		"not verified, not the name": {id: m{"email_verified": false}, name: "anna", groups: []string{"team-shop"}},
	} {
		t.Run(name, c.run)
	}
}

func TestGroups(t *testing.T) {
	for name, c := range map[string]claimsCase{
		"groups in userinfo":         {id: m{"groups": nil}, userInfo: m{"preferred_username": "bert", "groups": []string{"a"}}, name: "anna", groups: []string{"a"}},
		"null in the id token":       {id: m{"groups": json.RawMessage("null")}, userInfo: m{"groups": "a"}, name: "anna", groups: []string{"a"}},
		"groups nowhere":             {id: m{"groups": nil}, name: "anna"},
		"one group":                  {id: m{"groups": "team shop"}, name: "anna", groups: []string{"team shop"}},
		"no groups":                  {id: m{"groups": []string{}}, name: "anna", groups: []string{}},
		"1000 groups":                {id: m{"groups": list(1000)}, name: "anna", groups: list(1000)},
		"1001 groups":                {id: m{"groups": list(1001)}, err: "lists 1001 groups, over 1000"},
		"a group of 256 bytes":       {id: m{"groups": strings.Repeat("ä", 128)}, name: "anna", groups: []string{strings.Repeat("ä", 128)}},
		"a group of 257 bytes":       {id: m{"groups": []string{"a", strings.Repeat("x", 257)}}, err: "group of 257 bytes, over 256"},
		"a group without a name":     {id: m{"groups": []string{"a", ""}}, err: "group without a name"},
		"a group that is null":       {id: m{"groups": []any{"a", nil}}, err: "group without a name"},
		"an unseen group":            {id: m{"groups": []string{"a\u202eb"}}, err: "group that has characters that cannot be seen"},
		"a group with a space":       {id: m{"groups": []string{"a "}}, err: "group that has a space at an end"},
		"groups that are numbers":    {id: m{"groups": []int{1}}, err: "neither a list of strings nor a string"},
		"groups that are an object":  {id: m{"groups": m{"a": true}}, err: "neither a list of strings nor a string"},
		"userinfo's groups are bad":  {id: m{"groups": nil}, userInfo: m{"groups": 7}, err: "neither a list of strings nor a string"},
		"Entra's overage":            {id: m{"groups": nil, "_claim_names": m{"groups": "src1"}, "_claim_sources": m{"src1": m{"endpoint": "https://graph.example"}}}, userInfo: m{"groups": "a"}, err: "kept elsewhere (_claim_names)"},
		"overage in userinfo":        {id: m{"groups": nil}, userInfo: m{"_claim_names": m{"groups": "src1"}}, err: "kept elsewhere (_claim_names)"},
		"another claim is elsewhere": {id: m{"_claim_names": m{"address": "src1"}, "_claim_sources": m{"src1": m{}}}, name: "anna", groups: []string{"team-shop"}},
	} {
		t.Run(name, c.run)
	}
}

// TestUserInfo: what it answers in place of claims.
func TestUserInfo(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
		text   string
	}{
		"of another":   {200, `{"sub":"1001","groups":["a"]}`, auth.ErrInvalid, "another subject"},
		"of nobody":    {200, `{"groups":["a"]}`, auth.ErrInvalid, "another subject"},
		"refuses":      {403, `{}`, ErrRefused, "userinfo answered 403"},
		"broken":       {500, accessToken, auth.ErrUnavailable, "userinfo answered 500"},
		"elsewhere":    {302, ``, auth.ErrUnavailable, "userinfo answered 302"},
		"a page":       {200, `<html>` + accessToken, auth.ErrUnavailable, "not a JSON object"},
		"null":         {200, `null`, auth.ErrUnavailable, "not a JSON object"},
		"endless":      {200, `{"sub":"` + strings.Repeat("x", 2<<20), auth.ErrUnavailable, "over 1 MiB"},
		"without name": {200, `{"sub":"1000"}`, auth.ErrInvalid, "no claim"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.claims = m{"groups": nil, "preferred_username": nil}
			i.answer("/userinfo", c.status, c.body)
			_, err := i.provider(i.options()).Complete(t.Context(), attempt(), callback())
			wants(t, err, c.kind, c.text)
		})
	}
	i := newIssuer(t)
	i.discovery, i.claims = m{"userinfo_endpoint": nil}, m{"preferred_username": nil}
	_, err := i.provider(i.options()).Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrInvalid, `the id token has no claim "preferred_username"`)
	o := i.options()
	o.UsernameClaim, o.GroupsClaim = "sub", ""
	if l, err := i.provider(o).Complete(t.Context(), attempt(), callback()); err != nil || l.Groups != nil {
		t.Errorf("%+v, %v", l, err)
	}
}

// FuzzPerson: whoever is accepted has a name that can be seen, told from any
// other and bounded, and so have the groups, which are all that were sent. What
// is said first counts, and what is said later takes nothing of it away.
func FuzzPerson(f *testing.F) {
	for _, id := range []string{
		`{"name":"anna","groups":["a","b"]}`, `{"name":"anna","groups":"a"}`, `{"groups":null}`, `{}`, `null`, `{"name":"a\ud800"}`, "{\"name\":\"a\xff\"}",
		`{"email":"a@b","email_verified":"true"}`, `{"email":"a@b","email_verified":false}`, `{"_claim_names":{"groups":"x"}}`, `{"name":" a"}`,
		`{"_claim_names":7,"groups":["\u202e"]}`, `{"name":1e9,"groups":[[]]}`, `{"name":"a","NAME":"b","name":"c"}`,
	} {
		f.Add([]byte(id), []byte(`{"name":"bert","email":"b@c","groups":["x"]}`), false)
		f.Add([]byte(`{"sub":"1"}`), []byte(id), true)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, byEmail bool) {
		var a, b claims
		if json.Unmarshal(first, &a) != nil || json.Unmarshal(second, &b) != nil {
			return
		}
		claim := "name"
		if byEmail {
			claim = "email"
		}
		name, groups, missing, err := person([]claims{a, b}, claim, "groups")
		if err != nil {
			if name != "" || groups != nil || !utf8.ValidString(err.Error()) || len(err.Error()) > 400 {
				t.Errorf("beside %q: %q, %q", err, name, groups)
			}
			return
		}
		if name == "" != (len(missing) > 0 && missing[0] == claim) || len(groups) > maxGroups {
			t.Errorf("%q, %d groups, missing %q", name, len(groups), missing)
		}
		if n := utf8.RuneCountInString(name); n > maxName {
			t.Errorf("a name of %d characters", n)
		}
		for _, text := range append(groups, name) {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) ||
				strings.TrimSpace(text) != text || len(text) > 4*maxName {
				t.Errorf("%q was accepted", text)
			}
		}
		if raw, _ := json.Marshal(name); name != "" && byEmail && (string(a["email_verified"]) == "false" || string(b["email_verified"]) == "false") {
			t.Errorf("%s is not verified", raw)
		}
		// Alone, the first document says the same of all that it has.
		name1, groups1, missing1, err := person([]claims{a}, claim, "groups")
		if err != nil || len(missing1) < len(missing) || name1 != "" && name1 != name || a.has("groups") && !reflect.DeepEqual(groups1, groups) {
			t.Errorf("%q, %q, %v; with the other one %q, %q", name1, groups1, err, name, groups)
		}
	})
}
