package promql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge tells that the tenant's part of an answer is larger than the
// caller allows.
var ErrTooLarge = errors.New("the answer is larger than is allowed")

// What may be wrong with an answer. Errors go to a log that others read: none
// quotes the answer, as those of encoding/json do.
var (
	errMalformed = errors.New("it is not JSON")
	errCutShort  = errors.New("it is cut short")
	errTrailing  = errors.New("it goes on after its end")
	errWrongType = errors.New("a value has the wrong type")
	errTwice     = errors.New("a field is there twice")
	errMissing   = errors.New("a field is missing")
	errStatus    = errors.New("its status is not success")
)

// answer is an upstream's answer while it is read: the Response of
// web/api/v1/api.go.
type answer struct {
	*json.Decoder
	source source
	known  map[string]bool
	// hidden is how many warnings and infos there were.
	hidden int
}

// source keeps the error of reading, so that it is told apart from an answer
// that ends too early.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// readAnswer reads a whole successful answer and calls data where its data
// begins. It returns the number of warnings and infos.
func readAnswer(r io.Reader, data func(*answer) error) (hidden int, err error) {
	a := &answer{source: source{r: r}, known: map[string]bool{}}
	a.Decoder = json.NewDecoder(&a.source)
	if err := a.read(data); err != nil {
		return 0, a.fault(err)
	}
	return a.hidden, nil
}

func (a *answer) read(data func(*answer) error) error {
	var status string
	err := a.object(func(name string) error {
		switch name {
		case "status":
			return a.decodeOnce(name, &status)
		case "data":
			if err := a.once(name); err != nil {
				return err
			}
			return data(a)
		case "warnings", "infos":
			var texts []string
			err := a.decodeOnce(name, &texts)
			a.hidden += len(texts)
			return err
		}
		return a.skip()
	})
	switch {
	case err != nil:
		return err
	case status != "success":
		return errStatus
	case !a.known["data"]:
		return errMissing
	}
	if _, err := a.Token(); err != io.EOF {
		return errTrailing
	}
	return nil
}

// fault says what is wrong, and where, without a byte of the answer.
func (a *answer) fault(err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case a.source.err != nil:
		return fmt.Errorf("reading the answer, near byte %d: %w", a.InputOffset(), a.source.err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errCutShort
	case errors.As(err, &syntax):
		err = errMalformed
	case errors.As(err, &wrongType):
		err = errWrongType
	}
	for _, kind := range []error{errMalformed, errCutShort, errTrailing, errWrongType, errTwice, errMissing, errStatus} {
		if errors.Is(err, kind) {
			return fmt.Errorf("this is no answer of Prometheus: %w, near byte %d", kind, a.InputOffset())
		}
	}
	return fmt.Errorf("this is no answer of Prometheus, near byte %d", a.InputOffset())
}

// once has no two fields of a name: another reader may take the other one.
func (a *answer) once(name string) error {
	if a.known[name] {
		return errTwice
	}
	a.known[name] = true
	return nil
}

func (a *answer) decodeOnce(name string, v any) error {
	if err := a.once(name); err != nil {
		return err
	}
	return a.Decode(v)
}

// object reads an object; field reads the value of one of its fields.
func (a *answer) object(field func(name string) error) error {
	if err := a.open('{'); err != nil {
		return err
	}
	for a.More() {
		token, err := a.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return errMalformed
		}
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := a.Token()
	return err
}

// onlyList reads an object of whose fields only one counts, which has to be
// there and to be a list; item reads one item of it.
func (a *answer) onlyList(name string, item func() error) error {
	key := "data." + name
	err := a.object(func(field string) error {
		if field != name {
			return a.skip()
		}
		if err := a.once(key); err != nil {
			return err
		}
		return a.list(item)
	})
	if err == nil && !a.known[key] {
		return errMissing
	}
	return err
}

func (a *answer) list(item func() error) error {
	if err := a.open('['); err != nil {
		return err
	}
	for a.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := a.Token()
	return err
}

func (a *answer) open(delim json.Delim) error {
	t, err := a.Token()
	if err == nil && t != delim {
		return errWrongType
	}
	return err
}

// decodeItem decodes one item of a list, which may not be null.
func decodeItem[T any](a *answer) (*T, error) {
	var v *T
	if err := a.Decode(&v); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errWrongType
	}
	return v, nil
}

type anything struct{}

// UnmarshalJSON takes every value that is JSON.
func (*anything) UnmarshalJSON([]byte) error { return nil }

func (a *answer) skip() error { return a.Decode(&anything{}) }

// output is an answer while it is written.
type output struct {
	bytes.Buffer
	encoder *json.Encoder
	max     int
	items   int
}

func (o *output) text(s string) { o.WriteString(s) }

// item writes one item of a list or, with its name before it, of an object.
func (o *output) item(v any, name ...string) error {
	if o.items++; o.items > 1 {
		o.text(",")
	}
	for _, n := range name {
		if err := o.value(n); err != nil {
			return err
		}
		o.text(":")
	}
	return o.value(v)
}

// value writes with HTML's signs escaped, as Prometheus does but in label sets.
func (o *output) value(v any) error {
	if o.encoder == nil {
		o.encoder = json.NewEncoder(o)
	}
	if err := o.encoder.Encode(v); err != nil {
		return err
	}
	o.Truncate(o.Len() - 1) // the encoder's newline
	if o.Len() > o.max {
		return ErrTooLarge
	}
	return nil
}

// finish closes the data with end, and tells of warnings without showing them:
// they may name what is others'.
func (o *output) finish(end string, hidden int) ([]byte, error) {
	o.text(end)
	if hidden > 0 {
		o.text(`,"warnings":[`)
		notice := fmt.Sprintf("the upstream sent %d warnings; they may concern others and are not shown", hidden)
		if hidden == 1 {
			notice = "the upstream sent 1 warning; it may concern others and is not shown"
		}
		if err := o.value(notice); err != nil {
			return nil, err
		}
		o.text("]")
	}
	o.text("}")
	if o.Len() > o.max {
		return nil, ErrTooLarge
	}
	return o.Bytes(), nil
}
