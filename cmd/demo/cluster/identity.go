package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// credentialLifetime outlives any test and any afternoon with the demo.
const credentialLifetime = 30 * 24 * time.Hour

// ServiceAccountToken makes the ServiceAccount if needed and returns a token of it, valid for 30 days and for the audiences
// given; without any it is one for the API server itself.
func (c *Cluster) ServiceAccountToken(ctx context.Context, namespace, name string, audiences ...string) (string, error) {
	accounts := c.client.CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	_, err := accounts.Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("cluster: cannot make the service account %s/%s: %w", namespace, name, err)
	}
	seconds := int64(credentialLifetime / time.Second)
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds},
	}
	answer, err := accounts.CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("cluster: cannot get a token for the service account %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}

// ServiceAccountKubeconfig makes the ServiceAccount if needed and returns the path of a kubeconfig with a token of it. The
// file lies in the cluster's directory; calling again replaces it.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (path string, err error) {
	token, err := c.ServiceAccountToken(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig("serviceaccount-"+namespace+"-"+name, namespace, &clientcmdapi.AuthInfo{Token: token})
}

// UserKubeconfig returns the path of a kubeconfig with a client certificate for a user in groups; the API server believes the
// certificate, neither needs to be known before. The file lies in the cluster's directory.
func (c *Cluster) UserKubeconfig(_ context.Context, user string, groups ...string) (path string, err error) {
	certPEM, keyPEM, err := c.clientCertificate(user, groups)
	if err != nil {
		return "", fmt.Errorf("cluster: cannot make a client certificate for %s: %w", user, err)
	}
	// The same user in other groups is another identity, with a file of its own.
	name := "user-" + url.PathEscape(user) + "-" + shortHash(groups...)
	return c.writeKubeconfig(name, "", &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM})
}

func (c *Cluster) clientCertificate(user string, groups []string) (certPEM, keyPEM []byte, err error) {
	authority, err := tls.LoadX509KeyPair(c.info.CACert, c.info.CAKey)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the cluster's certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(credentialLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

// writeKubeconfig writes a kubeconfig that only its owner may read.
func (c *Cluster) writeKubeconfig(name, namespace string, who *clientcmdapi.AuthInfo) (string, error) {
	authority, err := os.ReadFile(c.info.CACert)
	if err != nil {
		return "", fmt.Errorf("cluster: cannot read the cluster's certificate authority: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["controlplane"] = &clientcmdapi.Cluster{Server: c.info.Server, CertificateAuthorityData: authority}
	config.AuthInfos["user"] = who
	config.Contexts["user"] = &clientcmdapi.Context{Cluster: "controlplane", AuthInfo: "user", Namespace: namespace}
	config.CurrentContext = "user"
	directory := filepath.Join(c.info.Dir, "kubeconfigs")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", fmt.Errorf("cluster: cannot make the directory for kubeconfigs: %w", err)
	}
	path := filepath.Join(directory, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("cluster: cannot write the kubeconfig: %w", err)
	}
	return path, nil
}

// shortHash tells lists of words apart in names that take few characters only.
func shortHash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:4])
}
