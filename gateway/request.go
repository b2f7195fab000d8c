package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// Request is an admitted request: authenticated, granted, its parameters typed.
// Only admit makes one, so that whatever takes a Request stands behind a grant.
type Request struct {
	endpoint *Endpoint
	tenancy  *tenancy
	*standing
	params *Params
	// enforced is what goes upstream of the parameters.
	enforced enforced
	// caller is sent upstream in place of the gateway's own credentials, where
	// the target wants that; else it is empty.
	caller auth.Credential
	// label is the validated, escaped label name of label_values.
	label string
	// gzip tells that the client takes gzip.
	gzip bool
	// header holds what goes upstream of the client's headers.
	header http.Header
	// body goes upstream as it is; nil but for remote read.
	body       *clientBody
	bodyLength int64
	record     *record
	// What follows is of the cache, and empty where there is none. scope tells whose
	// answers the request may have; deadline is when one must have been sent that is
	// put together here.
	keeper   *keeper
	scope    string
	deadline time.Time
}

// errNotYours answers alike, byte for byte, for an environment that the
// credential does not open and for one that does not exist.
var errNotYours = &Error{
	Status: http.StatusForbidden, Type: typeForbidden,
	Message: "this credential does not open this environment: check project and environment in the URL, or use a token that was made for them",
}

// The refusals below come after a good credential that may query the environment
// but for its kind: they tell nobody of environments that are not their own.
var (
	errTokensOff = &Error{
		Status: http.StatusForbidden, Type: typeForbidden,
		Message: "endpoint tokens are switched off for this environment's cluster: use a Kubernetes token that may query it",
	}
	errNoService = &Error{
		Status: http.StatusForbidden, Type: typeForbidden,
		Message: "this environment is reached by a URL and not through Kubernetes, so that no Kubernetes token opens it: use an endpoint token",
	}
)

// open finds the environment that the request is for, if the caller may query
// it. Table and grants are looked at once, in one snapshot.
func (g *Gateway) open(ctx context.Context, x *exchange, at place, id *auth.Identity) (*routing.Environment, error) {
	env, found := g.routes.Load().Lookup(at.project, at.environment)
	if id.Access == nil {
		switch {
		case !found || !id.MayQuery(env.Project.UID, env.UID):
			return nil, errNotYours
		case env.Target.NoEndpointTokens:
			return nil, errTokensOff
		}
		x.environment = env
		return env, nil
	}
	var resource auth.Resource
	if found {
		resource = resourceOf(env)
	}
	principal, err := id.Access.Query(ctx, resource)
	x.principal = principal
	switch {
	case errors.Is(err, auth.ErrForbidden) && found && env.Target.ServiceProxy == nil:
		return nil, errNoService
	case errors.Is(err, auth.ErrForbidden):
		return nil, notYours(err)
	case errors.Is(err, auth.ErrInvalid), errors.Is(err, auth.ErrUnavailable):
		return nil, credentialError(err)
	case err != nil:
		return nil, err
	case resource == auth.Resource{}: // nobody may query what is no resource
		return nil, errNotYours
	}
	x.environment = env
	return env, nil
}

// conceal keeps an error of the gateway's own from callers about whom nobody has
// decided yet, because that is left to whoever is asked with their credential:
// who may not query the environment is told no more than that.
func conceal(ctx context.Context, id *auth.Identity, env *routing.Environment, err error) error {
	var e *Error
	decided := errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
	if env.Target.Caller == nil || decided || ctx.Err() != nil {
		return err
	}
	open, refusal := queryable(ctx, id, []*routing.Environment{env})
	switch {
	case refusal != nil:
		return refusal
	case !open[0]:
		return notYours(err)
	}
	return err
}

// notYours is errNotYours with a cause for the log.
func notYours(cause error) error {
	e := *errNotYours
	e.Cause = cause
	return &e
}

// resourceOf is the environment's Service as RBAC knows it.
func resourceOf(env *routing.Environment) auth.Resource {
	p := env.Target.ServiceProxy
	if p == nil {
		return auth.Resource{}
	}
	return auth.Resource{Cluster: p.Cluster, Namespace: p.Namespace, Name: p.Name, AsCaller: env.Target.Caller != nil}
}

// admit turns an authenticated HTTP request for an environment that its caller
// may query into a Request.
func (g *Gateway) admit(x *exchange, r *http.Request, e *Endpoint, label string, env *routing.Environment) (*Request, error) {
	if e.OptIn != nil && !e.OptIn(env.Allow) {
		return nil, &Error{
			Status: http.StatusNotFound, Type: typeNotFound,
			Message: "this endpoint is switched off for this environment; its operator can switch it on with allow: [" + e.OptInName + "]",
		}
	}
	gates := g.limits.Load()
	t := gates.tenancy(env)
	if err := admitRate(t); err != nil {
		return nil, err
	}
	req := &Request{
		endpoint: e, tenancy: t, record: &x.record,
		gzip: acceptsGzip(r.Header["Accept-Encoding"]),
	}
	var err error
	if req.standing, err = gates.standing(t, env); err != nil {
		return nil, err
	}
	if label != "" {
		name, ok := labelName(label)
		if !ok {
			return nil, badData("invalid label name: write it as Prometheus' U__ form or percent-encoded, without escaped slashes, dots or percent signs")
		}
		req.label = name
	}
	if e.form.accept == nil {
		if accept := r.Header.Get("Accept"); accept != "" && len(accept) <= 1024 {
			req.header = http.Header{"Accept": {accept}}
		}
	}
	form, err := g.readBody(x, r, req)
	if err != nil {
		return nil, err
	}
	if req.params, err = parseParams(e, t, req.policy, r.URL.RawQuery, form); err != nil {
		return nil, paramsError(err)
	}
	if req.enforced, err = e.enforce(req.params, req.policy); err != nil {
		return nil, err
	}
	if e.Body && req.policy != nil {
		err = req.enforced.enforceRead(req, g.limits.Load().MaxRemoteReadBody)
	}
	return req, err
}

