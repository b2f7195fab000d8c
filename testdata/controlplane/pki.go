package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A kept directory is used again on other days; no test lives for years.
const validity = 10 * 365 * 24 * time.Hour

// pki is one certificate authority for the API server's certificate and the clients', made once for each directory.
type pki struct {
	caCert *x509.Certificate
	caPEM  []byte
	caKey  *ecdsa.PrivateKey
}

// openPKI reads the keys of the directory, or makes them in a new one: the authority, the API server's certificate and the
// key that signs service account tokens. Kept keys are what makes a token and a kubeconfig survive a restart.
func openPKI(d *dir) (*pki, error) {
	if _, err := os.Stat(d.serviceAccountKey()); errors.Is(err, fs.ErrNotExist) {
		return createPKI(d)
	}
	pair, err := tls.LoadX509KeyPair(d.caCert(), d.caKey())
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority in %s, remove the directory to start anew: %w", d.path, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key of the certificate authority in %s is not an ECDSA key, remove the directory to start anew", d.path)
	}
	return &pki{
		caCert: pair.Leaf,
		caPEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw}),
		caKey:  key,
	}, nil
}

// createPKI writes the service account key last: its presence says that the rest is complete.
func createPKI(d *dir) (*pki, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "controlplane-ca"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	p := &pki{caCert: template, caKey: key}
	if p.caPEM, err = p.sign(template, key); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(p.caPEM)
	if p.caCert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("cannot read the new certificate authority: %w", err)
	}
	serving := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	servingPEM, servingKeyPEM, err := p.issue(serving)
	if err != nil {
		return nil, err
	}
	_, accountKeyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		path string
		data []byte
	}{
		{d.caCert(), p.caPEM}, {d.caKey(), keyPEM},
		{d.servingCert(), servingPEM}, {d.servingKey(), servingKeyPEM},
		{d.serviceAccountKey(), accountKeyPEM},
	} {
		if err := writeFile(f.path, f.data, 0o600); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot encode a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// issue makes a key and a certificate of the authority for it.
func (p *pki) issue(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = p.sign(template, key)
	return certPEM, keyPEM, err
}

func (p *pki) sign(template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("cannot make a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, p.caCert, key.Public(), p.caKey)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// writeAdminKubeconfig makes a client certificate in the group that RBAC lets do everything.
func writeAdminKubeconfig(d *dir, p *pki, server string) error {
	certPEM, keyPEM, err := p.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["controlplane"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: p.caPEM}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	config.Contexts["admin"] = &clientcmdapi.Context{Cluster: "controlplane", AuthInfo: "admin"}
	config.CurrentContext = "admin"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("cannot encode the admin kubeconfig: %w", err)
	}
	return writeFile(d.adminKubeconfig(), data, 0o600)
}
