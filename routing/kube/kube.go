// Package kube reaches Prometheus servers through the service proxy of a
// Kubernetes API server.
package kube

import (
	"github.com/promgate/promgate/kube"
)

// Options say how a cluster's Services are asked.
type Options struct {
	// OnPinned is told of each question to a pinned Service who answered it:
	// "pinned", the pod that is preferred; "next", another pod; "service", any
	// one, through the service proxy. Nil: nobody is told.
	OnPinned func(outcome string)
	// UserCredentials has questions asked with their callers' own Kubernetes
	// tokens, and never with the gateway's.
	UserCredentials bool
	// NoEndpointTokens keeps endpoint tokens from opening what is on the
	// cluster. UserCredentials implies it.
	NoEndpointTokens bool
}

// Cluster is a Kubernetes cluster. All targets on it share its connection.
type Cluster struct {
	*kube.Connection
	options Options
	pins    pins
}

// NewCluster makes a cluster of a connection, which Close closes.
func NewCluster(c *kube.Connection, o Options) *Cluster {
	if o.OnPinned == nil {
		o.OnPinned = func(string) {}
	}
	return &Cluster{Connection: c, options: o}
}

// Close ends the watches of pinned Services' pods and closes the connections
// that serve no request. Requests that are under way go on to their end.
func (c *Cluster) Close() {
	c.pins.close()
	c.Connection.Close()
}
