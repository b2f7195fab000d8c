package kube

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// noProxy keeps the environment from deciding where requests go.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// errInCluster explains how a cluster without a kubeconfig is meant.
var errInCluster = errors.New("it has no kubeconfig, so the gateway must run in a pod of this cluster, with a service account token mounted; " +
	"it does not: run it there, or set kubeconfig")

// podNamespace is where a pod's own namespace is told.
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// PodNamespace is the namespace of the pod that the process runs in. It fails
// where there is none, or no service account token is mounted.
func PodNamespace() (string, error) {
	text, err := os.ReadFile(podNamespace)
	return strings.TrimSpace(string(text)), err
}

// CheckKubeconfig tells whether a kubeconfig can be used with the context
// (empty: its current one): it exists, is well formed, the context is whole,
// and the certificates that it names can be read. It connects to nothing and
// runs no plugin.
func CheckKubeconfig(file, context string) error {
	config, err := fromKubeconfig(file, context)
	if err != nil {
		return err
	}
	if _, err := rest.TLSConfigFor(config); err != nil {
		return fmt.Errorf("the certificates of %s cannot be used: %w", file, err)
	}
	if config.BearerTokenFile != "" {
		if _, err := os.Stat(config.BearerTokenFile); err != nil {
			return fmt.Errorf("the token file of %s cannot be read: %w", file, err)
		}
	}
	return nil
}

func restConfig(o Options) (*rest.Config, error) {
	config, err := load(o)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.Name, err)
	}
	config.UserAgent = "promgate"
	config.DisableCompression = true
	if config.Proxy == nil { // a proxy-url in the kubeconfig is the operator's word
		config.Proxy = noProxy
	}
	return config, nil
}

func load(o Options) (*rest.Config, error) {
	if o.Kubeconfig != "" {
		return fromKubeconfig(o.Kubeconfig, o.Context)
	}
	config, err := rest.InClusterConfig()
	switch {
	case errors.Is(err, rest.ErrNotInCluster), errors.Is(err, os.ErrNotExist):
		return nil, errInCluster
	case err != nil:
		return nil, fmt.Errorf("the pod's service account cannot be used: %w", err)
	case config.CAFile == "":
		return nil, errors.New("the pod's service account has no readable ca.crt, so the API server cannot be verified; check how the token is mounted")
	}
	return config, nil
}

func fromKubeconfig(file, context string) (*rest.Config, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("the kubeconfig %s does not exist", file)
	case err != nil:
		return nil, fmt.Errorf("the kubeconfig %s cannot be read: %w", file, err)
	case !info.Mode().IsRegular(): // opening a pipe may wait for ever
		return nil, fmt.Errorf("the kubeconfig %s is not a file", file)
	}
	// The rules are what makes paths in the file relative to it.
	raw, err := (&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}).Load()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %s cannot be used: %w", file, err)
	}
	if context == "" {
		context = raw.CurrentContext
	}
	if err := checkContext(raw, file, context); err != nil {
		return nil, err
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %q of the kubeconfig %s cannot be used: %w", context, file, err)
	}
	if config.AuthProvider != nil {
		return nil, fmt.Errorf("context %q of the kubeconfig %s uses the auth provider %q, which Kubernetes has dropped; "+
			"use an exec plugin, a token file or a client certificate", context, file, config.AuthProvider.Name)
	}
	if config.ExecProvider != nil {
		config.ExecProvider.StdinUnavailable = true
		config.ExecProvider.StdinUnavailableMessage = "the gateway runs unattended"
	}
	return config, nil
}

func checkContext(raw *clientcmdapi.Config, file, context string) error {
	if context == "" {
		return fmt.Errorf("the kubeconfig %s has no current context; set context to one of %s", file, names(raw.Contexts))
	}
	c, ok := raw.Contexts[context]
	if !ok {
		return fmt.Errorf("the kubeconfig %s has no context %q; it has %s", file, context, names(raw.Contexts))
	}
	if cluster := raw.Clusters[c.Cluster]; cluster == nil || cluster.Server == "" {
		return fmt.Errorf("context %q of the kubeconfig %s names the cluster %q, which has no server there; correct the context, or add the cluster with its server",
			context, file, c.Cluster)
	}
	u := raw.AuthInfos[c.AuthInfo]
	switch {
	case u == nil && c.AuthInfo != "":
		return fmt.Errorf("context %q of the kubeconfig %s names the user %q, who is not there; correct the context, or add the user",
			context, file, c.AuthInfo)
	case u != nil && impersonates(u):
		return fmt.Errorf("user %q of the kubeconfig %s impersonates somebody (as), which the gateway never does; "+
			"give it credentials of its own", c.AuthInfo, file)
	}
	return nil
}

func impersonates(u *clientcmdapi.AuthInfo) bool {
	return u.Impersonate != "" || u.ImpersonateUID != "" || len(u.ImpersonateGroups) > 0 || len(u.ImpersonateUserExtra) > 0
}

func names(contexts map[string]*clientcmdapi.Context) string {
	if len(contexts) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(contexts)), ", ")
}
