package gateway

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Bounds of what is kept of a body that several read at their own pace.
const (
	// maxAhead is how far the fastest may be before the slowest, in bytes.
	maxAhead = 4 << 20
	// maxStall is how long the others wait for one that does not read at all.
	maxStall = 5 * time.Second
	// sharedPiece is how much is read at once.
	sharedPiece = 32 << 10
)

// errLagged ends the answer of a client that was too slow to share it.
var errLagged = errors.New("this client reads too slowly for those who asked the same at the same time")

// sharedBody is one body for several readers. Whoever needs more reads for all of
// them; what all have read is forgotten.
type sharedBody struct {
	source io.Reader

	mu      sync.Mutex
	changed *sync.Cond
	readers []*sharedReader // by place
	staying int             // of them
	// pieces are those that somebody still needs, first is the number of the first
	// of them, and size what they hold.
	pieces  []piece
	first   int
	size    int
	end     error // of the source
	reading bool
}

// piece is a part of a body, and how many still have to read it.
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

func newSharedBody(source io.Reader, readers int, gone []int) *sharedBody {
	b := &sharedBody{source: source, readers: make([]*sharedReader, readers), staying: readers - len(gone)}
	b.changed = sync.NewCond(&b.mu)
	for i := range b.readers {
		b.readers[i] = &sharedReader{body: b}
	}
	for _, place := range gone {
		b.readers[place].out = true
	}
	return b
}

func (b *sharedBody) reader(place int) io.Reader { return b.readers[place] }

// leave has the others wait for this one no more.
func (b *sharedBody) leave(place int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(b.readers[place])
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
}

// Read is part of io.Reader.
func (r *sharedReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case r.out:
			return 0, errLagged
		case r.piece-b.first < len(b.pieces):
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
	if r.offset += n; r.offset == len(now.text) {
		r.piece, r.offset = r.piece+1, 0
		now.readers--
		r.body.forget()
	}
	return n
}

// more reads the next piece, without the lock meanwhile.
func (b *sharedBody) more() {
	b.reading = true
	b.mu.Unlock()
	text := make([]byte, sharedPiece)
	n, err := b.source.Read(text)
	b.mu.Lock()
	b.reading = false
	if n > 0 {
		b.pieces = append(b.pieces, piece{text[:n], b.staying})
		b.size += n
	}
	b.end = err
	b.changed.Broadcast()
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

// wait waits for the slowest, but not for one that stands still.
func (b *sharedBody) wait() {
	first := b.first
	timer := time.AfterFunc(maxStall, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.first != first {
			return
		}
		for _, r := range b.readers {
			if r.piece == first {
				b.drop(r)
			}
		}
		b.changed.Broadcast()
	})
	defer timer.Stop()
	b.changed.Wait()
}