// readBody reads a POST's form, or hands a remote read's body on.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, req *Request) (string, error) {
	limits := g.limits.Load()
	if req.endpoint.Body {
		return "", admitRemoteRead(w, r, req, limits.Limits)
	}
	if r.ContentLength == 0 {
		return "", nil
	}
	if r.ContentLength > limits.MaxRequestBody {
		return "", tooLargeError("the body", limits.MaxRequestBody)
	}
	// A slow body must not keep a connection for longer than it is worth.
	// Writers that know no deadlines are bounded by the server alone.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(limits.RequestBodyTimeout))
	if r.Method != http.MethodPost {
		return "", withoutBody(r, control)
	}
	if !isForm(r.Header) {
		return "", errNotForm
	}
	var b strings.Builder
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength))
	}
	if _, err := io.Copy(&b, http.MaxBytesReader(w, r.Body, limits.MaxRequestBody)); err != nil {
		return "", bodyError(err, limits.MaxRequestBody)
	}
	_ = control.SetReadDeadline(time.Time{})
	return b.String(), nil
}

var errNotForm = &Error{
	Status: http.StatusUnsupportedMediaType, Type: typeBadData,
	Message: "the body must be application/x-www-form-urlencoded and not compressed",
}

// withoutBody sees that a GET has no body. What Prometheus would not read is
// refused: nobody may take it for part of the question, and while it is unread
// the server cannot tell that the client went away.
func withoutBody(r *http.Request, control *http.ResponseController) error {
	if r.ContentLength < 0 {
		switch _, err := io.ReadFull(r.Body, make([]byte, 1)); err {
		case nil:
		case io.EOF:
			_ = control.SetReadDeadline(time.Time{})
			return nil
		default:
			return bodyError(err, 0)
		}
	}
	if !isForm(r.Header) {
		return errNotForm
	}
	return badData("a GET has no body: send the parameters in the URL, or use POST")
}

// clientBody is a body on its way upstream. It notes how its reading ended, to
// tell the client's faults from the upstream's, and ends the time that the
// client has for it.
type clientBody struct {
	io.Reader
	control *http.ResponseController
	end     atomic.Pointer[error]
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.end.Store(&err)
	}
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// fault is why the body could not be read; nil while there is no reason.
func (b *clientBody) fault() error {
	if end := b.end.Load(); end != nil && *end != io.EOF {
		return *end
	}
	return nil
}

func bodyError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return tooLargeError("the body", limit)
	}
	e := badData("the body could not be read to its end in time")
	e.Cause = err
	return e
}

func tooLargeError(what string, limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Type: typeBadData,
		Message: what + " is larger than the " + formatBytes(limit) + " that this gateway accepts: shorten the query",
	}
}

func isForm(h http.Header) bool {
	if len(h["Content-Encoding"]) > 0 || len(h["Content-Type"]) != 1 {
		return false
	}
	contentType := h["Content-Type"][0]
	if contentType == "application/x-www-form-urlencoded" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/x-www-form-urlencoded"
}

func admitRemoteRead(w http.ResponseWriter, r *http.Request, req *Request, limits Limits) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "snappy" {
		return &Error{
			Status: http.StatusUnsupportedMediaType, Type: typeBadData,
			Message: "the body must be application/x-protobuf, compressed by snappy, as Prometheus' remote read sends it",
		}
	}
	if r.ContentLength > limits.MaxRemoteReadBody {
		return tooLargeError("the body", limits.MaxRemoteReadBody)
	}
	req.header = http.Header{}
	req.header["Content-Type"] = []string{"application/x-protobuf"}
	req.header["Content-Encoding"] = []string{"snappy"}
	if v := r.Header.Get("X-Prometheus-Remote-Read-Version"); v != "" && len(v) <= 16 && url.QueryEscape(v) == v {
		req.header["X-Prometheus-Remote-Read-Version"] = []string{v}
	}
	req.body = &clientBody{Reader: http.MaxBytesReader(w, r.Body, limits.MaxRemoteReadBody), control: http.NewResponseController(w)}
	_ = req.body.control.SetReadDeadline(time.Now().Add(limits.RequestBodyTimeout))
	req.bodyLength = r.ContentLength
	return nil
}

// acceptsGzip tells whether Accept-Encoding takes gzip, by name or by *, and
// not with q=0.
func acceptsGzip(values []string) bool {
	star := false
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			coding, params, _ := strings.Cut(item, ";")
			weight, weighted := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
			refused := weighted && strings.Trim(weight, "0.") == ""
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"):
				return !refused
			case coding == "*":
				star = !refused
			}
		}
	}
	return star
}
