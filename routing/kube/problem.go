package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Problem is a part of a search that does not work.
type Problem struct {
	// Source is what is not seen: namespaces, services, prometheuses or
	// persesDatasources.
	Source string
	// Namespace is where; empty: in the whole cluster.
	Namespace string
	// Text is a sentence for people, with what to do.
	Text string
	// Cause is what the API server said, or why it said nothing.
	Cause string
	// Apply is YAML that grants what is missing; empty: nothing to grant.
	Apply string
}

type problemKey struct{ source, namespace string }

// Problems are the parts of the search that do not work at present.
func (d *Discovery) Problems() []Problem {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.problems), func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Namespace, b.Namespace))
	})
}

// Sources are the kinds that are searched, and namespaces.
func (d *Discovery) Sources() []string {
	names := []string{"namespaces"}
	for _, s := range d.sources {
		names = append(names, s.name)
	}
	return names
}

// report takes note of a success or an error, and logs what is new. The lock is
// held.
func (d *Discovery) report(key problemKey, err error) {
	before, known := d.problems[key]
	if err == nil {
		if known {
			delete(d.problems, key)
			d.cluster.Logger.Info("discovery works again", "cluster", d.cluster.Name, "source", key.source, "namespace", key.namespace)
		}
		return
	}
	p := Problem{Source: key.source, Namespace: key.namespace, Cause: err.Error()}
	what := key.source + " in the whole cluster"
	switch {
	case key.source == "namespaces" && key.namespace != "":
		what = "the namespace " + key.namespace
	case key.namespace != "":
		what = key.source + " in namespace " + key.namespace
	}
	switch {
	case key.source == "namespaces" && apierrors.IsNotFound(err):
		p.Text = fmt.Sprintf("the namespace %s does not exist; make it, or take it out of discovery.namespaces.names", key.namespace)
	case apierrors.IsForbidden(err):
		p.Text = "the gateway may not see " + what + ": grant it what is missing"
		if key.source != "namespaces" {
			p.Text += ", or take it out of discovery.sources"
		}
		p.Apply = d.cluster.discoveryRole(key, d.sources)
	case apierrors.IsUnauthorized(err):
		p.Text = "the API server does not accept the gateway's credentials; renew them"
	default:
		p.Text = what + " cannot be read right now: the gateway goes on trying, and what was found before stays"
	}
	if known && before.Text == p.Text {
		return
	}
	d.problems[key] = p
	attributes := []any{"cluster", d.cluster.Name, "source", key.source, "namespace", key.namespace, "problem", p.Text, "cause", p.Cause}
	if p.Apply != "" {
		attributes = append(attributes, "advice", p.Apply)
	}
	d.cluster.Logger.Warn("discovery does not see everything", attributes...)
}
