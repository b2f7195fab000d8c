package routing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// HopStatus is what became of a hop.
type HopStatus string

// The statuses of a hop.
const (
	HopOK     HopStatus = "ok"
	HopFailed HopStatus = "failed"
	// HopSkipped: the gateway may not look, or there is nothing to look at.
	// The hops after it still tell whether the way is good.
	HopSkipped HopStatus = "skipped"
)

// Hop is one step on the way to a Prometheus, as an examination found it. All
// text is for people; none of it holds a secret.
type Hop struct {
	// Name is the hop, one of the names below.
	Name   string    `json:"hop"`
	Status HopStatus `json:"status"`
	// Found says what was seen.
	Found string `json:"found"`
	// Cause is the likely cause of a failure, and what to do about it.
	Cause string `json:"cause,omitempty"`
	// Apply is YAML that mends it when it is applied as it stands.
	Apply string `json:"apply,omitempty"`
}

// The names of the hops, in the order of the way. A target that is reached by
// URL has only the last three.
const (
	HopAPIServer   = "api server"
	HopCredentials = "credentials"
	HopRBAC        = "rbac"
	HopService     = "service"
	HopEndpoints   = "endpoints"
	HopConnection  = "connection"
	HopPrometheus  = "prometheus"
	HopToken       = "token"
	// HopDiscovery is a cluster's alone: what is searched there can be seen.
	HopDiscovery = "discovery"
)

// FailedHop is the hop that failed, and whether one did.
func FailedHop(hops []Hop) (Hop, bool) {
	for _, h := range hops {
		if h.Status == HopFailed {
			return h, true
		}
	}
	return Hop{}, false
}

// Trouble is why a connection to a server failed.
type Trouble int

// The kinds of trouble.
const (
	TroubleOther     Trouble = iota
	TroubleName              // DNS does not know the server's name
	TroubleDNS               // DNS itself does not answer
	TroubleRefused           // nobody listens on the port
	TroubleTimeout           // there was no answer in time
	TroubleRoute             // no network leads there
	TroubleUntrusted         // the certificate's authority is not trusted
	TroubleExpired           // the certificate is not valid now
	TroubleMisnamed          // the certificate is for another name
	TroublePlain             // what listens there speaks no TLS
	TroubleRejected          // the server ended the TLS handshake
	TroubleClosed            // the server closed the connection
)

// TroubleOf tells what kind of trouble an error of a round trip is, and says in
// words what was seen of the server, which goes by that address in them.
func TroubleOf(err error, server string) (Trouble, string) {
	var u *url.Error
	if errors.As(err, &u) { // it repeats the URL
		err = u.Err
	}
	if kind, found := certificateTrouble(err, server); kind != TroubleOther {
		return kind, found
	}
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return TroubleName, "DNS knows no address of " + dns.Name
	case errors.As(err, &dns):
		return TroubleDNS, "DNS was asked for " + dns.Name + " and did not answer: " + dns.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return TroubleRefused, "connection refused by " + server
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return TroubleRoute, "no route leads to " + server
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return TroubleTimeout, "timeout: no answer from " + server
	case errors.As(err, &notTLS):
		return TroublePlain, server + " answers a TLS handshake with something else, as a port for plain HTTP does"
	case strings.Contains(err.Error(), "remote error: tls: "): // its type is not exported
		_, alert, _ := strings.Cut(err.Error(), "remote error: ")
		return TroubleRejected, server + " ended the TLS handshake: " + alert
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return TroubleClosed, server + " closed the connection without an answer"
	}
	return TroubleOther, "no connection to " + server + ": " + err.Error()
}

func certificateTrouble(err error, server string) (Trouble, string) {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return TroubleMisnamed, "the certificate of " + server + " is for another name: " + name.Error()
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return TroubleExpired, "the certificate of " + server + " is not valid now: " + invalid.Error()
	case errors.As(err, &invalid):
		return TroubleUntrusted, "the certificate of " + server + " is not accepted: " + invalid.Error()
	case errors.As(err, &authority):
		issuer := ""
		if authority.Cert != nil {
			issuer = " (its issuer is " + authority.Cert.Issuer.String() + ")"
		}
		return TroubleUntrusted, "the certificate of " + server + " is signed by an authority that is not trusted" + issuer
	}
	return TroubleOther, ""
}
