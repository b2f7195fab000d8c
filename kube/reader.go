package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

const (
	// readTimeout bounds one request that is made with a caller's token.
	readTimeout = 10 * time.Second
	// readChunk is how many objects one answer to a list holds.
	readChunk = 100
	// maxChunkBytes bounds one answer, and maxListBytes all answers to a list. One
	// object may be 1.5 MiB; they are rarely more than some kilobytes.
	maxChunkBytes = 32 << 20
	maxListBytes  = 128 << 20
)

// Reader reads a cluster's objects and can do nothing else. It follows them with
// the gateway's own credentials, or reads them with a caller's token and without
// the gateway's; no request carries both.
type Reader struct{ connection *Connection }

// Reader is the connection for whoever is to read alone.
func (c *Connection) Reader() *Reader { return &Reader{c} }

// Name is the cluster's.
func (r *Reader) Name() string { return r.connection.Name }

// Subject is who the gateway is to the API server.
func (r *Reader) Subject() Subject { return r.connection.Subject }

// Follow runs the watch, whose Connection it sets, with the gateway's own
// credentials until ctx is done.
func (r *Reader) Follow(ctx context.Context, w *FreshWatch) {
	w.Connection = r.connection
	w.Run(ctx)
}

// GetAs reads one object with a caller's token. namespace is empty for what is in
// none. Where the API server refuses, the error is an API status that
// k8s.io/apimachinery/pkg/api/errors tells; no error holds the token.
func (r *Reader) GetAs(ctx context.Context, token string, gvr schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	if name == "" || len(content.IsPathSegmentName(name)) > 0 {
		return nil, apierrors.NewNotFound(gvr.GroupResource(), "with a name that none can have")
	}
	body, err := r.readAs(ctx, token, gvr, namespace, "/"+name, nil, maxChunkBytes)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if utiljson.Unmarshal(body, &u.Object) != nil || u.GetName() != name || u.GetNamespace() != namespace {
		return nil, r.wrong(gvr)
	}
	return u, nil
}

// ListAs reads with a caller's token all objects of a namespace, or with an empty
// one of all namespaces, in pieces, and hands them to take in the order in which
// they come. It may begin anew where the API server has forgotten the place in
// the list: then it calls again first. Errors are those of GetAs.
func (r *Reader) ListAs(ctx context.Context, token string, gvr schema.GroupVersionResource, namespace string, again func(), take func(*unstructured.Unstructured)) error {
	query, room, anew := url.Values{"limit": {strconv.Itoa(readChunk)}}, maxListBytes, false
	again()
	for {
		body, err := r.readAs(ctx, token, gvr, namespace, "", query, min(room, maxChunkBytes))
		switch {
		case err != nil && query.Has("continue") && !anew && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err)):
			again()
			query.Del("continue")
			room, anew = maxListBytes, true
			continue
		case err != nil:
			return err
		}
		items, next, err := r.items(body, gvr)
		if err != nil {
			return err
		}
		for _, item := range items {
			if object, ok := item.(map[string]any); ok {
				take(&unstructured.Unstructured{Object: object})
			}
		}
		if next == "" {
			return nil
		}
		room -= len(body)
		query.Set("continue", next)
	}
}

// CheckListAs asks with a caller's token whether it may list a resource, for one
// object of it at most. There is no error where it may; else those of GetAs.
func (r *Reader) CheckListAs(ctx context.Context, token string, gvr schema.GroupVersionResource, namespace string) error {
	body, err := r.readAs(ctx, token, gvr, namespace, "", url.Values{"limit": {"1"}}, maxChunkBytes)
	if err == nil {
		_, _, err = r.items(body, gvr)
	}
	return err
}

// items are those of an answer to a list, and where the next piece begins; empty:
// this is the last.
func (r *Reader) items(body []byte, gvr schema.GroupVersionResource) (items []any, next string, err error) {
	var list map[string]any
	if utiljson.Unmarshal(body, &list) != nil {
		return nil, "", r.wrong(gvr)
	}
	items, ok := list["items"].([]any)
	if !ok {
		return nil, "", r.wrong(gvr)
	}
	next, _, _ = unstructured.NestedString(list, "metadata", "continue")
	return items, next, nil
}

var errNoToken = errors.New("there is no token of the caller's to ask with")

// readAs sends one GET with a caller's token.
func (r *Reader) readAs(ctx context.Context, token string, gvr schema.GroupVersionResource, namespace, rest string, query url.Values, limit int) ([]byte, error) {
	if token == "" { // that would be anonymous
		return nil, errNoToken
	}
	if limit <= 0 {
		return nil, r.tooMuch(gvr)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	place, err := resourcePath(gvr, namespace)
	if err != nil {
		return nil, err
	}
	u := r.connection.URL(place + rest)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "promgate")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := r.connection.Anonymous.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("the API server of cluster %s cannot be asked: %w", r.Name(), err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the API server of cluster %s broke its answer off: %w", r.Name(), err)
	case response.StatusCode != http.StatusOK:
		return nil, r.refused(response.StatusCode, bytes.ReplaceAll(body, []byte(token), []byte("[redacted]")), gvr)
	case len(body) > limit:
		return nil, r.tooMuch(gvr)
	}
	return body, nil
}

// resourcePath is where the API server has a resource.
func resourcePath(gvr schema.GroupVersionResource, namespace string) (string, error) {
	base := "/apis/" + gvr.Group + "/" + gvr.Version
	if gvr.Group == "" {
		base = "/api/" + gvr.Version
	}
	if namespace != "" {
		if len(content.IsPathSegmentName(namespace)) > 0 {
			return "", apierrors.NewNotFound(gvr.GroupResource(), "in a namespace that cannot be")
		}
		base += "/namespaces/" + namespace
	}
	return base + "/" + gvr.Resource, nil
}

// refused is the error for an answer that is none.
func (r *Reader) refused(code int, body []byte, gvr schema.GroupVersionResource) error {
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Status != metav1.StatusSuccess && int(status.Code) == code {
		status.Message = strings.ToValidUTF8(status.Message[:min(len(status.Message), 500)], "")
		return apierrors.FromObject(&status)
	}
	switch code {
	case http.StatusUnauthorized: // a proxy before it, in words of its own
		return apierrors.NewUnauthorized("the API server, or a proxy before it, does not accept the credential")
	case http.StatusNotFound: // in plain text, where a whole group is not there
		return apierrors.NewNotFound(gvr.GroupResource(), "")
	}
	return fmt.Errorf("the API server of cluster %s answered with status %d", r.Name(), code)
}

func (r *Reader) wrong(gvr schema.GroupVersionResource) error {
	return fmt.Errorf("the API server of cluster %s answered what is no %s", r.Name(), gvr.GroupResource())
}

func (r *Reader) tooMuch(gvr schema.GroupVersionResource) error {
	return fmt.Errorf("the API server of cluster %s has more %s than can be read at once: %d MiB, or %d MiB in one answer",
		r.Name(), gvr.GroupResource(), maxListBytes>>20, maxChunkBytes>>20)
}
