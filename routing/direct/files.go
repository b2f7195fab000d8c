package direct

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFileBytes bounds what is read of a certificate or secret file.
const maxFileBytes = 1 << 20

// ReadCA reads the certificates of a PEM file.
func ReadCA(file string) (*x509.CertPool, error) {
	pem, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate that can be read; write PEM blocks of type CERTIFICATE", file)
	}
	return pool, nil
}

// ReadKeyPair reads a certificate and its private key from PEM files.
func ReadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s are not a certificate and its private key: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// ReadSecret reads a token or password: one line of text, without the line
// break at its end.
func ReadSecret(file string) (string, error) {
	content, err := readFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	switch {
	case secret == "":
		return "", fmt.Errorf("%s is empty; write the secret into it", file)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("%s holds more than one line or control characters; write the secret alone, on one line", file)
	}
	return secret, nil
}

// readFile opens regular files only, since opening a pipe may wait for ever.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", file)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", file, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", file, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", file, err)
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes; this is not a certificate or secret", file, maxFileBytes)
	}
	return content, nil
}
