package kube

import "net/http"

// pin is a transport that sends a Service's questions to one of its pods.
func (c *Cluster) pin(ServiceRef) http.RoundTripper { return c.transport }
