package perses

import (
	"context"
	"strings"
)

// shapedObject is an object with its shape.
type shapedObject struct {
	*Object
	*shape
}

// write writes objects as a JSON array, for a viewer. Data sources that are
// hidden from them are left out.
func (a *API) write(ctx context.Context, v *visit, all []*Object, q listQuery) ([]byte, error) {
	body, _, err := a.writeAll(ctx, v, all, q)
	return body, err
}

// writeAll is write, and tells what it found out about the objects.
func (a *API) writeAll(ctx context.Context, v *visit, all []*Object, q listQuery) ([]byte, *sources, error) {
	s, keep := a.newSources(), a.Live()
	some := make([]shapedObject, 0, len(all))
	size := 2
	for _, o := range all {
		if !strings.HasPrefix(o.Name, q.prefix) {
			continue
		}
		has := a.shapes.shape(o, keep)
		if !q.takes(has) {
			continue
		}
		if has.source != nil || !q.metadataOnly {
			s.add(o, has)
		}
		some = append(some, shapedObject{o, has})
		size += len(has.head) + len(has.spec) + 256
		if q.metadataOnly {
			size -= len(has.spec)
		}
	}
	if err := s.decide(ctx, v.viewer); err != nil {
		return nil, nil, err
	}
	s.of = some
	body := append(make([]byte, 0, size), '[')
	for _, c := range some {
		before := len(body)
		if before > 1 {
			body = append(body, ',')
		}
		body = append(body, c.head...)
		var shown bool
		if body, shown = s.appendSpec(body, c.shape, q.metadataOnly); !shown {
			body = body[:before]
			continue
		}
		body = append(body, '}')
	}
	return append(body, ']'), s, nil
}

// takes tells whether a data source is one of those that are asked for.
func (q listQuery) takes(has *shape) bool {
	s := has.source
	return s == nil || (q.plugin == "" || strings.EqualFold(q.plugin, s.plugin)) && (q.standard == nil || *q.standard == s.standard)
}

// appendSpec appends the spec as the viewer gets it. It tells whether they get the
// object at all.
func (s *sources) appendSpec(body []byte, has *shape, metadataOnly bool) ([]byte, bool) {
	switch {
	case has.source != nil:
		spec := s.spec(has.source)
		if metadataOnly && spec != nil {
			spec = []byte("{}")
		}
		return append(body, spec...), spec != nil
	case metadataOnly:
		return append(body, "{}"...), true
	}
	body = append(body, has.spec...)
	if has.local == nil {
		return body, true
	}
	shown := 0
	for _, l := range has.local {
		spec := s.spec(l.source)
		if spec == nil {
			continue
		}
		switch {
		case shown > 0:
			body = append(body, ',')
		case len(has.spec) > 1:
			body = append(body, `,"datasources":{`...)
		default:
			body = append(body, `"datasources":{`...)
		}
		body = append(body, `"`+l.name+`":`...) // a name that Perses takes needs no escapes
		body = append(body, spec...)
		shown++
	}
	if shown > 0 {
		body = append(body, '}')
	}
	return append(body, '}'), true
}
