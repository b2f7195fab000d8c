package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// installedInterval is how often an API server is asked whether it has come
	// to know a kind.
	installedInterval = 5 * time.Second
	// installedRetry is how soon it is asked again when it did not answer.
	installedRetry = time.Second
)

// kind is a kind that is not part of every Kubernetes. Asking whether it is
// installed is allowed to everybody, and once for the whole cluster is cheaper
// than to fail in every namespace.
type kind struct {
	installed chan struct{} // closed when it is known to be
	absent    bool          // it is known not to be; under the Discovery's lock
}

// awaitInstalled asks until the kind of a source is installed.
func (d *Discovery) awaitInstalled(ctx context.Context, s *source) {
	k := d.kinds[s]
	for {
		known, err := d.cluster.knows(ctx, s.gvr)
		if ctx.Err() != nil {
			return
		}
		d.noteInstalled(s, known, err)
		wait := installedInterval
		switch {
		case known:
			close(k.installed)
			return
		case err != nil:
			wait = installedRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (d *Discovery) noteInstalled(s *source, known bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.awake()
	k := d.kinds[s]
	d.report(problemKey{s.name, ""}, err)
	switch {
	case err != nil:
	case known && k.absent:
		d.cluster.Logger.Info("a kind was installed and is searched from now on", "cluster", d.cluster.Name, "source", s.name)
		k.absent = false
	case !known && !k.absent:
		d.cluster.Logger.Info("a kind is not installed: it is looked for from time to time", "cluster", d.cluster.Name, "source", s.name,
			"resource", s.gvr.GroupResource().String(), "version", s.gvr.Version)
		k.absent = true
	}
}

// knows asks the API server whether it has the resource.
func (c *Cluster) knows(ctx context.Context, gvr schema.GroupVersionResource) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL("/apis/"+gvr.Group+"/"+gvr.Version).String(), nil)
	if err != nil {
		return false, err
	}
	response, err := c.Transport.RoundTrip(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the API server answered %s", response.Status)
	}
	var list struct {
		Resources []struct {
			Name string `json:"name"`
		} `json:"resources"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return false, err
	}
	for _, r := range list.Resources {
		if r.Name == gvr.Resource {
			return true, nil
		}
	}
	return false, nil
}
