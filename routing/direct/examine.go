package direct

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/routing"
)

// examineTimeout bounds an examination.
const examineTimeout = 10 * time.Second

// connectionAdvice tells what to do about a connection to a server.
var connectionAdvice = map[routing.Trouble]string{
	routing.TroubleName:      "the host in url is mistyped, or known in another network only: correct it, or run the gateway where the name is known",
	routing.TroubleDNS:       "the DNS of the machine or pod that the gateway runs on is in trouble: look there first (/etc/resolv.conf, CoreDNS)",
	routing.TroubleRefused:   "Prometheus is stopped, or listens on another port or address (its --web.listen-address): compare that with url",
	routing.TroubleTimeout:   "nothing answers at that address, or a firewall or NetworkPolicy drops what is sent there: check url, and that the gateway may connect to it",
	routing.TroubleRoute:     "this machine or pod has no way to that network: check url, and routes, VPN or NetworkPolicy",
	routing.TroubleUntrusted: "set tls.caFile to the PEM file of the authority that signed it; if it should be trusted already, something on the way answers in the server's place",
	routing.TroubleExpired:   "the server's certificate has to be renewed, or the clock of this machine is wrong",
	routing.TroubleMisnamed:  "use a name of the certificate in url, set tls.serverName to it, or have the certificate made for this name",
	routing.TroublePlain:     "the server speaks plain HTTP there: begin url with http://, or use its TLS port",
	routing.TroubleRejected:  "the server does not take the client certificate, or wants one: set or renew tls.certFile and tls.keyFile",
	routing.TroubleClosed:    "the server wants TLS there (begin url with https://), speaks another protocol, or a proxy before it has nobody to pass the connection to",
	routing.TroubleOther:     "check url, and the network between the gateway and it",
}

// examine looks whether the server can be connected to, and goes no further:
// what it answers is no matter of the connection.
func (o *Options) examine(ctx context.Context, base *url.URL, transport http.RoundTripper) []routing.Hop {
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connected.Store(true)
		cancel()
	}})
	request := &http.Request{Method: http.MethodHead, URL: base.JoinPath("/"), Header: http.Header{}}
	resp, err := transport.RoundTrip(request.WithContext(ctx))
	if err == nil {
		_ = resp.Body.Close() // nothing was to be read
	}
	hop := routing.Hop{Name: routing.HopConnection, Status: routing.HopOK, Found: "connected to " + base.Host}
	switch {
	case err != nil && !connected.Load():
		kind, found := routing.TroubleOf(err, base.Host)
		hop.Status, hop.Found, hop.Cause = routing.HopFailed, found, connectionAdvice[kind]
	case base.Scheme == "https" && o.DangerouslySkipVerify:
		hop.Found += ", whose certificate is not looked at (tls.dangerouslySkipVerify)"
	case base.Scheme == "https":
		hop.Found += ", whose certificate is good"
	}
	return []routing.Hop{hop}
}
