package vhost

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"tintype/internal/block"
)

const (
	// inlineWrite is the longest write that is done where requests are taken, and inlineRead the longest read that is tried there.
	inlineWrite = 64 << 10
	inlineRead  = 32 << 10
	// pieceSize is how much is copied between the guest and the device at once. Data always goes through memory of our own: what
	// the guest changes while the device works on it must not matter.
	pieceSize = 1 << 20
	// maxWhole is how much a request that was taken may be about and still be done to its end when the session is closing. No driver
	// asks for more at once, but for zeroes; who makes one that long does not hold up the end.
	maxWhole = 64 << 20
)

// request is one that was taken from a queue, in the place that its first descriptor has.
type request struct {
	chain
	head   uint16
	kind   blockCommand
	sector uint64
	sent   int64 // bytes of data from the guest, behind the header
	room   int64 // bytes for data to the guest, before the status

	status  byte
	written uint32 // bytes that the guest gets
	changed bool   // the device, so that it has to be settled
	left    bool   // begun or not, and given up because the session is closing
	began   time.Time
	busy    atomic.Bool // taken, and not answered
}

// read takes in a request's layout and header. It is called under guard.
func (r *request) read(ring *ring, m *memory, head uint16) error {
	r.head, r.status, r.changed, r.left, r.kind, r.sector, r.began = head, statusOK, false, false, 0, 0, time.Time{}
	r.written = 1
	if err := r.walk(ring, m, head); err != nil {
		return err
	}
	r.sent, r.room = length(r.out)-requestHeader, length(r.in)-1
	if r.room < 0 {
		return broken("a request without room for its status")
	}
	if r.sent < 0 {
		r.status = statusIOError
		return nil
	}
	var b [requestHeader]byte
	p := b[:]
	each(r.out, 0, requestHeader, func(piece []byte) { p = p[copy(p, piece):] })
	r.kind, r.sector = blockCommand(binary.LittleEndian.Uint32(b[:])), binary.LittleEndian.Uint64(b[8:])
	return nil
}

// fail makes an error the request's end.
func (r *request) fail(status byte) { r.status, r.written = status, 1 }

// span is what a read or write is about; it is not ok when that isn't whole sectors of the device.
func (r *request) span(size int64) (off, n int64, ok bool) {
	n = r.sent
	if r.kind == blkIn {
		n = r.room
	}
	if n%sector != 0 || r.sector > uint64(size/sector) {
		return 0, 0, false
	}
	off = int64(r.sector) * sector
	return off, n, n <= size-off
}

// buffer is memory of our own between the guest and the device: up to inlineWrite of its owner's, and more of a pool's.
type buffer struct {
	small []byte
	large *[]byte // nil when there is none
}

// maxLarge is how many large buffers the requests of one session may have at once.
const maxLarge = 64

// get returns n bytes, at most pieceSize, with anything in them.
func (b *buffer) get(s *session, n int64) []byte {
	if n <= inlineWrite {
		if b.small == nil {
			b.small = make([]byte, inlineWrite)
		}
		return b.small[:n]
	}
	if b.large == nil {
		s.large <- struct{}{}
		b.large, _ = s.export.pool.Get().(*[]byte)
		if b.large == nil {
			fresh := make([]byte, pieceSize)
			b.large = &fresh
		}
	}
	return (*b.large)[:n]
}

// free gives back what is large.
func (b *buffer) free(s *session) {
	if b.large != nil {
		s.export.pool.Put(b.large)
		b.large = nil
		<-s.large
	}
}

// errGone ends what nobody waits for any more.
var errGone = errors.New("vhost: the front end has gone")

// giveUp ends a request about n bytes when nobody should wait for it to end.
func (q *queue) giveUp(n int64) error {
	if n > maxWhole && q.s.closing.Load() {
		return errGone
	}
	return nil
}

// execute does a request and says in it how that went.
func (q *queue) execute(r *request, buf *buffer) {
	if r.status != statusOK {
		return
	}
	defer buf.free(q.s)
	var err error
	switch r.kind {
	case blkIn:
		err = q.readData(r, buf)
	case blkOut:
		err = q.writeData(r, buf)
	case blkFlush:
		err = q.dev.Flush()
	case blkDiscard, blkWriteZeroes:
		err = q.ranges(r, buf)
	case blkGetID:
		id := make([]byte, min(r.room, idLength))
		copy(id, q.s.export.id())
		r.written = uint32(len(id)) + 1
		err = copyOut(r.in, id, 0)
	default:
		r.fail(statusUnsupp)
	}
	q.judge(r, err)
}

