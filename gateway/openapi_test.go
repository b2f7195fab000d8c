package gateway

import (
	"net/http"
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// TestOpenAPI: the description of the gateway's own API is a valid one, and
// every kind of answer is as it says.
func TestOpenAPI(t *testing.T) {
	text, err := os.ReadFile("../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		t.Fatalf("%+v", faults)
	}
	h, users := newUsers(t)
	for _, c := range []struct {
		token, path string
		down        bool
		status      int
	}{
		{tokenShop, "/api/v1/projects", false, 200},
		{"user-nobody", "/api/v1/projects", false, 200},
		{"forged", "/api/v1/projects", false, 401},
		{"user-jane", "/api/v1/projects", true, 503},
		{tokenShop, "/api/v1/projects/shop/environments", false, 200},
		{tokenShop, "/api/v1/projects/billing/environments", false, 403},
		{"forged", "/api/v1/projects/shop/environments", false, 401},
		{"user-jane", "/api/v1/projects/shop/environments", true, 503},
	} {
		users.down = c.down
		r := h.request(http.MethodGet, c.path, "")
		r.Header.Set("Authorization", "Bearer "+c.token)
		response, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if ok, faults := v.ValidateHttpRequestResponse(r, response); !ok || response.StatusCode != c.status {
			t.Errorf("%s as %s: status %d", c.path, c.token, response.StatusCode)
			for _, f := range faults {
				t.Errorf("%s: %s %v", f.Message, f.Reason, f.SchemaValidationErrors)
			}
		}
		_ = response.Body.Close()
	}
}
