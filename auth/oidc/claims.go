package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName       = 128 // characters of a name
	maxSubject    = 255 // bytes of a subject: OpenID Connect Core 1.0 section 2
	maxGroups     = 1000
	maxGroupBytes = 256
)

// claims are what a provider says of a person: an id token, or userinfo.
type claims map[string]json.RawMessage

// has tells whether a claim is there. A claim that is null says nothing.
func (c claims) has(claim string) bool {
	raw, found := c[claim]
	return found && string(raw) != "null"
}

// text is a claim that is a string.
func (c claims) text(claim string) (text string, found bool, err error) {
	if !c.has(claim) {
		return "", false, nil
	}
	if err := json.Unmarshal(c[claim], &text); err != nil {
		return "", false, fmt.Errorf("the claim %q is not a string", claim)
	}
	return text, true, nil
}

// name is the person's name.
func (c claims) name(claim string) (name string, found bool, err error) {
	name, found, err = c.text(claim)
	if err != nil || !found {
		return "", false, err
	}
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		return "", false, fmt.Errorf("the claim %q is empty", claim)
	case n > maxName:
		return "", false, fmt.Errorf("the claim %q has %d characters, over %d", claim, n, maxName)
	}
	if err := checkPrintable(name); err != nil {
		return "", false, fmt.Errorf("the claim %q %w", claim, err)
	}
	return name, true, nil
}

// checkPrintable wants a name that looks like no other one.
func checkPrintable(name string) error {
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		// JSON that is not UTF-8 is read with U+FFFD in place of what is not, so
		// that two names could become one.
		return errors.New("has characters that cannot be seen")
	case strings.Trim(name, " ") != name:
		return errors.New("has a space at an end")
	}
	return nil
}

// groups are the names of the person's groups. All are good, or none is: who is
// in a group that is left out could be let in or kept out for it.
func (c claims) groups(claim string) (groups []string, found bool, err error) {
	if !c.has(claim) {
		return nil, false, nil
	}
	var one string
	if json.Unmarshal(c[claim], &one) == nil {
		groups = []string{one}
	} else if err := json.Unmarshal(c[claim], &groups); err != nil {
		return nil, false, fmt.Errorf("the claim %q is neither a list of strings nor a string", claim)
	}
	if len(groups) > maxGroups {
		return nil, false, fmt.Errorf("the claim %q lists %d groups, over %d; have the provider send those alone that are of use here",
			claim, len(groups), maxGroups)
	}
	for _, g := range groups {
		switch {
		case g == "":
			return nil, false, fmt.Errorf("the claim %q has a group without a name", claim)
		case len(g) > maxGroupBytes:
			return nil, false, fmt.Errorf("the claim %q has a group of %d bytes, over %d", claim, len(g), maxGroupBytes)
		}
		if err := checkPrintable(g); err != nil {
			return nil, false, fmt.Errorf("the claim %q has a group that %w", claim, err)
		}
	}
	return groups, true, nil
}

// subject is who the claims are of.
func (c claims) subject() (string, error) {
	subject, _, err := c.text("sub")
	switch {
	case err != nil:
		return "", err
	case subject == "":
		return "", errors.New(`the claim "sub" is missing`)
	case len(subject) > maxSubject:
		return "", fmt.Errorf(`the claim "sub" has %d bytes, over %d`, len(subject), maxSubject)
	}
	if err := checkPrintable(subject); err != nil {
		return "", fmt.Errorf(`the claim "sub" %w`, err)
	}
	return subject, nil
}

// checkElsewhere refuses claims that the provider keeps elsewhere: what is
// missing here is not the same as none (OpenID Connect Core 1.0 section 5.6.2).
func (c claims) checkElsewhere(claim string) error {
	var names map[string]json.RawMessage
	if !c.has("_claim_names") || claim == "" {
		return nil
	}
	if err := json.Unmarshal(c["_claim_names"], &names); err != nil {
		return errors.New("_claim_names is not a JSON object")
	}
	if _, found := names[claim]; !found {
		return nil
	}
	return fmt.Errorf("the claim %q is not sent but kept elsewhere (_claim_names), as Microsoft Entra ID does where a person has too many "+
		"groups (overage); have the provider send those alone that are assigned to this application", claim)
}

// checkVerified refuses an email address that is not known to be the person's.
// As kube-apiserver does, it believes a provider that says nothing of that.
func (c claims) checkVerified() error {
	if !c.has("email_verified") {
		return nil
	}
	switch string(c["email_verified"]) {
	case `true`, `"true"`: // Amazon Cognito's userinfo has strings
		return nil
	case `false`, `"false"`:
		return errors.New("the email address is not verified (email_verified is false)")
	}
	return errors.New("email_verified is neither true nor false")
}

// person finds name and groups in what the provider said, the first document
// that has a claim deciding. Claims that are in none are told as missing.
func person(documents []claims, nameClaim, groupsClaim string) (name string, groups []string, missing []string, err error) {
	var hasName, hasGroups bool
	for _, c := range documents {
		for _, claim := range []string{nameClaim, groupsClaim} {
			if err := c.checkElsewhere(claim); err != nil {
				return "", nil, nil, err
			}
		}
		if nameClaim == "email" {
			if err := c.checkVerified(); err != nil {
				return "", nil, nil, err
			}
		}
		if !hasName {
			if name, hasName, err = c.name(nameClaim); err != nil {
				return "", nil, nil, err
			}
		}
		if !hasGroups && groupsClaim != "" {
			if groups, hasGroups, err = c.groups(groupsClaim); err != nil {
				return "", nil, nil, err
			}
		}
	}
	if !hasName {
		missing = append(missing, nameClaim)
	}
	if !hasGroups && groupsClaim != "" {
		missing = append(missing, groupsClaim)
	}
	return name, groups, missing, nil
}
