package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
	"github.com/promgate/promgate/tokens"
	"github.com/promgate/promgate/tokens/jwt"
)

// readToken reads the token of --token: a file, or - for standard input.
func readToken(c *cobra.Command, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	in := c.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		switch {
		case err != nil && (strings.HasPrefix(name, "eyJ") || len(name) > 200):
			// It is the token itself, most likely, and is not repeated.
			return "", errors.New("--token is the name of a file that holds the token, or - for standard input; it cannot be read as a file")
		case err != nil:
			return "", fmt.Errorf("--token: %w", err)
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, 2*jwt.MaxTokenBytes))
	if err != nil {
		return "", fmt.Errorf("--token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New("--token: there is no token to read")
	}
	return token, nil
}

// tokenCheck is what is known of one token.
type tokenCheck struct {
	// fault is set where the token opens nothing at all.
	fault *routing.Hop
	// id and record are those of a good token.
	id       string
	identity *auth.Identity
	record   tokens.Record
	// uids are the store's, by project and by project/environment.
	uids map[string]string
	// anywhere tells whether it opens one of the environments that were chosen.
	anywhere bool
}

// newTokenCheck looks the token up in the token store of the configuration.
func newTokenCheck(ctx context.Context, cfg *config.Config, secret string, environments []*routing.Environment) (*tokenCheck, error) {
	c := &tokenCheck{}
	if _, err := os.Stat(cfg.DataDir); err != nil && !cfg.Tokens.InKubernetes() {
		c.refuse("this installation has no token store: "+cfg.DataDir+" (dataDir) cannot be read",
			"no token was made here yet, or this is not the gateway's host, user or configuration: run doctor where the gateway runs")
		return c, nil
	}
	store, err := server.OpenTokens(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	err = c.look(ctx, store, secret, environments)
	return c, errors.Join(err, store.Close())
}

func (c *tokenCheck) refuse(found, cause string) {
	c.fault = &routing.Hop{Name: routing.HopToken, Status: routing.HopFailed, Found: found, Cause: cause}
}

func (c *tokenCheck) look(ctx context.Context, store server.TokenStore, secret string, environments []*routing.Environment) error {
	if err := store.Load(ctx); err != nil {
		return err
	}
	if err := c.verify(ctx, store, secret); err != nil || c.fault != nil {
		return err
	}
	var names []string
	for _, e := range environments {
		if e.Source == file.Source { // found environments have UIDs of their own
			names = append(names, e.Project.Name, e.Project.Name+"/"+e.Name)
		}
	}
	var err error
	if c.uids, err = store.AssignUIDs(ctx, names, false); err != nil {
		return err
	}
	for _, e := range environments {
		c.anywhere = c.anywhere || c.opens(e)
	}
	return nil
}

// verify checks the token as the gateway does, and explains a refusal by the
// token's record.
func (c *tokenCheck) verify(ctx context.Context, store server.TokenStore, secret string) error {
	result := jwt.ResultOK
	verifier := jwt.NewVerifier(func() *tokens.Snapshot { return unused(store.Snapshot()) }, time.Now,
		jwt.OnResult(func(r jwt.Result) { result = r }))
	credential := auth.NewCredential(secret)
	if !verifier.Recognizes(credential) {
		c.refuse("this is no promgate token", "tokens are what promgate token create prints, from eyJ to the end, without Bearer and without line breaks; this may be another product's, or only a part of one")
		return nil
	}
	said := unverified(secret)
	identity, refusal := verifier.Authenticate(ctx, credential)
	record, err := store.Get(ctx, said.ID)
	if err != nil && !errors.Is(err, tokens.ErrNotFound) {
		return err
	}
	if refusal == nil {
		c.id, c.identity, c.record = said.ID, identity, record
		return err
	}
	c.explain(result, refusal, said, record, store.Snapshot().Issuer)
	return nil
}

// explain tells why the gateway refuses a token. The record is empty where
// there is none.
func (c *tokenCheck) explain(result jwt.Result, refusal error, said saidClaims, record tokens.Record, issuer string) {
	const fresh = "make another with promgate token create"
	now := time.Now()
	// A key that no living token needs is deleted: of its tokens the records tell.
	orphan := result == jwt.ResultInvalid && record.ID != "" && record.KeyID == said.keyID && strings.Contains(refusal.Error(), "key that is not in use")
	switch state := record.State(now); {
	case result == jwt.ResultInvalid && said.Issuer != "" && said.Issuer != issuer:
		c.refuse("the token was made by another installation of promgate",
			"each data directory has keys of its own: use a token that this gateway has made, or run doctor with the configuration of the one that made it")
	case result == jwt.ResultInvalid && !orphan:
		c.refuse("the token's signature or form is not good: "+cutPrefix(refusal),
			"it was changed or cut on its way, or the key that signed it is gone: copy it again, whole; if that does not help, "+fresh)
	case record.ID == "":
		c.refuse("there is no record of the token "+routing.Clip(said.ID), "it ended long ago, or the token store was replaced: "+fresh)
	case state == tokens.StateRevoked:
		c.refuse(fmt.Sprintf("the token %s was revoked at %s", record.ID, record.RevokedAt.UTC().Format(time.RFC3339)), fresh)
	case record.ReplacedBy != "" && state == tokens.StateExpired:
		c.refuse(fmt.Sprintf("the token %s expired at %s, after it was rotated", record.ID, record.ExpiresAt.UTC().Format(time.RFC3339)),
			"use its successor, whose id is "+record.ReplacedBy)
	case state == tokens.StateExpired, result == jwt.ResultExpired:
		c.refuse(fmt.Sprintf("the token %s expired at %s", record.ID, record.ExpiresAt.UTC().Format(time.RFC3339)),
			fresh+", or promgate token rotate before it ends")
	default:
		c.refuse("the token is refused: "+cutPrefix(refusal), fresh)
	}
}

// cutPrefix is a refusal without the words that all of them begin with.
func cutPrefix(err error) string {
	return strings.TrimPrefix(err.Error(), auth.ErrInvalid.Error()+": ")
}

// unused is the snapshot without the places where uses are noted: to look at a
// token is no use of it.
func unused(s *tokens.Snapshot) *tokens.Snapshot {
	copied := *s
	copied.Tokens = maps.Clone(s.Tokens)
	for id, live := range copied.Tokens {
		copied.Tokens[id] = &tokens.Live{Scope: live.Scope, KeyID: live.KeyID, ExpiresAt: live.ExpiresAt, Also: live.Also, Part: live.Part}
	}
	return &copied
}

// saidClaims is what a token says of itself, which may be a lie.
type saidClaims struct {
	ID     string `json:"jti"`
	Issuer string `json:"iss"`
	keyID  string
}

func unverified(secret string) (said saidClaims) {
	var header struct {
		KeyID string `json:"kid"`
	}
	parts := strings.Split(secret, ".")
	if len(parts) != 3 {
		return said
	}
	// What cannot be read stays empty: the verifier tells that it is malformed.
	if b, err := base64.RawURLEncoding.DecodeString(parts[0]); err == nil && json.Unmarshal(b, &header) == nil {
		said.keyID = header.KeyID
	}
	if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
		_ = json.Unmarshal(b, &said)
	}
	return said
}

