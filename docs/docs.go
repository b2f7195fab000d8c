// Package docs holds what of the documentation the program serves itself.
package docs

import _ "embed"

// OpenAPI describes the gateway's own API.
//
//go:embed openapi.yaml
var OpenAPI []byte
