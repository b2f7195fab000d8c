//go:build !unix

package cluster

// lock does nothing: the control plane needs unix sockets and file locks, so there is nothing to build here.
func lock(string) (unlock func(), err error) { return func() {}, nil }
