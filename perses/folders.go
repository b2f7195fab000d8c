package perses

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// deepest bounds how folders may be in each other.
const deepest = 10

// folderItem is what a folder holds: a dashboard, or another folder.
type folderItem struct {
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Missing bool          `json:"missing,omitempty"`
	Items   *[]folderItem `json:"items,omitempty"` // a folder's, also where there are none
}

// folder is an object that orders dashboards.
type folder struct {
	Name  string       `json:"name"`
	Title string       `json:"title"`
	Items []folderItem `json:"items"`
}

// problem is what the owners of a project should mend.
type problem struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// rawItem is an item as the object has it.
type rawItem struct {
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	Items []rawItem `json:"items,omitempty"`
}

// folderReader reads one folder.
type folderReader struct {
	object   *Object
	known    map[string]bool // the dashboards that there are
	named    map[string]bool // the dashboards that the folder has named
	problems []problem
	told     map[string]bool
}

// newFolder reads a folder's object. known are the dashboards that the viewer
// sees.
func newFolder(o *Object, known map[string]bool) (folder, []problem) {
	r := &folderReader{object: o, known: known, named: map[string]bool{}, told: map[string]bool{}}
	f := folder{Name: o.Name, Title: titleOf(o), Items: []folderItem{}}
	var spec struct{ Items []rawItem }
	if json.Unmarshal(o.Spec, &spec) != nil {
		r.tell("it does not have the form of a folder of Perses: display and items, each with kind and name")
	} else {
		f.Items = r.items(spec.Items, 1)
	}
	return f, r.problems
}

func (r *folderReader) items(all []rawItem, depth int) []folderItem {
	items := []folderItem{}
	for _, raw := range all {
		switch {
		case raw.Kind == "Dashboard" && r.named[raw.Name]:
			r.tell(fmt.Sprintf("it names the dashboard %q more than once, of which Perses takes one: the first counts", clipped(raw.Name)))
		case raw.Kind == "Dashboard":
			r.named[raw.Name] = true
			item := folderItem{Kind: raw.Kind, Name: raw.Name, Missing: !r.known[raw.Name]}
			if item.Missing {
				r.tell(fmt.Sprintf("it names the dashboard %q, which is not there", clipped(raw.Name)))
			}
			items = append(items, item)
		case raw.Kind != "Folder":
			r.tell(fmt.Sprintf("it holds a %q: items are of kind Dashboard or Folder", clipped(raw.Kind)))
		case depth >= deepest:
			r.tell(fmt.Sprintf("its folders are more than %d deep: what is deeper is not shown", deepest))
		default:
			inner := r.items(raw.Items, depth+1)
			items = append(items, folderItem{Kind: raw.Kind, Name: raw.Name, Items: &inner})
		}
	}
	return items
}

// namedOnce is a folder's spec in which no dashboard is named twice: one such
// folder makes Perses' clients reject a whole list.
func namedOnce(spec []byte) []byte {
	var whole struct {
		Display json.RawMessage `json:"display,omitempty"`
		Items   []rawItem       `json:"items,omitempty"`
	}
	if json.Unmarshal(spec, &whole) != nil {
		return spec
	}
	named, twice := map[string]bool{}, false
	var once func([]rawItem) []rawItem
	once = func(all []rawItem) []rawItem {
		var kept []rawItem
		for _, item := range all {
			if item.Kind == "Dashboard" && named[item.Name] {
				twice = true
				continue
			}
			named[item.Name] = named[item.Name] || item.Kind == "Dashboard"
			item.Items = once(item.Items)
			kept = append(kept, item)
		}
		return kept
	}
	whole.Items = once(whole.Items)
	if !twice {
		return spec
	}
	return mustJSON(whole)
}

// layoutProblem tells of panels without a place: of YAML, Kubernetes reads an
// unquoted y as true.
func layoutProblem(o *Object) (problem, bool) {
	if !bytes.Contains(o.Spec, []byte(`"true":`)) {
		return problem{}, false
	}
	var spec struct {
		Layouts []struct {
			Spec struct{ Items []map[string]json.RawMessage }
		}
	}
	if json.Unmarshal(o.Spec, &spec) != nil {
		return problem{}, false
	}
	for _, l := range spec.Layouts {
		for _, item := range l.Spec.Items {
			if item["true"] != nil && item["y"] == nil {
				return problem{o.Kind.Object, o.Name, `a panel of its layout has no y, and "true" in its place: YAML takes a plain y for true; write "y" with its quotes`}, true
			}
		}
	}
	return problem{}, false
}

// tell tells a problem once.
func (r *folderReader) tell(message string) {
	if !r.told[message] {
		r.told[message] = true
		r.problems = append(r.problems, problem{r.object.Kind.Object, r.object.Name, message})
	}
}