// judge ends a request that the device, or the guest's memory, failed.
func (q *queue) judge(r *request, err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, errFault):
		q.fail(err)
	case errors.Is(err, errGone):
		r.left = true
	case errors.Is(err, block.ErrOutOfRange), errors.Is(err, block.ErrReadOnly), errors.Is(err, block.ErrNoSpace):
		// The guest asked for what cannot be, or is told what the host's owner knows.
	default:
		q.s.log.Error("vhost: the device failed a request", "export", q.s.export.Name,
			"command", r.kind.String(), "sector", r.sector, "error", err)
	}
	r.fail(statusIOError)
}

func (q *queue) readData(r *request, buf *buffer) error {
	off, n, ok := r.span(q.dev.Size())
	if !ok {
		return block.ErrOutOfRange
	}
	r.written = uint32(min(n+1, 1<<32-1))
	for at := int64(0); at < n; at += pieceSize {
		if err := q.giveUp(n); err != nil {
			return err
		}
		p := buf.get(q.s, min(n-at, pieceSize))
		if _, err := q.dev.ReadAt(p, off+at); err != nil {
			return err
		}
		if err := copyOut(r.in, p, at); err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) writeData(r *request, buf *buffer) error {
	if q.s.export.readOnly() {
		return block.ErrReadOnly
	}
	off, n, ok := r.span(q.dev.Size())
	if !ok {
		return block.ErrOutOfRange
	}
	for at := int64(0); at < n; at += pieceSize {
		if err := q.giveUp(n); err != nil {
			return err
		}
		p := buf.get(q.s, min(n-at, pieceSize))
		if err := copyIn(p, r.out, requestHeader+at); err != nil {
			return err
		}
		r.changed = true
		if _, err := q.dev.WriteAt(p, off+at); err != nil {
			return err
		}
	}
	return q.through()
}

// through makes what was written durable for a driver that knows of no flush.
func (q *queue) through() error {
	if !q.s.writeThrough {
		return nil
	}
	return q.dev.Flush()
}

// span is a range to discard or to zero.
type span struct {
	off, n int64
	unmap  bool
}

// ranges discards or zeroes what a request names, all of it or, where one range cannot be, nothing.
func (q *queue) ranges(r *request, buf *buffer) error {
	if q.s.export.readOnly() {
		return block.ErrReadOnly
	}
	if r.sent == 0 || r.sent%rangeSize != 0 || r.sent > maxRanges*rangeSize {
		return block.ErrOutOfRange
	}
	list := buf.get(q.s, r.sent)
	if err := copyIn(list, r.out, requestHeader); err != nil {
		return err
	}
	var all [maxRanges]span
	var total int64
	count, size := 0, q.dev.Size()
	for le := binary.LittleEndian; len(list) > 0; list = list[rangeSize:] {
		first, n, flags := le.Uint64(list), int64(le.Uint32(list[8:]))*sector, le.Uint32(list[12:])
		if flags&^rangeUnmap != 0 || r.kind == blkDiscard && flags != 0 {
			r.fail(statusUnsupp)
			return nil
		}
		if first > uint64(size/sector) || n > size-int64(first)*sector || n > maxRangeSectors*sector {
			return block.ErrOutOfRange
		}
		all[count] = span{int64(first) * sector, n, flags&rangeUnmap != 0}
		count++
		total += n
	}
	r.changed = true
	for _, s := range all[:count] {
		var err error
		switch {
		case r.kind == blkDiscard:
			err = q.dev.Trim(s.off, s.n)
		case s.unmap:
			err = q.dev.WriteZeroes(s.off, s.n)
		default:
			err = q.zeroes(s, total, buf)
		}
		if err != nil {
			return err
		}
	}
	return q.through()
}

// zeroes writes zeroes as data, where the driver wants its blocks mapped. total is what the whole request is about.
func (q *queue) zeroes(s span, total int64, buf *buffer) error {
	p := buf.get(q.s, min(s.n, pieceSize))
	clear(p)
	for at := int64(0); at < s.n; at += int64(len(p)) {
		if err := q.giveUp(total); err != nil {
			return err
		}
		if _, err := q.dev.WriteAt(p[:min(s.n-at, pieceSize)], s.off+at); err != nil {
			return err
		}
	}
	return nil
}
