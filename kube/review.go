package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxReview bounds what is read of the answer to a review, in bytes. The rules
// of one namespace may be many.
const maxReview = 4 << 20

// Review creates a review (such as a TokenReview), which the API server answers
// and does not keep, and reads the answer into it. path is the resource's below
// the API server's own, such as
// /apis/authentication.k8s.io/v1/tokenreviews. With a token that one alone asks,
// without the gateway's own credentials. Where the API server refuses, the error
// is an API status that k8s.io/apimachinery/pkg/api/errors tells; no error holds
// the token.
func (c *Connection) Review(ctx context.Context, path, token string, review any) error {
	text, err := json.Marshal(review)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(path).String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	transport := c.Transport
	if token != "" {
		transport = c.Anonymous
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("the API server of cluster %s cannot be asked: %w", c.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReview))
	if err != nil {
		return fmt.Errorf("the API server of cluster %s broke its answer off: %w", c.Name, err)
	}
	if response.StatusCode/100 != 2 {
		var status metav1.Status
		if json.Unmarshal(body, &status) == nil && status.Kind == "Status" {
			return apierrors.FromObject(&status)
		}
		if response.StatusCode == http.StatusUnauthorized { // a proxy before it, in words of its own
			return apierrors.NewUnauthorized("the API server, or a proxy before it, does not accept the credential")
		}
		return fmt.Errorf("the API server of cluster %s answered with status %d", c.Name, response.StatusCode)
	}
	if err := json.Unmarshal(body, review); err != nil {
		return fmt.Errorf("the API server of cluster %s answered what is no %T", c.Name, review)
	}
	return nil
}
