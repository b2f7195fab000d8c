package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

const readyPoll = 20 * time.Millisecond

// egressConfiguration sends every connection that is meant for the cluster's network to the CONNECT proxy.
const egressConfiguration = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds:
        udsName: %q
`

// unneededAdmission is what has nothing to do here: there are no nodes, volumes, controllers or accounts with secrets. What
// judges a manifest (PodSecurity, quotas, policies, webhooks) stays.
var unneededAdmission = []string{
	"ServiceAccount", // would refuse every Pod, because no controller makes the default accounts
	"DefaultIngressClass", "DefaultStorageClass", "PersistentVolumeClaimResize", "RuntimeClass", "StorageObjectInUseProtection",
	"TaintNodesByCondition",
}

// apiServer is the running kube-apiserver.
type apiServer struct {
	url    string
	cancel context.CancelFunc
	done   chan error // receives the reason when it ends, then is closed
}

// startAPIServer takes the port and starts the server; waitReady tells when it serves.
func startAPIServer(d *dir, port int) (*apiServer, error) {
	if err := writeFile(d.egressConfig(), fmt.Appendf(nil, egressConfiguration, d.proxySocket()), 0o600); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the port of --secure-port, choose another one: %w", err)
	}
	url := "https://" + listener.Addr().String()
	o, err := serverOptions(flagsFor(d, url))
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	// Handed over open, so that no other process can take a free port between its choice and its use.
	o.SecureServing.Listener = listener

	ctx, cancel := context.WithCancel(context.Background())
	s := &apiServer{url: url, cancel: cancel, done: make(chan error, 1)}
	go func() {
		defer listener.Close()
		s.done <- runAPIServer(ctx, o)
		close(s.done)
	}()
	return s, nil
}

// flagsFor is the command line that a kube-apiserver would be started with.
func flagsFor(d *dir, url string) []string {
	return []string{
		"--etcd-servers=unix://" + d.etcdSocket(),
		"--etcd-compaction-interval=0",
		"--egress-selector-config-file=" + d.egressConfig(),
		"--bind-address=127.0.0.1",
		// Must not be loopback, and is used nowhere: a documentation address.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",

		"--tls-cert-file=" + d.servingCert(),
		"--tls-private-key-file=" + d.servingKey(),
		"--client-ca-file=" + d.caCert(),
		"--service-account-key-file=" + d.serviceAccountKey(),
		"--service-account-signing-key-file=" + d.serviceAccountKey(),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-jwks-uri=" + url + "/openid/v1/jwks",
		"--authorization-mode=RBAC",

		"--disable-admission-plugins=" + strings.Join(unneededAdmission, ","),
		// Fairness queues and their objects take time to start and have no say over proxied requests anyway.
		"--enable-priority-and-fairness=false",
		"--profiling=false",
		"--shutdown-delay-duration=0s",
	}
}

func serverOptions(arguments []string) (*options.ServerRunOptions, error) {
	o := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	sets := o.Flags()
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(arguments); err != nil {
		return nil, fmt.Errorf("the API server does not accept its flags: %w", err)
	}
	return o, nil
}

// runAPIServer is what the kube-apiserver command does after parsing its flags, but for its logging and its signals, which
// are this process's own.
func runAPIServer(ctx context.Context, o *options.ServerRunOptions) error {
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("cannot set the API server's feature gates: %w", err)
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := o.Complete(ctx)
	if err != nil {
		return fmt.Errorf("cannot complete the API server's options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("the API server's options are not valid: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

// waitReady returns when /readyz answers ok: all start hooks are done then, the default roles are there.
func (s *apiServer) waitReady(ctx context.Context, p *pki) error {
	roots := x509.NewCertPool()
	roots.AddCert(p.caCert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}

	last := errors.New("no answer yet")
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		select {
		case err := <-s.done:
			return fmt.Errorf("the API server ended while starting: %w", orUnknown(err))
		case <-ctx.Done():
			return fmt.Errorf("the API server was not ready in time, the machine may be too busy, raise --ready-timeout; last answer: %w", last)
		case <-tick.C:
			if last = s.probe(ctx, client); last == nil {
				return nil
			}
		}
	}
}

func (s *apiServer) probe(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s: %s", response.Status, body)
	}
	return nil
}

// stop ends the server. Open watches and proxied requests would hold it up for a minute, so after the timeout they end with
// the process.
func (s *apiServer) stop(timeout time.Duration) {
	s.cancel()
	select {
	case <-s.done:
	case <-time.After(timeout):
	}
}
