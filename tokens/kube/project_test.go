package kube

import (
	"strings"
	"testing"

	"github.com/promgate/promgate/tokens"
)

// TestListProject: the tokens of one namespace, and nothing else is asked for.
func TestListProject(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		there := newPlane(t)
		home, other := p.connect(t, "local"), there.connect(t, "eu")
		p.put(tokenObject("shop", 1, rotated))
		p.put(tokenObject("shop", 2, func(o *object) { o.Status.ProjectUID = "uid-of-before" }))
		p.put(tokenObject("bank", 3))
		there.put(tokenObject("shop", 4, func(o *object) { o.Status.ID = "eu." + o.Status.ID }))
		there.put(tokenObject("farm", 5, func(o *object) { o.Status.ID = "eu." + o.Status.ID }))
		g := openStore(t, home, Source{Connection: home}, Source{Connection: other, Namespaces: []string{"shop"}})
		for name, test := range map[string]struct {
			scope tokens.Scope
			want  string
			lists int // on home
		}{
			"at home":              {tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop"}, idOf(1, 2) + " " + idOf(1, 1), 1},
			"at home by its name":  {tokens.Scope{Cluster: "local", Project: "shop", ProjectUID: "uid-of-shop"}, idOf(1, 2) + " " + idOf(1, 1), 1},
			"the environment":      {tokens.Scope{Project: "bank", ProjectUID: "uid-of-bank", Environment: "x", EnvironmentUID: "y"}, idOf(3, 1), 1},
			"of the file":          {tokens.Scope{Project: "shop", ProjectUID: fileUID("shop")}, idOf(1, 2) + " " + idOf(1, 1) + " " + idOf(2, 1), 1},
			"another of the file":  {tokens.Scope{Project: "shop", ProjectUID: fileUID("bank")}, "", 1},
			"elsewhere":            {tokens.Scope{Cluster: "eu", Project: "shop", ProjectUID: "uid-of-shop"}, "eu." + idOf(4, 1), 0},
			"not followed":         {tokens.Scope{Cluster: "eu", Project: "farm", ProjectUID: "uid-of-farm"}, "", 0},
			"deleted and made new": {tokens.Scope{Project: "bank", ProjectUID: "uid-of-shop"}, "", 1},
			"no name":              {tokens.Scope{ProjectUID: "uid-of-shop"}, "", 0},
			"no UID":               {tokens.Scope{Project: "shop"}, "", 0},
		} {
			got, err := g.ListProject(t.Context(), test.scope)
			var ids []string
			for _, r := range got {
				ids = append(ids, r.ID)
			}
			if strings.Join(ids, " ") != test.want || err != nil {
				t.Errorf("%s: got %s, %v", name, ids, err)
			}
			if n := p.count("list endpointtokens"); n != test.lists {
				t.Errorf("%s: %d lists", name, n)
			}
		}
		if _, err := g.ListProject(t.Context(), tokens.Scope{Cluster: "far", Project: "shop", ProjectUID: "x"}); err == nil || !strings.Contains(err.Error(), "cluster far holds no tokens") {
			t.Errorf("got %v", err)
		}
		p.refusing(403, "list endpointtokens shop")
		if got, err := g.ListProject(t.Context(), tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop"}); err == nil || got != nil ||
			!strings.HasPrefix(err.Error(), "list the tokens of project shop: cluster local: the gateway may not use endpoint tokens") {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
