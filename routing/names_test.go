package routing

import (
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	for _, s := range []string{"a", "0", "a-b", strings.Repeat("a", 63)} {
		if !IsLabel(s) {
			t.Errorf("%q is a label", s)
		}
	}
	for _, s := range []string{"", "-a", "a-", "A", "a.b", "a_b", "ä", "a/b", strings.Repeat("a", 64)} {
		if IsLabel(s) {
			t.Errorf("%q is no label", s)
		}
	}
}

func TestPathAndPortProblems(t *testing.T) {
	for _, good := range []string{"/", "/prometheus", "/a/b.c_d~e-f", "/a/"} {
		if problem := PathProblem(good); problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
	for _, bad := range []string{"", "a", "//", "/a//b", "/.", "/../a", "/a/..", "/a b", "/%2e", "/ä", "/a;b", "/a?b"} {
		if PathProblem(bad) == "" {
			t.Errorf("the path %q passed", bad)
		}
	}
	for _, good := range []string{"1", "9090", "65535", "web", "http-web"} {
		if problem := PortProblem(good); problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
	for _, bad := range []string{"", "0", "080", "65536", "-1", "Web", "a:b", "a/b", "99999999999999999999"} {
		if PortProblem(bad) == "" {
			t.Errorf("the port %q passed", bad)
		}
	}
}

func TestHeaderRefusal(t *testing.T) {
	for _, refused := range []string{"Authorization", "Cookie", "Connection", "Content-Length", "Accept-Encoding", "Impersonate-User", "X-Remote-Group", "Te"} {
		if HeaderRefusal(refused) == "" {
			t.Errorf("%s passed", refused)
		}
	}
	if reason := HeaderRefusal("X-Scope-Orgid"); reason != "" {
		t.Error(reason)
	}
}
