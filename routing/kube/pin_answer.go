package kube

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxPeekBytes bounds what is read of an answer to tell whose it is.
const maxPeekBytes = 16 << 10

// statusCanceled is what Prometheus answers for a query that was canceled.
const statusCanceled = 499

// verdict is what an answer tells of the pod that was asked.
type verdict int

const (
	// answered: it is the pod's own answer.
	answered verdict = iota
	// refused: the gateway may not ask pods.
	refused
	// failed: the pod cannot answer now; another one may.
	failed
	// lost: there is no answer, and the pod need not be why. The connection
	// is one to the API server.
	lost
	// unclear: the answer tells nothing of the pod.
	unclear
)

// again tells whether the next pod is to be asked.
func (v verdict) again() bool { return v == failed || v == lost }

// passed tells whether the API server let the question through to the pod.
func (v verdict) passed() bool { return v == answered || v == failed }

// judge looks at the answer to a question that was sent to a pod.
func judge(r *http.Request, resp *http.Response, err error) verdict {
	if err != nil {
		if r.Context().Err() != nil {
			return unclear
		}
		return lost
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, statusCanceled, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		return unclear
	default:
		return answered
	}
	if r.Method == http.MethodHead { // there is no body to tell whose it is
		if resp.StatusCode >= http.StatusBadGateway {
			return failed
		}
		return unclear
	}
	e := peek(resp)
	switch {
	case e.kind == "Status":
		return judgeStatus(resp.StatusCode, e.message)
	case e.status == "error" && e.errorType != "":
		return judgePrometheus(resp.StatusCode, e.errorType)
	case resp.StatusCode == http.StatusBadGateway, resp.StatusCode == http.StatusServiceUnavailable:
		return failed // starting, or stopping
	}
	return answered
}

// judgeStatus looks at the API server's own refusal, a Status (meta/v1). What
// does not speak of the pod, such as an API server that is stopping, would be
// the same for the next one.
func judgeStatus(code int, message string) verdict {
	switch code {
	case http.StatusForbidden:
		return refused
	case http.StatusNotFound, http.StatusBadGateway, http.StatusGatewayTimeout:
		return failed
	case http.StatusBadRequest:
		// It has no address; see ResourceLocation of the API server's pods.
		if strings.Contains(message, "address not allowed") {
			return failed
		}
	case http.StatusInternalServerError, http.StatusServiceUnavailable:
		if strings.Contains(message, "error trying to reach") {
			return failed
		}
	}
	return unclear
}

// judgePrometheus looks at an error of Prometheus' own form, which is an answer,
// unless it says that this one cannot answer now: it is reading its storage, or
// has canceled its queries because it stops.
func judgePrometheus(code int, errorType string) verdict {
	if code == http.StatusServiceUnavailable && errorType == "unavailable" || code == statusCanceled && errorType == "canceled" {
		return failed
	}
	return answered
}

// errorHead is the part of an error body that tells whose it is.
type errorHead struct{ kind, status, errorType, message string }

// peek reads the begin of a body, which whoever reads it afterwards still gets
// byte for byte.
func peek(resp *http.Response) errorHead {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxPeekBytes)) // the next reader gets the same error
	resp.Body = &readAhead{Reader: io.MultiReader(bytes.NewReader(raw), resp.Body), Closer: resp.Body}
	text := raw
	if resp.Header.Get("Content-Encoding") == "gzip" {
		decoder, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return errorHead{}
		}
		text, _ = io.ReadAll(io.LimitReader(decoder, maxPeekBytes)) // cut short, perhaps
	}
	return parseHead(text)
}

type readAhead struct {
	io.Reader
	io.Closer
}

// parseHead reads the fields that come before the text ends or makes no sense:
// an error may quote a query that is longer than what is read.
func parseHead(text []byte) errorHead {
	var e errorHead
	decoder := json.NewDecoder(bytes.NewReader(text))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return e
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return e
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return e
		}
		var word string
		if json.Unmarshal(value, &word) != nil {
			continue
		}
		switch name {
		case "kind":
			e.kind = word
		case "status":
			e.status = word
		case "errorType":
			e.errorType = word
		case "message":
			e.message = word
		}
	}
	return e
}
