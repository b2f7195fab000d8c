package gateway

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// Bounds of what is kept of a body that several read at their own pace.
const (
	// maxAhead is how far the fastest may be before the slowest, in bytes.
	maxAhead = 4 << 20
	// maxStall is how long the others wait, in all, until the slowest has read
	// leastProgress pieces more.
	maxStall      = 5 * time.Second
	leastProgress = maxAhead / 4 / sharedPiece
	// sharedPiece is the size of what the body is kept in.
	sharedPiece = 32 << 10
)

// errLagged ends the answer of a client that was too slow to share it.
var errLagged = &Error{
	Status: http.StatusServiceUnavailable, Type: typeTimeout,
	Message: "this client reads too slowly for those who asked the same at the same time: ask again",
}

// sharedBody is one body for several readers. Whoever needs more reads for all of
// them; what all have read is forgotten. The answer is closed when its end is known,
// or when nobody needs it any more.
type sharedBody struct {
	source io.Reader
	cancel context.CancelFunc // has a read of the source come to its end
	close  func()

	mu      sync.Mutex
	changed *sync.Cond
	readers []*sharedReader
	staying int // of them
	// pieces are those that somebody still needs, first is the number of the first
	// of them, and size what they hold.
	pieces  []piece
	first   int
	size    int
	end     error // of the source
	reading bool
	// waiting tells that somebody waits for the slowest. So much of the patience is
	// spent since the slowest was at the piece mark.
	waiting         bool
	patience, spent time.Duration
	mark            int
}

// piece is a part of a body, and how many still have to read it. All of them but the
// last one are full.
type piece struct {
	text    []byte
	readers int
}

// sharedReader is one reader's place in the body.
type sharedReader struct {
	body *sharedBody
	// piece and offset are where it reads next.
	piece, offset int
	// out tells that nobody waits for it: it left, or was too slow.
	out bool
}

// newSharedBody divides an answer between readers. Those that are out are gone
// already.
func newSharedBody(resp *Response, cancel context.CancelFunc, readers []*sharedReader) *sharedBody {
	b := &sharedBody{
		source: resp.body, cancel: cancel, readers: readers, patience: maxStall,
		close: sync.OnceFunc(func() {
			resp.Close()
			cancel()
		}),
	}
	b.changed = sync.NewCond(&b.mu)
	for _, r := range readers {
		r.body = b
		if !r.out {
			b.staying++
		}
	}
	return b
}

// leave has the others wait for this one no more. It may leave more than once.
func (b *sharedBody) leave(r *sharedReader) { b.without(func() { b.drop(r) }) }

// without drops readers. Without any, the source is closed: at once, or by whoever
// reads it at this moment.
func (b *sharedBody) without(drop func()) {
	b.mu.Lock()
	drop()
	empty, reading := b.staying == 0, b.reading
	b.mu.Unlock()
	switch {
	case empty && reading:
		b.cancel()
	case empty:
		b.close()
	}
}

// drop has nobody wait for a reader any more.
func (b *sharedBody) drop(r *sharedReader) {
	if r.out {
		return
	}
	r.out = true
	b.staying--
	for i := r.piece - b.first; i < len(b.pieces); i++ {
		b.pieces[i].readers--
	}
	b.forget()
	b.changed.Broadcast()
}

// Read is part of io.Reader.
func (r *sharedReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch i := r.piece - b.first; {
		case r.out:
			return 0, errLagged
		case i < len(b.pieces) && r.offset < len(b.pieces[i].text):
			return r.take(p), nil
		case b.end != nil:
			return 0, b.end
		case b.reading:
			b.changed.Wait()
		case b.size >= maxAhead:
			b.wait()
		default:
			b.more()
		}
	}
}

// take copies what is there for the reader.
func (r *sharedReader) take(p []byte) int {
	now := &r.body.pieces[r.piece-r.body.first]
	n := copy(p, now.text[r.offset:])
	if r.offset += n; r.offset == cap(now.text) {
		r.piece, r.offset = r.piece+1, 0
		now.readers--
		r.body.forget()
	}
	return n
}

// more reads what comes next, without the lock meanwhile.
func (b *sharedBody) more() {
	last := len(b.pieces) - 1
	if last < 0 || len(b.pieces[last].text) == cap(b.pieces[last].text) {
		b.pieces = append(b.pieces, piece{make([]byte, 0, sharedPiece), b.staying})
		last++
	}
	text := b.pieces[last].text
	b.reading = true
	b.mu.Unlock()
	n, err := 0, error(errCallFailed) // what stays of it after a panic
	defer func() {
		b.mu.Lock()
		b.reading, b.end = false, err
		if b.staying > 0 { // who stays needs the last piece, which is where it was
			b.pieces[len(b.pieces)-1].text = text[:len(text)+n]
			b.size += n
		}
		if err != nil || b.staying == 0 {
			b.close()
		}
		b.changed.Broadcast()
	}()
	n, err = b.source.Read(text[len(text):cap(text)])
}

// forget gives back the pieces that nobody needs any more.
func (b *sharedBody) forget() {
	for len(b.pieces) > 0 && b.pieces[0].readers == 0 {
		b.size -= len(b.pieces[0].text)
		b.pieces[0].text = nil
		b.pieces = b.pieces[1:]
		b.first++
		b.changed.Broadcast()
	}
}

// wait waits for the slowest, as long as there is patience.
func (b *sharedBody) wait() {
	if b.waiting { // somebody else looks at the clock
		b.changed.Wait()
		return
	}
	b.waiting = true
	started := time.Now()
	timer := time.AfterFunc(b.patience-b.spent, func() { b.without(b.cut) })
	b.changed.Wait()
	timer.Stop()
	b.waiting = false
	if b.spent += time.Since(started); b.first >= b.mark+leastProgress {
		b.mark, b.spent = b.first, 0
	}
}

// cut drops the slowest, if somebody waits for them still.
func (b *sharedBody) cut() {
	if !b.waiting || b.size < maxAhead {
		return
	}
	first := b.first
	for _, r := range b.readers {
		if r.piece == first {
			b.drop(r)
		}
	}
	b.mark, b.spent = b.first-leastProgress, 0 // the next one is another
}
