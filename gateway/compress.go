package gateway

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Bounds of compressing what the gateway itself has put together.
const (
	// gzipLevel compresses Prometheus' JSON at twice the speed of the upstream's default
	// (seven times where that begins anew for each answer of some kilobytes), to nearly
	// the same size.
	gzipLevel = 2
	// minCompressed is the least length of a body that is worth it: what is shorter
	// goes in one packet.
	minCompressed = 1400
	// maxCompressors is how many work at once: each takes more than a MiB, for as
	// long as its client takes to read. Further answers go without compression.
	maxCompressors = 64
)

// compressed compresses for the client what was put together here, of answers that
// came without compression. What passes through stays as it came.
func (g *Gateway) compressed(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		resp, err := next(ctx, req)
		if err != nil || !req.gzip || resp.gzip || !resp.ours || resp.length >= 0 && resp.length < minCompressed {
			return resp, err
		}
		if g.compressing.Add(1) > maxCompressors {
			g.compressing.Add(-1)
			return resp, nil
		}
		c := compressors.Get().(*compressor)
		c.source = resp.body
		c.writer.Reset(&c.ready)
		resp.body, resp.gzip, resp.length = c, true, -1
		resp.onClose(func() {
			c.source, c.ended = nil, false
			c.ready.Reset()
			compressors.Put(c)
			g.compressing.Add(-1)
		})
		return resp, nil
	}
}

// compressor reads a body compressed.
type compressor struct {
	source io.Reader
	writer *gzip.Writer
	ready  bytes.Buffer
	ended  bool
	text   [32 << 10]byte
}

var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &compressor{writer: w}
}}

// Read is part of io.Reader. What the source was cut short of never looks complete:
// its error comes before the end of the compressed stream.
func (c *compressor) Read(p []byte) (int, error) {
	for c.ready.Len() == 0 {
		if c.ended {
			return 0, io.EOF
		}
		n, err := c.source.Read(c.text[:])
		if n > 0 {
			_, _ = c.writer.Write(c.text[:n]) // a buffer takes everything
		}
		switch {
		case err == io.EOF:
			_ = c.writer.Close()
			c.ended = true
		case err != nil:
			return 0, err
		}
	}
	return c.ready.Read(p)
}
