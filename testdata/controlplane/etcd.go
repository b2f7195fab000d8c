package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// walSegmentSize replaces 64 MiB, of which etcd allocates two in advance; a test cluster never fills one.
const walSegmentSize = 4 << 20

// slowRequest is etcd's own default, which an embedded one does not get.
const slowRequest = 300 * time.Millisecond

// etcdServer is the API server's store. It listens on a unix socket in the directory and nowhere else: etcd without client
// certificates lets anyone write, which a port would allow to every user of the machine.
type etcdServer struct{ *embed.Etcd }

// startEtcd opens or makes the store and waits until it serves.
func startEtcd(ctx context.Context, d *dir, logs *logs) (*etcdServer, error) {
	wal.SegmentSizeBytes = walSegmentSize
	cfg := embed.NewConfig()
	cfg.Name = "controlplane"
	cfg.Dir = d.etcdData()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logs.zap())
	// One member talks to no peers: these URLs are its identity only, nothing listens there.
	nowhere := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{nowhere}
	cfg.InitialCluster = cfg.Name + "=" + nowhere.String()
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Path: d.etcdSocket()}}
	cfg.AdvertiseClientUrls = []url.URL{nowhere}
	cfg.EnableGRPCGateway = false
	// The data must outlive the process, not a power cut.
	cfg.UnsafeNoFsync = true
	// Without a threshold etcd words a warning about every single request.
	cfg.WarningUnaryRequestDuration = slowRequest
	// A lone member elects itself; it need not wait long for others.
	cfg.TickMs, cfg.ElectionMs = 10, 100

	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd cannot start on %s: %w", cfg.Dir, err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return &etcdServer{e}, nil
	case err := <-e.Err():
		return nil, fmt.Errorf("etcd ended while starting: %w", err)
	case <-ctx.Done():
		e.Close()
		return nil, errors.New("etcd was not ready in time: the machine may be too busy, raise --ready-timeout")
	}
}

// stop closes the store. What was acknowledged is in its log already, so an etcd that has to wait for open watches is left
// behind after the timeout.
func (e *etcdServer) stop(timeout time.Duration) {
	done := make(chan struct{})
	go func() {
		e.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(timeout):
	}
	_ = os.Remove(e.Config().ListenClientUrls[0].Path)
}
