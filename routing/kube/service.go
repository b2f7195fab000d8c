package kube

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
}

// Service makes the target of a Service on the cluster. Its URL always has the
// one form scheme:name:port, because RBAC compares that name literally.
func (c *Cluster) Service(ref ServiceRef) (*routing.Target, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	literal := ref.Scheme + ":" + ref.Name + ":" + ref.Port
	prefix := strings.TrimSuffix(ref.PathPrefix, "/")
	namespace := ref.Namespace
	return &routing.Target{
		UID:       c.uid(ref, literal, prefix),
		Base:      join(c.base, "/api/v1/namespaces/"+namespace+"/services/"+literal+"/proxy"+prefix),
		Header:    ref.Headers.Clone(),
		Transport: c.transport,
		Description: fmt.Sprintf("service %s/%s:%s on cluster %s",
			namespace, ref.Name, ref.Port, c.name),
		ServiceProxy: &routing.ServiceProxy{
			Cluster:   c.name,
			Namespace: namespace,
			Name:      literal,
			Role:      func(verb string) string { return role(namespace, literal, verb, c.subject) },
		},
	}, nil
}

// check holds up whatever would change the meaning of the URL, wherever the
// reference comes from.
func (ref ServiceRef) check() error {
	for _, f := range []struct{ what, value string }{
		{"namespace", ref.Namespace}, {"name", ref.Name}, {"port", ref.Port},
	} {
		if !isLabel(f.value) {
			return fmt.Errorf("the Service's %s %q is not a DNS label", f.what, f.value)
		}
	}
	if ref.Scheme != "http" && ref.Scheme != "https" {
		return fmt.Errorf("the Service's scheme %q is neither http nor https", ref.Scheme)
	}
	if ref.PathPrefix == "" || ref.PathPrefix == "/" {
		return nil
	}
	if !strings.HasPrefix(ref.PathPrefix, "/") {
		return fmt.Errorf("the path prefix %q does not start with a slash", ref.PathPrefix)
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(ref.PathPrefix[1:], "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, reserved) {
			return fmt.Errorf("the path prefix %q is not a plain path", ref.PathPrefix)
		}
	}
	return nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

func reserved(r rune) bool {
	lower := r | 0x20
	return (lower < 'a' || lower > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~", r)
}

// uid tells upstreams apart. The cluster's name belongs to it, since another
// name may mean other credentials on the same API server.
func (c *Cluster) uid(ref ServiceRef, literal, prefix string) string {
	fields := []string{"service", c.name, c.base.String(), ref.Namespace, literal, prefix}
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
