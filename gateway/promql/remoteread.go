package promql

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// RemoteRead is a remote read request that may go upstream.
type RemoteRead struct {
	// Body is the request, compressed.
	Body []byte
	// Queries is how many queries are in it.
	Queries int
	// Start and End are the earliest and the latest time that a query reads, in
	// milliseconds. With no query both are 0.
	Start, End int64
}

// RemoteReadError tells a client why its remote read request is not sent
// upstream.
type RemoteReadError struct {
	// TooLarge tells that the request would be too large, uncompressed.
	TooLarge bool
	reason   string
}

func (e *RemoteReadError) Error() string { return e.reason }

// maxReadFields bounds the fields of a request, whose every two bytes would
// otherwise become a hundred.
const maxReadFields = 1 << 16

// RemoteRead has every query of a remote read request (snappy-compressed
// protobuf, as DecodeReadRequest in storage/remote/codec.go has it) carry what
// the policy enforces. Uncompressed it may have maxSize bytes, before and after.
// The error is a *RemoteReadError.
func (p *Policy) RemoteRead(body []byte, maxSize int) (*RemoteRead, error) {
	req, err := decodeRead(body, maxSize)
	if err != nil {
		return nil, err
	}
	if err := cleanRead(req); err != nil {
		return nil, err
	}
	matchers := p.readMatchers()
	r := &RemoteRead{Queries: len(req.Queries)}
	for i, q := range req.Queries {
		if err := cleanQuery(q); err != nil {
			return nil, err
		}
		if len(q.Matchers) == 0 {
			q.Matchers = p.nothing()
		}
		q.Matchers = append(q.Matchers, matchers...)
		start, end := readRange(q)
		if i == 0 {
			r.Start, r.End = start, end
		}
		r.Start, r.End = min(r.Start, start), max(r.End, end)
	}
	size := req.Size()
	if size > maxSize {
		return nil, tooLarge(maxSize)
	}
	plain := make([]byte, size)
	if n, err := req.MarshalToSizedBuffer(plain); err != nil || n != size {
		return nil, malformed("it cannot be written again")
	}
	r.Body = snappy.Encode(nil, plain)
	return r, nil
}

// readMatchers are the policy's. None is of the type =: the upstream turns one
// that equals an external label of its own into a matcher for series without
// the label (filterExtLabelsFromMatchers in storage/remote/read_handler.go).
func (p *Policy) readMatchers() []*prompb.LabelMatcher {
	if p == nil {
		return nil
	}
	matchers := make([]*prompb.LabelMatcher, len(p.patterns))
	for i, m := range p.patterns {
		matchers[i] = &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: m.Name, Value: m.Value}
	}
	return matchers
}

// nothing keeps a query without matchers from selecting all that the tenant has:
// Prometheus answers it with no series.
func (p *Policy) nothing() []*prompb.LabelMatcher {
	if p == nil {
		return nil
	}
	m := p.patterns[0]
	return []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_NRE, Name: m.Name, Value: m.Value}}
}

func decodeRead(body []byte, maxSize int) (*prompb.ReadRequest, error) {
	size, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, malformed("snappy: corrupt input")
	}
	if size > maxSize {
		return nil, tooLarge(maxSize)
	}
	// No element of the format makes more than 64 bytes of 3. Nothing is
	// allocated for a length that cannot be true.
	if size/22 > len(body) {
		return nil, malformed("snappy: corrupt input")
	}
	// Strict: what other decoders take as well the upstream may refuse.
	plain, err := snappy.DecodeStrict(nil, body)
	if err != nil {
		return nil, malformed("snappy: corrupt input")
	}
	fields := maxReadFields
	if err := countFields(plain, levelRequest, &fields); err != nil {
		return nil, err
	}
	req := &prompb.ReadRequest{}
	if err := req.Unmarshal(plain); err != nil {
		return nil, malformed("protobuf: no ReadRequest")
	}
	return req, nil
}

