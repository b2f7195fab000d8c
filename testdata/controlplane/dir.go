package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what a unix socket address holds on the smallest of the systems in use, with its closing zero.
const maxSocketPath = 104

// dir is where one control plane keeps everything: keys, etcd's data, sockets, the address mapping. Starting again on the
// same directory gives the same cluster.
type dir struct {
	path   string
	remove bool
	lock   *os.File
}

func (d *dir) file(name string) string   { return filepath.Join(d.path, name) }
func (d *dir) caCert() string            { return d.file("ca.crt") }
func (d *dir) caKey() string             { return d.file("ca.key") }
func (d *dir) servingCert() string       { return d.file("apiserver.crt") }
func (d *dir) servingKey() string        { return d.file("apiserver.key") }
func (d *dir) serviceAccountKey() string { return d.file("service-account.key") }
func (d *dir) adminKubeconfig() string   { return d.file("admin.kubeconfig") }
func (d *dir) egressConfig() string      { return d.file("egress.yaml") }
func (d *dir) etcdData() string          { return d.file("etcd") }
func (d *dir) etcdSocket() string        { return d.file("etcd.sock") }
func (d *dir) proxySocket() string       { return d.file("proxy.sock") }
func (d *dir) mapping() string           { return d.file("mapping") }

// openDir makes the directory if needed and takes it for this process. Without a path it is a temporary one, which close
// removes. Only its owner may enter: it holds the key that makes any identity.
func openDir(path string) (*dir, error) {
	d := &dir{}
	var err error
	if path == "" {
		if d.path, err = os.MkdirTemp("", "cp-"); err != nil {
			return nil, fmt.Errorf("cannot make a temporary directory: %w", err)
		}
		d.remove = true
	} else {
		if d.path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("cannot resolve --dir %s: %w", path, err)
		}
		if err = os.MkdirAll(d.path, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the directory of --dir: %w", err)
		}
	}
	if err := d.prepare(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *dir) prepare() error {
	if longest := d.proxySocket(); len(longest) >= maxSocketPath {
		return fmt.Errorf("the path %s is too long for a unix socket: choose a directory (--dir or TMPDIR) with a path of at most %d bytes",
			longest, maxSocketPath-1-len(filepath.Base(longest))-1)
	}
	lock, err := os.OpenFile(d.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the lock file: %w", err)
	}
	d.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another control plane uses the directory %s: stop it first, or choose another directory (%w)", d.path, err)
	}
	if err := os.MkdirAll(d.mapping(), 0o700); err != nil {
		return fmt.Errorf("cannot make the mapping directory: %w", err)
	}
	return nil
}

// close gives the directory free. Sockets never stay; the rest stays only if the directory was chosen by the caller.
func (d *dir) close() {
	if d.remove {
		removeAll(d.path)
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// removeAll tries again while a server that has not quite ended still creates files.
func removeAll(path string) {
	for range 10 {
		if err := os.RemoveAll(path); err == nil || !errors.Is(err, syscall.ENOTEMPTY) {
			return
		}
	}
}

// writeFile replaces a file as a whole, so that a reader in another process never sees half of it.
func writeFile(path string, data []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, mode); err != nil {
		return fmt.Errorf("cannot write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("cannot put %s in place: %w", filepath.Base(path), err)
	}
	return nil
}
