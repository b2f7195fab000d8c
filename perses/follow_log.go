package perses

import (
	"log/slog"
	"strings"

	"github.com/promgate/promgate/kube"
)

// maxCause bounds what is logged of an API server's words, in bytes.
const maxCause = 500

func (f *follow) log() *slog.Logger {
	return f.d.logger.With("cluster", f.d.options.Cluster.Name(), "kind", f.rack.kind.Object, "namespace", f.namespace)
}

// tell logs what goes wrong.
func (f *follow) tell(fault string, err error) {
	cause := err.Error()
	if len(cause) > maxCause {
		cause = strings.ToValidUTF8(cause[:maxCause], "") + "…"
	}
	switch fault {
	case "denied":
		f.log().Warn("the gateway may not follow dashboards here, so that nobody is shown them: grant it what is missing",
			"cause", cause, "advice", f.advice())
	case "missing":
		f.log().Info("the kind is not installed, so that there are none of it", "cause", cause)
	default:
		f.log().Warn("dashboards cannot be followed; what is known stays", "cause", cause)
	}
}

// advice renders what lets the gateway follow everything there, and nothing more.
func (f *follow) advice() string {
	kinds, name := []*Kind{Dashboards, Datasources, Folders}, "promgate:dashboards"
	if f.rack.kind.Global {
		kinds, name = []*Kind{GlobalDatasources}, "promgate:globaldatasources"
	}
	rules := make([]kube.Rule, 0, len(kinds))
	for _, k := range kinds {
		rules = append(rules, kube.Rule{Group: k.Group, Resource: k.Resource, Verbs: []string{"list", "watch"}})
	}
	return kube.Role(f.namespace, name, f.d.options.Cluster.Subject(), rules...)
}
