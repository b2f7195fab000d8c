package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// dashboardObject is as much of an object as tells whether a dashboard is whole.
type dashboardObject struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Spec struct {
		Config struct {
			Default   bool
			Variables []struct {
				Spec struct {
					Name           string
					DefaultValue   string
					CustomAllValue string
					Plugin         struct {
						Kind string
						Spec struct {
							LabelName string
							Matchers  []string
						}
					}
				}
			}
			Panels map[string]struct {
				Spec struct {
					Plugin  struct{ Kind string }
					Queries []struct {
						Spec struct {
							Plugin struct {
								Spec struct {
									Query      string
									Datasource struct{ Name string }
								}
							}
						}
					}
				}
			}
			Layouts []struct {
				Spec struct {
					Items []struct {
						X, Y    *int
						Content map[string]string
					}
				}
			}
			Plugin struct {
				Spec struct {
					Proxy struct{ Spec struct{ URL string } }
				}
			}
		}
		Items []folderItem
	}
}

type folderItem struct {
	Kind, Name string
	Items      []folderItem
}

// projectObjects are the objects of a project's dashboards by kind and name.
func projectObjects(t *testing.T, project string) map[string]map[string]dashboardObject {
	t.Helper()
	text, err := dashboardObjects(project)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]map[string]dashboardObject{}
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		var o dashboardObject
		if err := errors.Join(err, yaml.Unmarshal(document, &o)); err != nil {
			t.Fatal(err)
		}
		if o.Metadata.Namespace != project {
			t.Errorf("%s %s is in the namespace %q", o.Kind, o.Metadata.Name, o.Metadata.Namespace)
		}
		if objects[o.Kind] == nil {
			objects[o.Kind] = map[string]dashboardObject{}
		}
		objects[o.Kind][o.Metadata.Name] = o
	}
}

// environmentOf is the environment that a data source chooses, in one way or the other.
func environmentOf(project string, o dashboardObject) string {
	if name := o.Metadata.Annotations["promgate.io/environment"]; name != "" {
		return name
	}
	service := strings.TrimPrefix(o.Spec.Config.Plugin.Spec.Proxy.Spec.URL, "http://")
	return strings.TrimPrefix(strings.TrimSuffix(service, "."+project+".svc:9090"), "prometheus-")
}

// referred are the dashboards in a folder.
func referred(items []folderItem) (names []string) {
	for _, i := range items {
		if i.Kind == "Dashboard" {
			names = append(names, i.Name)
		}
		names = append(names, referred(i.Items)...)
	}
	return names
}

// comes waits for data: alerts are evaluated some seconds after the start.
func comes(t *testing.T, server, query string) bool {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if len(names(t, server, query, time.Now())) > 0 {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
}

// TestDashboardsAreWhole has each panel in a layout, and each dashboard in the folder.
func TestDashboardsAreWhole(t *testing.T) {
	kinds := map[string]bool{}
	objects := projectObjects(t, "shop")
	for name, o := range objects["PersesDashboard"] {
		var placed []string
		for _, layout := range o.Spec.Config.Layouts {
			for _, item := range layout.Spec.Items {
				// Kubernetes' YAML takes a key y that is not quoted for true.
				if item.X == nil || item.Y == nil {
					t.Errorf("%s has no place for %v", name, item.Content)
				}
				placed = append(placed, strings.TrimPrefix(item.Content["$ref"], "#/spec/panels/"))
			}
		}
		slices.Sort(placed)
		if panels := slices.Sorted(maps.Keys(o.Spec.Config.Panels)); !slices.Equal(placed, panels) {
			t.Errorf("%s has the panels %v and shows %v", name, panels, placed)
		}
		for _, p := range o.Spec.Config.Panels {
			kinds[p.Spec.Plugin.Kind] = true
		}
		for _, v := range o.Spec.Config.Variables {
			kinds[v.Spec.Plugin.Kind] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(kinds)), "[GaugeChart Markdown PrometheusLabelValuesVariable StatChart StaticListVariable Table TimeSeriesChart]"; strings.Join(got, " ") != strings.Trim(want, "[]") {
		t.Errorf("the dashboards show %v, want %s", got, want)
	}
	names := slices.Sorted(maps.Keys(objects["PersesDashboard"]))
	for _, f := range objects["PersesFolder"] {
		if got := slices.Sorted(slices.Values(referred(f.Spec.Items))); !slices.Equal(got, names) {
			t.Errorf("the folder has %v of %v", got, names)
		}
	}
	if !slices.Contains(names, firstDashboard) {
		t.Errorf("%s is not among %v", firstDashboard, names)
	}
}

// TestDashboardsShowData asks every query of every dashboard where its data source leads.
func TestDashboardsShowData(t *testing.T) {
	environments, stop, err := startEnvironments(t.Context(), t.TempDir(), time.Now(), slog.New(slog.DiscardHandler))
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{}
	for _, e := range environments {
		servers[e.Project+" "+e.Name] = e.server.URL()
	}
	for _, project := range []string{"shop", "billing"} {
		objects := projectObjects(t, project)
		sources, chosen := map[string]string{}, []string{}
		for name, o := range objects["PersesDatasource"] {
			environment := environmentOf(project, o)
			chosen = append(chosen, environment)
			sources[name] = servers[project+" "+environment]
			if o.Spec.Config.Default {
				sources[""] = sources[name]
			}
		}
		if slices.Sort(chosen); !slices.Equal(chosen, []string{"production", "staging"}) || sources[""] == "" {
			t.Fatalf("the data sources of %s lead to %v", project, chosen)
		}
		asked := 0
		for title, o := range objects["PersesDashboard"] {
			values := []string{}
			for _, v := range o.Spec.Config.Variables {
				value := v.Spec.DefaultValue
				if value == "$__all" {
					value = v.Spec.CustomAllValue
				}
				values = append(values, "$"+v.Spec.Name, value)
				if label := v.Spec.Plugin.Spec.LabelName; label != "" {
					query := "count by (" + label + ") (" + v.Spec.Plugin.Spec.Matchers[0] + ")"
					if got := names(t, sources[""], query, time.Now()); len(got) < 2 {
						t.Errorf("%s in %s: the variable %s has %v to choose from", title, project, v.Spec.Name, got)
					}
				}
			}
			for name, p := range o.Spec.Config.Panels {
				for _, q := range p.Spec.Queries {
					plugin := q.Spec.Plugin.Spec
					query := strings.NewReplacer(values...).Replace(plugin.Query)
					if strings.Contains(query, "$") || !comes(t, sources[plugin.Datasource.Name], query) {
						t.Errorf("%s in %s: the panel %s has no data for %s", title, project, name, query)
					}
					asked++
				}
			}
		}
		if asked < 15 {
			t.Errorf("%d queries were asked in %s", asked, project)
		}
	}
}