func malformed(what string) error {
	return &RemoteReadError{reason: "the body is no remote read request: " + what}
}

func tooLarge(limit int) error {
	return &RemoteReadError{TooLarge: true, reason: fmt.Sprintf("the remote read request is larger than %d bytes, uncompressed", limit)}
}

// Levels of the messages in a request (prompb/remote.proto and types.proto).
const (
	levelRequest = iota
	levelQuery
	levelLeaf // a matcher, or hints
)

// countFields takes the fields of a message from left. It follows them as the
// generated decoder does, which keeps 32 bits of a field's number.
func countFields(b []byte, level int, left *int) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return malformed("protobuf: a number is cut short")
		}
		value, rest, err := fieldValue(b[n:], tag&7)
		if err != nil {
			return err
		}
		*left--
		switch number := int32(tag >> 3); {
		case level == levelRequest && number == 1, level == levelQuery && (number == 3 || number == 4):
			if err := countFields(value, level+1, left); err != nil {
				return err
			}
		case level == levelRequest && number == 2:
			*left -= len(value) // packed: a byte is an element
		}
		if *left < 0 {
			return &RemoteReadError{TooLarge: true, reason: fmt.Sprintf("the remote read request has more than %d fields", maxReadFields)}
		}
		b = rest
	}
	return nil
}

// fieldValue splits what follows a tag into the field's bytes, where it has a
// length of its own, and what comes after it. There are no groups in a request.
func fieldValue(b []byte, wireType uint64) (value, rest []byte, err error) {
	size := uint64(0)
	switch wireType {
	case 0:
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, nil, malformed("protobuf: a number is cut short")
		}
		return nil, b[n:], nil
	case 1:
		size = 8
	case 2:
		var n int
		if size, n = binary.Uvarint(b); n <= 0 {
			return nil, nil, malformed("protobuf: a number is cut short")
		}
		b = b[n:]
	case 5:
		size = 4
	default:
		return nil, nil, malformed("protobuf: an unknown wire type")
	}
	if size > uint64(len(b)) {
		return nil, nil, malformed("protobuf: a field is cut short")
	}
	if wireType == 2 {
		value = b[:size]
	}
	return value, b[size:], nil
}

// cleanRead takes out of a request, but not of its queries, what is not known
// here. Where no type of answer is left Prometheus refuses the request as well
// (NegotiateResponseType in storage/remote/codec.go).
func cleanRead(req *prompb.ReadRequest) error {
	req.XXX_unrecognized = nil
	if len(req.AcceptedResponseTypes) == 0 {
		return nil
	}
	req.AcceptedResponseTypes = slices.DeleteFunc(req.AcceptedResponseTypes, func(t prompb.ReadRequest_ResponseType) bool {
		_, known := prompb.ReadRequest_ResponseType_name[int32(t)]
		return !known
	})
	if len(req.AcceptedResponseTypes) == 0 {
		return &RemoteReadError{reason: "none of the accepted response types is supported"}
	}
	return nil
}

// cleanQuery takes out of a query what is not known here.
func cleanQuery(q *prompb.Query) error {
	q.XXX_unrecognized = nil
	if q.Hints != nil {
		q.Hints.XXX_unrecognized = nil
	}
	for _, m := range q.Matchers {
		m.XXX_unrecognized = nil
		if _, known := prompb.LabelMatcher_Type_name[int32(m.Type)]; !known {
			return malformed(fmt.Sprintf("a matcher has the unknown type %d", m.Type))
		}
	}
	return nil
}

// readRange is the time that a query reads. Hints hold no matchers, but their
// times take the place of the query's own within a block (selectSeriesSet in
// tsdb/querier.go).
func readRange(q *prompb.Query) (start, end int64) {
	start, end = q.StartTimestampMs, q.EndTimestampMs
	if h := q.Hints; h != nil && (h.StartMs != 0 || h.EndMs != 0) {
		start, end = min(start, h.StartMs), max(end, h.EndMs)
	}
	return start, end
}
