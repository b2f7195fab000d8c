package kube

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/tokens"
)

// entries are those of the Secret of the keys.
func (p *plane) entries(t testing.TB) map[string]string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	secret := p.objects["secrets/"+own+"/"+keysName]
	if secret == nil {
		t.Fatal("there is no Secret")
	}
	all := map[string]string{}
	for name, text := range secret["data"].(map[string]any) {
		content, err := base64.StdEncoding.DecodeString(text.(string))
		if err != nil {
			t.Error(err)
		}
		all[name] = string(content)
	}
	return all
}

// edit changes entries of the Secret; empty: it removes them.
func (p *plane) edit(entries map[string]string) {
	p.set(func() {
		data := map[string]any{}
		for name, content := range entries {
			if data[name] = nil; content != "" {
				data[name] = base64.StdEncoding.EncodeToString([]byte(content))
			}
		}
		secret := p.objects["secrets/"+own+"/"+keysName]
		p.record("", "secrets", merge(secret, map[string]any{"data": data}).(map[string]any))
	})
}

// noSecrets checks that nothing of the entries was logged, nor is in the text.
func noSecrets(t testing.TB, entries map[string]string, texts ...string) {
	t.Helper()
	for name, content := range entries {
		block, _ := pem.Decode([]byte(content))
		if block == nil {
			continue
		}
		seed := block.Bytes[len(block.Bytes)-32:]
		for _, form := range []string{string(seed), fmt.Sprintf("%x", seed), fmt.Sprint(seed), "PRIVATE KEY-----",
			base64.StdEncoding.EncodeToString(block.Bytes)[20:], base64.StdEncoding.EncodeToString([]byte(content))[60:90]} {
			for _, text := range texts {
				if strings.Contains(text, form) {
					t.Errorf("the key %s is in\n%s", name, text)
				}
			}
		}
	}
}

// TestFirstKeys: the Secret's form.
func TestFirstKeys(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		g := p.gateway(t)
		if g.Snapshot() != nil {
			t.Error("there is a snapshot before there are keys")
		}
		g.run()
		g.want()
		g.stale(false)
		entries := p.entries(t)
		names := slices.Sorted(maps.Keys(entries))
		if len(names) != 2 || !regexp.MustCompile(`^20000101T00000\dZ\.[0-9a-f]{32}\.pem$`).MatchString(names[0]) || names[1] != "issuer" ||
			!regexp.MustCompile(`^promgate:[0-9a-f]{32}$`).MatchString(entries["issuer"]) {
			t.Errorf("the Secret has %v, and the issuer %s", names, entries["issuer"])
		}
		secret := p.objects["secrets/"+own+"/"+keysName]
		if labels := secret["metadata"].(map[string]any)["labels"]; secret["type"] != "Opaque" || fmt.Sprint(labels) != "map[app.kubernetes.io/name:promgate]" {
			t.Errorf("type %v, labels %v", secret["type"], labels)
		}
		s := g.Snapshot()
		keys, issuer, err := g.signingKeys(t.Context())
		if err != nil || len(keys) != 1 || issuer != entries["issuer"] || s.Issuer != issuer ||
			!s.Keys[keys[0].ID].Equal(keys[0].Private.Public()) || keyID(s.Keys[keys[0].ID]) != keys[0].ID {
			t.Errorf("%d keys, issuer %s, %v", len(keys), issuer, err)
		}
		noSecrets(t, entries, g.logged.String())
		if n := p.count("get secrets"); n != 1 {
			t.Errorf("the Secret was got %d times", n)
		}
	})
}

