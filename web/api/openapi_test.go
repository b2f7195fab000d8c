package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	faults "github.com/pb33f/libopenapi-validator/errors"
	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/gateway"
	dashboards "github.com/promgate/promgate/perses"
)

// describes validates by docs/openapi.yaml.
var describes = sync.OnceValue(func() validator.Validator {
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		panic(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		panic(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		panic(errs)
	}
	return v
})

// malformed marks a request that is not to be one of those described.
type malformed struct{}

func asMalformed(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), malformed{}, true))
}

// validating holds requests of the API and their answers against
// docs/openapi.yaml. Requests that are refused for what they are need not be
// described; their answers have to.
type validating struct {
	t     testing.TB
	inner http.RoundTripper
}

func (v *validating) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		return v.inner.RoundTrip(r)
	}
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := v.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode == http.StatusNotFound && bytes.Contains(body, []byte("no such route")) {
		return resp, nil
	}
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	if resp.StatusCode == http.StatusMethodNotAllowed { // described at the methods that the path has
		asked.Method, _, _ = strings.Cut(resp.Header.Get("Allow"), ",")
		if r.Method == http.MethodHead {
			return resp, nil
		}
	}
	if ok, found := describes().ValidateHttpResponse(asked, resp); !ok {
		v.report(r, resp, body, found)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	refused := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	if r.Context().Value(malformed{}) == nil && !slices.Contains(refused, resp.StatusCode) {
		asked.Body = io.NopCloser(bytes.NewReader(sent))
		if ok, found := describes().ValidateHttpRequest(asked); !ok {
			v.report(r, resp, body, found)
		}
	}
	return resp, nil
}

func (v *validating) report(r *http.Request, resp *http.Response, body []byte, found []*faults.ValidationError) {
	for _, f := range found {
		v.t.Errorf("%s %s, answered %d %.300s: %s: %s %v", r.Method, r.URL, resp.StatusCode, body, f.Message, f.Reason, f.SchemaValidationErrors)
	}
}

// TestDescription: docs/openapi.yaml is a valid description, of just the
// operations that there are, and it is served as it is.
func TestDescription(t *testing.T) {
	if ok, found := describes().ValidateDocument(); !ok {
		for _, f := range found {
			t.Errorf("%s: %s %v", f.Message, f.Reason, f.SchemaValidationErrors)
		}
	}
	h := newHarness(t)
	got := h.do(h.request("GET", "/api/v1/openapi.yaml", ""))
	if got.status != 200 || got.header.Get("Content-Type") != "application/yaml" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := yaml.Unmarshal([]byte(got.body), &document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1.") {
		t.Fatalf("version %q, error %v", document.OpenAPI, err)
	}
	var described, served []string
	for path, item := range document.Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	ours := New(h.gateway, Options{SignIn: SignIn{Local: h.people.signIn, Kubernetes: h.users.signIn, OIDC: &OIDC{}}})
	for _, o := range append(ours, dashboards.New(dashboards.Options{Gateway: h.gateway}).Operations()...) {
		served = append(served, o.Method+" /api/v1/"+o.Path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

// TestStrict: every schema of an object says which properties it has and takes
// no others, and every operation tells of what any operation can answer.
func TestStrict(t *testing.T) {
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, node any)
	walk = func(at string, node any) {
		m, _ := node.(map[string]any)
		if m["type"] == "object" && m["additionalProperties"] != false && at != "Environment.properties.enforced" {
			t.Errorf("%s takes any property", at)
		}
		for name, inner := range m {
			walk(at+"."+name, inner)
		}
	}
	for name, schema := range document.Components.Schemas {
		walk(name, schema)
	}
	for path, item := range document.Paths {
		for method, operation := range item {
			o, is := operation.(map[string]any)
			if !is {
				continue
			}
			responses, _ := o["responses"].(map[string]any)
			for _, status := range []string{"405", "500"} {
				if responses[status] == nil {
					t.Errorf("%s %s does not tell of %s", method, path, status)
				}
			}
		}
	}
}

var (
	interfacePattern = regexp.MustCompile(`(?ms)^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}`)
	propertyPattern  = regexp.MustCompile(`(?m)^  (\w+)(\??):`)
)

// TestTypeScript: the page's types have the properties of the schemas of the same
// names, and the same of them are optional.
func TestTypeScript(t *testing.T) {
	source, err := os.ReadFile("../src/api/types.ts")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]any
			}
		}
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	types := map[string]map[string]bool{} // whether a property is required
	for _, m := range interfacePattern.FindAllStringSubmatch(string(source), -1) {
		properties := map[string]bool{}
		for name, required := range types[m[2]] {
			properties[name] = required
		}
		for _, p := range propertyPattern.FindAllStringSubmatch(m[3], -1) {
			properties[p[1]] = p[2] == ""
		}
		types[m[1]] = properties
	}
	if len(types) < 18 {
		t.Fatalf("only %d types were read", len(types))
	}
	for name, properties := range types {
		schema, described := document.Components.Schemas[name]
		if !described {
			if name != "Paged" { // what lists share
				t.Errorf("no schema %s", name)
			}
			continue
		}
		for p, required := range properties {
			if _, found := schema.Properties[p]; !found || required != slices.Contains(schema.Required, p) {
				t.Errorf("%s.%s: in the description %v, required %v, want %v", name, p, found, !required, required)
			}
		}
		for p := range schema.Properties {
			if _, found := properties[p]; !found {
				t.Errorf("%s.%s is not in types.ts", name, p)
			}
		}
	}
}

var _ Gateway = (*gateway.Gateway)(nil)
