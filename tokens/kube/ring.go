package kube

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/tokens"
)

// secrets are Kubernetes Secrets.
var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

const (
	// keysName is the name of the Secret that holds issuer and signing keys.
	keysName     = "promgate-signing-keys"
	issuerEntry  = "issuer"
	issuerPrefix = "promgate:"
	keyTime      = "20060102T150405Z"
	keySuffix    = ".pem"
	pemType      = "PRIVATE KEY"
)

// ring is what the Secret of the keys holds.
type ring struct {
	issuer string       // empty: it has none that can be used
	keys   []tokens.Key // the newest last
	// faults say what is wrong with entries that cannot be used, by their names.
	faults map[string]string
	// version is the Secret's resource version, and uid its identity.
	version, uid string
}

var errNoSecret = errors.New("it cannot be read as a Secret")

// readRing reads the Secret of the keys. No error says anything of its values.
func readRing(u *unstructured.Unstructured) (*ring, error) {
	var secret corev1.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &secret); err != nil {
		return nil, errNoSecret
	}
	r := &ring{faults: map[string]string{}, version: secret.ResourceVersion, uid: string(secret.UID)}
	for name, content := range secret.Data {
		if name == issuerEntry {
			continue
		}
		key, err := readKey(name, content)
		if err != nil {
			r.faults[name] = err.Error()
			continue
		}
		r.keys = append(r.keys, key)
	}
	slices.SortFunc(r.keys, func(a, b tokens.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	issuer := string(secret.Data[issuerEntry])
	if id, ok := strings.CutPrefix(issuer, issuerPrefix); ok && id != "" {
		r.issuer = issuer
	} else {
		r.faults[issuerEntry] = "the entry is missing or does not begin with " + issuerPrefix + "; restore it from a backup, or delete the Secret, which ends every token"
	}
	return r, nil
}

// usable tells why nothing can be signed with the ring.
func (r *ring) usable() error {
	switch {
	case r.issuer == "":
		return fmt.Errorf("the Secret %s cannot be used: %s: %s", keysName, issuerEntry, r.faults[issuerEntry])
	case len(r.keys) == 0:
		return fmt.Errorf("the Secret %s holds no signing key that can be used: rotate the signing keys", keysName)
	}
	return nil
}

// readKey reads one entry. The cause of an error stays out of it: it is about
// bytes of a private key.
func readKey(name string, content []byte) (tokens.Key, error) {
	stem, isKey := strings.CutSuffix(name, keySuffix)
	created, id, _ := strings.Cut(stem, ".")
	at, err := time.Parse(keyTime, created)
	if !isKey || err != nil || id == "" {
		return tokens.Key{}, errors.New("its name is not <time>.<key id>.pem; remove it")
	}
	block, rest := pem.Decode(content)
	if block == nil || block.Type != pemType || len(rest) > 0 {
		return tokens.Key{}, fmt.Errorf("it is not one PEM block of type %s; restore it or remove it", pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, isEd25519 := parsed.(ed25519.PrivateKey)
	if err != nil || !isEd25519 {
		return tokens.Key{}, errors.New("it holds no Ed25519 key; restore it or remove it")
	}
	if id != keyID(private.Public().(ed25519.PublicKey)) {
		return tokens.Key{}, errors.New("it holds the key of another id; restore it or remove it")
	}
	return tokens.Key{ID: id, CreatedAt: at, Private: private}, nil
}

// newKey makes a key that is later than all of the ring. It returns the name
// and the content of its entry as well.
func (r *ring) newKey(now time.Time) (key tokens.Key, name string, content []byte, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return key, "", nil, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return key, "", nil, fmt.Errorf("make signing key: %w", err)
	}
	created := now.UTC().Truncate(time.Second)
	if n := len(r.keys); n > 0 && !created.After(r.keys[n-1].CreatedAt) {
		created = r.keys[n-1].CreatedAt.Add(time.Second)
	}
	key = tokens.Key{ID: keyID(public), CreatedAt: created, Private: private}
	return key, entryOf(key), pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// entryOf is the name of a key's entry.
func entryOf(key tokens.Key) string {
	return key.CreatedAt.Format(keyTime) + "." + key.ID + keySuffix
}

// keyID is the first half of the public key's SHA-256, in hex.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:16])
}

// newSecret makes the Secret of the keys, with one key.
func newSecret(namespace string, now time.Time) (*unstructured.Unstructured, error) {
	_, name, content, err := (&ring{}).newKey(now)
	if err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: keysName, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/name": "promgate"}},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{issuerEntry: []byte(issuerPrefix + hex.EncodeToString(id[:])), name: content},
	})
	if err != nil {
		return nil, errNoSecret
	}
	return &unstructured.Unstructured{Object: object}, nil
}
