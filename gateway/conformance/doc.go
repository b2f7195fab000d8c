// Package conformance holds the tests that compare the gateway with Prometheus
// itself, apart from the gateway's own, which they would make slow to build.
package conformance
