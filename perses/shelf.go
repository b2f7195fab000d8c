package perses

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// shelf is what one namespace has of a kind. It is immutable, so that answers
// are made of it without a copy; the nil shelf is empty.
type shelf struct {
	objects []*Object // by name
	skipped []Skipped // by name
}

// readObject is an object as it was read: one of the two is there.
type readObject struct {
	object  *Object
	skipped *Skipped
}

func readOf(k *Kind, u *unstructured.Unstructured) readObject {
	o, s := read(k, u)
	return readObject{o, s}
}

// shelvesOf sorts objects of a kind by namespace.
func shelvesOf(all []readObject) map[string]*shelf {
	shelves := map[string]*shelf{}
	on := func(namespace string) *shelf {
		if shelves[namespace] == nil {
			shelves[namespace] = &shelf{}
		}
		return shelves[namespace]
	}
	for _, r := range all {
		if r.object != nil {
			s := on(r.object.Namespace)
			s.objects = append(s.objects, r.object)
		} else {
			s := on(r.skipped.Namespace)
			s.skipped = append(s.skipped, *r.skipped)
		}
	}
	for _, s := range shelves {
		slices.SortFunc(s.objects, byPlace)
		slices.SortFunc(s.skipped, bySkippedPlace)
		s.objects, s.skipped = slices.Clip(s.objects), slices.Clip(s.skipped)
	}
	return shelves
}

// find tells where an object is, or belongs.
func (s *shelf) find(name string) (at int, found bool) {
	return slices.BinarySearchFunc(s.objects, name, func(o *Object, name string) int { return cmp.Compare(o.Name, name) })
}

// get is the object of that name; nil: there is none.
func (s *shelf) get(name string) *Object {
	if s == nil {
		return nil
	}
	if at, found := s.find(name); found {
		return s.objects[at]
	}
	return nil
}

// without is the shelf without what has that name; nil: nothing is left.
func (s *shelf) without(name string) *shelf {
	if s == nil {
		return nil
	}
	now := &shelf{
		objects: slices.DeleteFunc(slices.Clone(s.objects), func(o *Object) bool { return o.Name == name }),
		skipped: slices.DeleteFunc(slices.Clone(s.skipped), func(s Skipped) bool { return s.Name == name }),
	}
	if len(now.objects)+len(now.skipped) == 0 {
		return nil
	}
	return now
}

// with is the shelf with an object that is new or takes the place of that of its
// name.
func (s *shelf) with(r readObject, name string) *shelf {
	now := s.without(name)
	if now == nil {
		now = &shelf{}
	}
	if r.object != nil {
		at, _ := now.find(name)
		now.objects = slices.Insert(now.objects, at, r.object)
	} else {
		now.skipped = append(now.skipped, *r.skipped)
		slices.SortFunc(now.skipped, bySkippedPlace)
	}
	now.objects, now.skipped = slices.Clip(now.objects), slices.Clip(now.skipped)
	return now
}
