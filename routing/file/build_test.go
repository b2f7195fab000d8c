package file

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

func builders() Builders {
	return Builders{
		AssignUIDs: func(names []string) (map[string]string, error) {
			uids := map[string]string{}
			for _, n := range names {
				uids[n] = "uid of " + n
			}
			return uids, nil
		},
		Service: func(e *Environment) (*routing.Target, error) {
			return &routing.Target{Description: "service " + e.Service.Name}, nil
		},
		URL: func(e *Environment) (*routing.Target, error) {
			if e.URL == "http://bad" {
				return nil, errors.New("no such server")
			}
			return &routing.Target{Description: e.URL}, nil
		},
	}
}

func TestBuild(t *testing.T) {
	withService := service(nil)
	withService.Name, withService.Allow, withService.AllowPost, withService.Cache = "prod", []string{"federate"}, true, true
	s := &Sections{Projects: []Project{
		{Name: "shop", Environments: []Environment{withService, {Name: "test", URL: "http://a", Allow: []string{"remoteRead"}}}},
		{Name: "empty"},
	}}
	candidates, err := Build(s, builders())
	if err != nil {
		t.Fatal(err)
	}
	table := new(routing.Merger).Replace("file", candidates)
	prod, _ := table.Lookup("shop", "prod")
	test, _ := table.Lookup("shop", "test")
	if table.Len() != 2 || prod == nil || test == nil {
		t.Fatalf("got %v", slices.Collect(table.All()))
	}
	if prod.Project.UID != "uid of shop" || prod.UID != "uid of shop/prod" || prod.Target.Description != "service prometheus" || prod.Source != Source ||
		prod.Allow != (routing.Allow{Federate: true}) || !prod.AllowPost || prod.NoCache {
		t.Errorf("got %+v", prod)
	}
	if test.Project != prod.Project || test.Allow != (routing.Allow{RemoteRead: true}) || test.AllowPost || !test.NoCache || test.Target.Description != "http://a" {
		t.Errorf("got %+v", test)
	}
}

func TestBuildErrors(t *testing.T) {
	s := &Sections{Projects: []Project{{Name: "p", Environments: []Environment{{Name: "x", URL: "http://bad"}, {Name: "y", URL: "http://bad"}}}}}
	_, err := Build(s, builders())
	if err == nil || !strings.Contains(err.Error(), "project p, environment x: no such server") ||
		!strings.Contains(err.Error(), "environment y") {
		t.Errorf("got %v", err)
	}
	s.Projects[0].Environments = []Environment{{Name: "x", URL: "http://a"}}
	b := builders()
	b.AssignUIDs = func([]string) (map[string]string, error) { return nil, nil }
	if _, err := Build(s, b); err == nil || !strings.Contains(err.Error(), "no identity") {
		t.Errorf("empty UID: got %v", err)
	}
	cause := errors.New("disk full")
	b.AssignUIDs = func([]string) (map[string]string, error) { return nil, cause }
	if _, err := Build(s, b); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
