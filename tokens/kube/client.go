package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/promgate/promgate/kube"
)

// located is an object and the cluster that it is on.
type located struct {
	*object
	connection *kube.Connection
}

// cluster is the connection to a cluster by its name; empty: home.
func (s *Store) cluster(name string) (*kube.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" || name == s.home {
		return s.options.Home, nil
	}
	for _, source := range s.options.Sources {
		if source.Connection.Name == name {
			return source.Connection, nil
		}
	}
	return nil, fmt.Errorf("cluster %s holds no tokens: add discovery to it in the configuration", name)
}

// clusterName is what records call a cluster; empty: the one that the gateway
// belongs to, whose connection may be renewed, but not its name.
func (s *Store) clusterName(c *kube.Connection) string {
	if c.Name == s.home {
		return ""
	}
	return c.Name
}

func objectsOf(c *kube.Connection, namespace string) dynamic.ResourceInterface {
	return c.Client.Resource(endpointTokens).Namespace(namespace)
}

// patchStatus changes fields of an object's status, as a JSON merge patch (RFC
// 7396) of that status. It fails with a conflict where the object is no longer
// the one that was read.
func (s *Store) patchStatus(ctx context.Context, l located, fields map[string]any) (*object, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": l.ResourceVersion},
		"status":   fields,
	})
	if err != nil {
		return nil, err
	}
	changed, err := objectsOf(l.connection, l.Namespace).Patch(ctx, l.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	if err != nil {
		return nil, err
	}
	return read(changed, l.Cluster)
}

// fieldManager is the gateway's name beside the fields that it writes.
const fieldManager = "promgate"