// TestKeysRace: of many stores that begin at once one makes the keys.
func TestKeysRace(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		var all []*gateway
		for range 8 {
			all = append(all, p.gateway(t))
		}
		var group sync.WaitGroup
		for _, g := range all[:4] {
			group.Go(func() {
				if err := g.Load(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		for _, g := range all[4:] {
			group.Go(func() { g.start() })
		}
		group.Wait()
		synctest.Wait()
		want := p.entries(t)
		for _, g := range all {
			s := g.Snapshot()
			if s.Issuer != want["issuer"] || len(s.Keys) != 1 || len(want) != 2 {
				t.Errorf("issuer %s, %d keys, the Secret has %v", s.Issuer, len(s.Keys), slices.Collect(maps.Keys(want)))
			}
			if text := g.logged.take(); text != "" {
				t.Errorf("logged\n%s", text)
			}
		}
	})
}

// TestKeysDeleted: with the Secret every token has ended, and there is a new one
// at once.
func TestKeysDeleted(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		first, second := p.gateway(t), p.gateway(t)
		first.run()
		second.run()
		before := first.Snapshot()
		p.remove("secrets", own, keysName)
		synctest.Wait()
		after := first.Snapshot()
		if after.Issuer == before.Issuer || after.Issuer == "" || len(after.Keys) != 1 || second.Snapshot().Issuer != after.Issuer {
			t.Errorf("issuer %q, then %q, and of the other %q", before.Issuer, after.Issuer, second.Snapshot().Issuer)
		}
		for id := range before.Keys {
			if after.Keys[id] != nil {
				t.Error("the key is the same")
			}
		}
		const want = `level=WARN msg="the Secret of the signing keys was deleted: every token that was made so far has ended, and the keys are made anew" ` +
			`cluster=local namespace=promgate-system secret=promgate-signing-keys` + "\n"
		for _, g := range []*gateway{first, second} {
			if text := g.logged.take(); text != want {
				t.Errorf("logged\n%s", text)
			}
		}
		// Deleted while it cannot be seen, and made by another.
		first.listed(t, p, func() {
			p.remove("secrets", own, keysName)
			if err := p.gateway(t).Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if text := first.logged.take(); !strings.Contains(text, "was replaced by another") || first.Snapshot().Issuer != p.entries(t)["issuer"] {
			t.Errorf("logged\n%s", text)
		}
	})
}

// listed changes something while the store's watches are down for long.
func (g *gateway) listed(t testing.TB, p *plane, change func()) {
	t.Helper()
	p.refusing(503, "watch secrets", "list secrets")
	pass(2 * time.Minute)
	change()
	p.heal()
	pass(30 * time.Second)
	synctest.Wait()
}

// TestDamagedKeys: what cannot be used is logged once, without its content, and
// leaves the others in use.
func TestDamagedKeys(t *testing.T) {
	wrong, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(wrong)
	if err != nil {
		t.Fatal(err)
	}
	_, _, content, err := (&ring{}).newKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("0", 32)
	for name, test := range map[string]struct{ entry, content, want string }{
		"no PEM":         {"20250101T000000Z." + id + ".pem", "secret words", "it is not one PEM block of type PRIVATE KEY; restore it or remove it"},
		"two blocks":     {"20250101T000000Z." + id + ".pem", string(content) + string(content), "it is not one PEM block of type PRIVATE KEY; restore it or remove it"},
		"another kind":   {"20250101T000000Z." + id + ".pem", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})), "it holds no Ed25519 key; restore it or remove it"},
		"cut short":      {"20250101T000000Z." + id + ".pem", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der[:40]})), "it holds no Ed25519 key; restore it or remove it"},
		"another key":    {"20250101T000000Z." + id + ".pem", string(content), "it holds the key of another id; restore it or remove it"},
		"another name":   {"README", "secret words", "its name is not <time>.<key id>.pem; remove it"},
		"no time":        {"yesterday." + id + ".pem", string(content), "its name is not <time>.<key id>.pem; remove it"},
		"another issuer": {"issuer", "secret words", "the entry is missing or does not begin with promgate:; restore it from a backup, or delete the Secret, which ends every token"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *plane) {
				g := p.gateway(t)
				g.run()
				before := p.entries(t)
				p.edit(map[string]string{test.entry: test.content})
				pass(5 * time.Minute)
				p.edit(map[string]string{"20250102T000000Z." + id + ".pem": "x"}) // another fault
				synctest.Wait()
				record := `level=ERROR msg="an entry of the Secret of the signing keys cannot be used; tokens that need it are refused" ` +
					`cluster=local namespace=promgate-system secret=promgate-signing-keys entry=`
				text := g.logged.take()
				if want := record + test.entry + ` error="` + test.want + "\"\n"; !strings.HasPrefix(text, want) || strings.Count(text, "\n") != 2 {
					t.Errorf("logged\n%swant\n%s", text, want)
				}
				s := g.Snapshot()
				keys, issuer, err := g.signingKeys(t.Context())
				if test.entry == "issuer" {
					if s.Issuer != "" || err == nil || keys != nil {
						t.Errorf("issuer %q, error %v", s.Issuer, err)
					}
					text += fmt.Sprint(err)
					p.edit(map[string]string{"issuer": before["issuer"]})
					synctest.Wait()
				} else if len(keys) != 1 || issuer != before["issuer"] || err != nil || len(s.Keys) != 1 {
					t.Errorf("%d keys, issuer %q, error %v", len(keys), issuer, err)
				}
				if strings.Contains(text, "secret words") {
					t.Errorf("the content is in\n%s", text)
				}
				noSecrets(t, p.entries(t), text)
				key, err := g.RotateKeys(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, kept := p.entries(t)[test.entry]; !kept || len(g.Snapshot().Keys) != 2 || g.Snapshot().Keys[key.ID] == nil {
					t.Errorf("after the rotation: %v", slices.Collect(maps.Keys(p.entries(t))))
				}
			})
		})
	}
}

// keyOfToken has an object's token be signed by a key.
func keyOfToken(key tokens.Key, lifetime time.Duration) func(*object) {
	end := metav1.NewTime(time.Now().Add(lifetime))
	return func(o *object) { o.Status.KeyID, o.Status.ExpiresAt, o.Spec.ExpiresAt = key.ID, &end, nil }
}

