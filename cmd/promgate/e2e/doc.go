// Package e2e holds tests of the whole gateway among the real parts around it: a Kubernetes API server with RBAC on, Prometheus
// servers behind its service proxy, and clients that were written elsewhere. It has no code but tests.
package e2e