// opens tells whether the good token opens the environment.
func (c *tokenCheck) opens(e *routing.Environment) bool {
	project, environment := e.Project.UID, e.UID
	if e.Source == file.Source {
		project, environment = c.uids[e.Project.Name], c.uids[e.Project.Name+"/"+e.Name]
	}
	return c.identity.MayQuery(project, environment)
}

// hop tells whether the token opens the environment. Of several that were not
// chosen by name, those that it is not for are no failure, as long as it opens
// one.
func (c *tokenCheck) hop(e *routing.Environment, byName bool) routing.Hop {
	if c.fault != nil {
		return *c.fault
	}
	h := routing.Hop{Name: routing.HopToken, Status: routing.HopOK}
	scope, here := scopeText(c.record.Scope), e.Project.Name+"/"+e.Name
	switch {
	case c.opens(e):
		h.Found = fmt.Sprintf("the token %s opens %s until %s", c.id, scope, c.record.ExpiresAt.UTC().Format(time.RFC3339))
	case !byName && c.anywhere:
		h.Status, h.Found = routing.HopSkipped, fmt.Sprintf("the token %s is for %s alone", c.id, scope)
	case c.record.Scope.Project == e.Project.Name && (c.record.Scope.Environment == "" || c.record.Scope.Environment == e.Name):
		h.Status, h.Found = routing.HopFailed, fmt.Sprintf("the token %s is for an earlier %s, which was removed and made again", c.id, scope)
		h.Cause = "a token does not outlive what it was made for: make another with promgate token create"
	default:
		h.Status, h.Found = routing.HopFailed, fmt.Sprintf("the token %s is for %s, not for %s", c.id, scope, here)
		h.Cause = "use its own URL with it, or make a token for " + here + " with promgate token create"
	}
	return h
}