// TestRotateKeys: new keys are later, and old ones go when nobody needs them.
func TestRotateKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		g, second := p.gateway(t, "shop", "bank"), p.gateway(t, "shop", "bank")
		stop := g.run()
		rotate := func(s *gateway) tokens.Key {
			t.Helper()
			key, err := s.RotateKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		inUse := func(want ...tokens.Key) {
			t.Helper()
			synctest.Wait()
			keys, issuer, err := g.signingKeys(t.Context())
			if err != nil || issuer != p.entries(t)["issuer"] || !slices.EqualFunc(keys, want, func(a, b tokens.Key) bool {
				return a.ID == b.ID && a.CreatedAt.Equal(b.CreatedAt) && a.Private.Equal(b.Private)
			}) {
				t.Errorf("%d keys, want %d, %v", len(keys), len(want), err)
			}
		}
		keys, _, _ := g.signingKeys(t.Context())
		first := keys[0]
		next := rotate(g)
		if !next.CreatedAt.Equal(first.CreatedAt.Add(time.Second)) {
			t.Errorf("made at %s, the one before at %s", next.CreatedAt, first.CreatedAt)
		}
		inUse(first, next)
		p.put(tokenObject("bank", 1, keyOfToken(first, 3*time.Hour)))
		third := rotate(second) // one that does not run
		inUse(first, next, third)
		if n := len(g.Snapshot().Keys); n != 3 {
			t.Errorf("%d keys in the snapshot", n)
		}
		stop()
		pass(time.Hour + 5*time.Second)
		fourth := rotate(g)
		inUse(first, third, fourth) // next is superseded for an hour, first needed
		pass(61 * time.Minute)
		p.refusing(403, "list endpointtokens shop")
		fifth := rotate(second)
		inUse(first, third, fourth, fifth) // not everything could be listed
		if text := second.logged.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="signing keys that are no longer needed stay for now"`) {
			t.Errorf("logged\n%s", text)
		}
		p.heal()
		p.set(func() {
			p.record("", "endpointtokens", map[string]any{"apiVersion": "promgate.io/v1alpha1", "kind": "EndpointToken",
				"metadata": map[string]any{"namespace": "shop", "name": "x"}, "spec": "?"})
		})
		sixth := rotate(second)
		inUse(first, third, fourth, fifth, sixth) // not everything could be read
		p.remove("endpointtokens", "shop", "x")
		pass(time.Hour + 5*time.Second) // the first key's token has ended
		seventh := rotate(second)
		inUse(sixth, seventh)
		eighth := rotate(second)
		inUse(sixth, seventh, eighth) // sixth is superseded since a moment
		noSecrets(t, p.entries(t), g.logged.String(), second.logged.String())
	})
}

// TestRotateKeysTogether: rotations at the same time do not lose each other's
// keys, and keys are made where there are none.
func TestRotateKeysTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		g := p.gateway(t)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				if _, err := g.RotateKeys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		keys, _, err := g.signingKeys(t.Context())
		if err != nil || len(keys) != 6 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for i := range 5 {
			if !keys[i+1].CreatedAt.After(keys[i].CreatedAt) {
				t.Errorf("key %d is not later than the one before", i+1)
			}
		}
	})
}

// TestSigningKeysRefused: errors say what to do, and none is of help to a thief.
func TestSigningKeysRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		g := p.gateway(t)
		p.refusing(403, "get secrets")
		_, _, err := g.signingKeys(t.Context())
		const want = "cluster local: the gateway may not use the Secret promgate-signing-keys in namespace promgate-system: " +
			"grant it get, list, watch and patch on it, and create on secrets in this namespace: secrets in promgate-system: refused"
		if err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
		p.refusing(0, "get secrets")
		p.refusing(404, "post secrets")
		if _, _, err = g.signingKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "namespace promgate-system does not exist: make it, or correct tokens.namespace") {
			t.Errorf("got %v", err)
		}
		p.listener.cut()
		if _, _, err = g.signingKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "check that the API server can be reached") {
			t.Errorf("got %v", err)
		}
	})
}

// TestReadKey: a key comes back from its entry as it was.
func TestReadKey(t *testing.T) {
	key, name, content, err := (&ring{keys: []tokens.Key{{CreatedAt: time.Date(2026, 11, 21, 13, 50, 0, 0, time.UTC)}}}).newKey(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := "20261121T135001Z." + keyID(key.Private.Public().(ed25519.PublicKey)) + ".pem"; name != want {
		t.Errorf("named %s, want %s", name, want)
	}
	got, err := readKey(name, content)
	if err != nil || got.ID != key.ID || !got.CreatedAt.Equal(key.CreatedAt) || !bytes.Equal(got.Private, key.Private) {
		t.Errorf("got %v", err)
	}
}
