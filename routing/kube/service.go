package kube

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/promgate/promgate/routing"
)

// ServiceRef names one port of a Service, and the Prometheus behind it.
type ServiceRef struct {
	Namespace, Name string
	// Port is a port name or number that the Service declares.
	Port string
	// Scheme is http or https.
	Scheme string
	// PathPrefix is a clean absolute path of unreserved characters; / or empty:
	// none.
	PathPrefix string
	// Headers are sent with every request.
	Headers http.Header
	// Pin sends questions to one ready pod of the Service, instead of to any.
	Pin bool
}

// Service makes the target of a Service on the cluster. Its URL always has the
// one form scheme:name:port, because RBAC compares that name literally.
func (c *Cluster) Service(ref ServiceRef) (*routing.Target, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	if ref.Pin && c.options.UserCredentials {
		return nil, errPinnedUsers
	}
	literal := ref.Scheme + ":" + ref.Name + ":" + ref.Port
	prefix := strings.TrimSuffix(ref.PathPrefix, "/")
	namespace := ref.Namespace
	transport := c.Transport
	if ref.Pin {
		transport = c.pin(ref)
	}
	var caller http.RoundTripper
	if c.options.UserCredentials {
		caller = c.Anonymous
	}
	return &routing.Target{
		UID:              c.uid(ref, literal, prefix),
		Base:             c.URL("/api/v1/namespaces/" + namespace + "/services/" + literal + "/proxy" + prefix),
		Header:           ref.Headers.Clone(),
		Transport:        transport,
		Caller:           caller,
		NoEndpointTokens: c.options.NoEndpointTokens || caller != nil,
		Description: fmt.Sprintf("service %s/%s:%s on cluster %s",
			namespace, ref.Name, ref.Port, c.Name),
		ServiceProxy: &routing.ServiceProxy{
			Cluster:   c.Name,
			Namespace: namespace,
			Name:      literal,
			Role:      func(verb string) string { return role(namespace, literal, verb, c.Subject) },
			Pinned:    ref.Pin,
		},
		Examine: func(ctx context.Context, post bool) []routing.Hop { return c.examine(ctx, ref, post) },
	}, nil
}

// errPinnedUsers: a caller would need the right to ask every pod, and what one
// caller may tells nothing about the next.
var errPinnedUsers = errors.New("replicas: pin needs the gateway's own credentials, and this cluster has credentials: user; " +
	"use replicas: any, or credentials: dedicated")

// check holds up whatever would change the meaning of the URL, wherever the
// reference comes from.
func (ref ServiceRef) check() error {
	for _, f := range []struct{ what, value string }{
		{"namespace", ref.Namespace}, {"name", ref.Name},
	} {
		if !routing.IsLabel(f.value) {
			return fmt.Errorf("the Service's %s %q is not a DNS label", f.what, routing.Clip(f.value))
		}
	}
	if problem := routing.PortProblem(ref.Port); problem != "" {
		return errors.New(problem)
	}
	if ref.Scheme != "http" && ref.Scheme != "https" {
		return fmt.Errorf("the Service's scheme %q is neither http nor https", routing.Clip(ref.Scheme))
	}
	if ref.PathPrefix == "" {
		return nil
	}
	if problem := routing.PathProblem(ref.PathPrefix); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// uid tells upstreams apart. The cluster's name belongs to it, since another
// name may mean other credentials on the same API server.
func (c *Cluster) uid(ref ServiceRef, literal, prefix string) string {
	fields := []string{"service", c.Name, c.Base.String(), ref.Namespace, literal, prefix, strconv.FormatBool(ref.Pin), strconv.FormatBool(c.options.UserCredentials)}
	for _, name := range slices.Sorted(maps.Keys(ref.Headers)) {
		fields = append(fields, name)
		fields = append(fields, ref.Headers[name]...)
	}
	h := sha256.New()
	for _, f := range fields {
		// With their lengths, fields cannot run into each other.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write([]byte(f))
	}
	return "service-" + hex.EncodeToString(h.Sum(nil)[:16])
}
