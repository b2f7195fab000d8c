package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/promgate/promgate/auth"
)

// upstreamError is what an upstream's error body may be: Prometheus' own form,
// or a Kubernetes Status (meta/v1).
type upstreamError struct {
	Status    json.RawMessage `json:"status"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Kind      string          `json:"kind"`
	Message   string          `json:"message"`
	Reason    string          `json:"reason"`
}

func (e *upstreamError) isPrometheus() bool {
	return e.Kind == "" && string(e.Status) == `"error"` && e.ErrorType != ""
}

func (e *upstreamError) isKubernetes() bool { return e.Kind == "Status" }

// refusal explains an upstream's answer that is no data.
func refusal(req *Request, resp *http.Response) (*Response, error) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, notPrometheus(req, fmt.Errorf("redirect to another address (status %d); check the target's scheme and path prefix", resp.StatusCode))
	}
	body, err := shortBody(resp)
	if err != nil {
		return nil, notPrometheus(req, fmt.Errorf("status %d: %w", resp.StatusCode, err))
	}
	var parsed upstreamError
	if json.Unmarshal(body, &parsed) != nil {
		parsed = upstreamError{}
	}
	switch {
	case parsed.isKubernetes():
		return nil, kubernetesError(req, resp, &parsed)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, gatewayRefused(req, "prometheus", fmt.Errorf("status %d; check the target's credentials", resp.StatusCode), "")
	case resp.StatusCode == http.StatusNotFound && req.endpoint.MayBeMissing,
		parsed.isPrometheus() && parsed.Error == "search API disabled":
		return nil, &Error{
			Status: http.StatusNotFound, Type: typeNotFound,
			Message: "this environment's Prometheus does not have this endpoint, or has it switched off",
		}
	case parsed.isPrometheus():
		return passOn(req, resp, &parsed, body)
	case req.endpoint.form.textErrors && (resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusInternalServerError) && isText(resp):
		e := &Error{Status: resp.StatusCode, Type: typeBadData, Message: strings.TrimSpace(string(body)), Quotes: true}
		if e.Status == http.StatusInternalServerError {
			e.Type, e.Hop = typeInternal, "prometheus"
		}
		return nil, e
	}
	return nil, plainError(req, resp, body)
}

func shortBody(resp *http.Response) ([]byte, error) {
	var r io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		decoder, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		r = decoder
	}
	body, err := io.ReadAll(io.LimitReader(r, maxShortBody+1))
	if err == nil && len(body) > maxShortBody {
		err = fmt.Errorf("an error of over %d bytes", maxShortBody)
	}
	return body, err
}

// passOn hands Prometheus' own error on as it is.
func passOn(req *Request, resp *http.Response, parsed *upstreamError, body []byte) (*Response, error) {
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		http.StatusInternalServerError, http.StatusNotFound, http.StatusNotAcceptable:
		if req.policy != nil {
			return retold(req, resp.StatusCode, parsed)
		}
		return &Response{
			status: resp.StatusCode, contentType: "application/json",
			length: int64(len(body)), body: bytes.NewReader(body),
		}, nil
	case http.StatusTooManyRequests:
		return nil, tooMany(resp, fmt.Errorf("%s: status %d, %s", req.environment.Target.Description, resp.StatusCode, shorten(parsed.ErrorType, 100)))
	case statusClientGone: // Prometheus itself canceled the query, as it does when it stops
		return nil, unavailable(req, "prometheus", errors.New("the query was canceled upstream"), retryAfter(resp))
	}
	return nil, plainError(req, resp, body)
}

// retold hands Prometheus' own error on where labels are enforced: about the text
// that the client sent, and not at all where it may be about other tenants.
func retold(req *Request, status int, parsed *upstreamError) (*Response, error) {
	if req.filtered() {
		return nil, &Error{
			Status: status, Type: shorten(parsed.ErrorType, 100), Hop: "prometheus",
			Message: "this environment's Prometheus answered with an error that may concern others and is not shown: tell the environment's operator, whose log has it",
			Cause:   fmt.Errorf("%s: status %d: %s", req.environment.Target.Description, status, shorten(parsed.Error, 500)),
		}
	}
	message := parsed.Error
	if req.params.query != nil {
		message = req.params.query.Original(message)
	}
	// Three strings always make JSON.
	body, _ := json.Marshal(errorBody{Status: "error", ErrorType: parsed.ErrorType, Error: message})
	return &Response{status: status, contentType: "application/json", length: int64(len(body)), body: bytes.NewReader(body)}, nil
}

// plainError explains an answer that neither Prometheus nor the API server made.
func plainError(req *Request, resp *http.Response, body []byte) error {
	cause := fmt.Errorf("status %d, content type %q, %d bytes", resp.StatusCode, shorten(resp.Header.Get("Content-Type"), 100), len(body))
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		if req.environment.Target.ServiceProxy == nil {
			return tooMany(resp, cause)
		}
		return unavailable(req, "api server", cause, retryAfter(resp))
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return unavailable(req, "prometheus", cause, retryAfter(resp))
	}
	return notPrometheus(req, cause)
}

// kubernetesError explains the API server's own refusal: which hop failed, and
// what the operator can do. Its Status never reaches the client, for whom
// "Failure" would look like a result.
func kubernetesError(req *Request, resp *http.Response, status *upstreamError) error {
	proxy := req.environment.Target.ServiceProxy
	cause := fmt.Errorf("the API server answered %d %s: %s", resp.StatusCode, status.Reason, shorten(status.Message, 500))
	if proxy == nil {
		return notPrometheus(req, cause)
	}
	if req.environment.Target.Caller != nil {
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			return credentialError(fmt.Errorf("%w: %w", auth.ErrInvalid, cause))
		case http.StatusForbidden:
			return notYours(cause)
		}
	}
	switch {
	case resp.StatusCode == http.StatusForbidden:
		verb := "get"
		if resp.Request != nil && resp.Request.Method == http.MethodPost {
			verb = "create"
		}
		return gatewayRefused(req, "rbac", cause, proxy.Role(verb))
	case resp.StatusCode == http.StatusUnauthorized:
		return gatewayRefused(req, "api server", fmt.Errorf("%w; the gateway's own credentials for cluster %q are not accepted", cause, proxy.Cluster), "")
	case resp.StatusCode == http.StatusNotFound:
		return unavailable(req, "service", fmt.Errorf("%w; check the Service's namespace and name", cause), 0)
	case strings.Contains(status.Message, "no endpoints available"):
		// The API server says the same of a port name that the Service does not have.
		port := proxy.Name[strings.LastIndexByte(proxy.Name, ':')+1:]
		return unavailable(req, "endpoints",
			fmt.Errorf("%w; check that pods match the Service's selector and are ready, and that it declares a port %q", cause, port), 10*time.Second)
	case strings.Contains(status.Message, "no service port"):
		return unavailable(req, "service", fmt.Errorf("%w; check the port's name or number", cause), 0)
	case strings.Contains(status.Message, "error trying to reach service"):
		return unavailable(req, "prometheus", cause, 5*time.Second)
	}
	return unavailable(req, "api server", cause, retryAfter(resp))
}

// gatewayRefused is an upstream that refuses the gateway itself: nothing that
// the client could mend.
func gatewayRefused(req *Request, hop string, cause error, advice string) error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: typeUnavailable, Hop: hop, Advice: advice,
		Cause:   fmt.Errorf("%s: %w", req.environment.Target.Description, cause),
		Message: "the gateway is not allowed to reach this environment's Prometheus: tell its operator, whose log says what is missing",
	}
}

func unavailable(req *Request, hop string, cause error, retry time.Duration) error {
	message := "this environment's Prometheus is not available: tell its operator, whose log says why"
	if retry > 0 {
		message = "this environment's Prometheus is not available right now: try again in a moment; if it lasts, tell its operator"
	}
	return &Error{
		Status: http.StatusServiceUnavailable, Type: typeUnavailable, Hop: hop, RetryAfter: retry,
		Cause: fmt.Errorf("%s: %w", req.environment.Target.Description, cause), Message: message,
	}
}

func tooMany(resp *http.Response, cause error) error {
	return &Error{
		Status: http.StatusTooManyRequests, Type: typeTooMany, Hop: "prometheus", Cause: cause, RetryAfter: retryAfter(resp),
		Message: "this environment's Prometheus has too many queries: try again in a moment",
	}
}

func notPrometheus(req *Request, cause error) error {
	return &Error{
		Status: http.StatusBadGateway, Type: typeBadGateway, Hop: "prometheus",
		Cause:   fmt.Errorf("%s: %w", req.environment.Target.Description, cause),
		Message: "what answered for this environment is not Prometheus: tell its operator, who may check port, scheme and path prefix",
	}
}

// retryAfter reads an upstream's Retry-After in seconds, within 1 s and 2 min.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		return 5 * time.Second
	}
	return time.Duration(min(max(seconds, 1), 120)) * time.Second
}

func isText(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain")
}
