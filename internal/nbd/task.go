package nbd

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"tintype/internal/block"
)

const (
	// holeRead is the shortest read that is worth asking the device where its holes are.
	holeRead = inlineRead
	// minHole is the shortest hole that is worth a chunk of its own.
	minHole = 16 << 10
	// zeroPiece is how much is written at once where zeroes must be written.
	zeroPiece = 1 << 20
	// cachePiece is how much is read at once for a client that asks to have it read.
	cachePiece = 1 << 20
)

// task is a request in the hands of a worker, and then its reply.
type task struct {
	request request
	cost    int64   // taken from the connection's allowance
	payload *[]byte // data to write, or room for data read; nil where there is none
	head    []byte  // heads of the reply
	parts   [][]byte
	began   time.Time // when it is timed
}

// tasks lends out tasks.
type tasks struct{ pool sync.Pool }

func (p *tasks) get() *task {
	if k, ok := p.pool.Get().(*task); ok {
		return k
	}
	return &task{head: make([]byte, 0, 128), parts: make([][]byte, 0, 4)}
}

// put takes a task back, without what a large reply made it grow to.
func (p *tasks) put(k *task) {
	clear(k.parts)
	if cap(k.parts) > 64 || cap(k.head) > 4096 {
		return
	}
	*k = task{head: k.head[:0], parts: k.parts[:0]}
	p.pool.Put(k)
}

// execute does a task and sends its reply. Nothing is sent before the device has said how it went.
func (t *transmission) execute(k *task) {
	r := k.request
	switch r.kind {
	case cmdRead:
		t.read(k)
	case cmdBlockStatus:
		t.blockStatus(k)
	default:
		err := t.change(k)
		k.head = appendResult(k.head, t.errno(err, r), r, t.choice.structured)
		k.parts = append(k.parts, k.head)
	}
	// An error here is the connection's end, which its reader meets too.
	_ = t.out.send(t.done(k))
}

// done is the reply of a task that the device is through with.
func (t *transmission) done(k *task) message {
	t.underWay.Add(-1)
	if !k.began.IsZero() {
		w := t.srv.opt.Watch
		w.Took(k.request.command(), w.Now().Sub(k.began))
	}
	return message{parts: k.parts, task: k}
}

// change does what has no data to return.
func (t *transmission) change(k *task) error {
	r := k.request
	off, n := int64(r.off), int64(r.n)
	var err error
	switch r.kind {
	case cmdWrite:
		_, err = t.dev.WriteAt(*k.payload, off)
	case cmdTrim:
		err = t.dev.Trim(off, n)
	case cmdWriteZeroes:
		err = t.writeZeroes(off, n, r.flags&cmdFlagNoHole != 0)
	case cmdCache:
		return t.cache(off, n)
	}
	if r.kind != cmdFlush {
		t.changed.Store(true)
	}
	if err == nil && (r.kind == cmdFlush || r.flags&cmdFlagFUA != 0) {
		err = t.dev.Flush()
	}
	return err
}

// writeZeroes writes zeroes as data where the client wants its blocks mapped.
func (t *transmission) writeZeroes(off, n int64, mapped bool) error {
	if !mapped {
		return t.dev.WriteZeroes(off, n)
	}
	zeroes := t.srv.buffers.get(int(min(n, zeroPiece)))
	defer t.srv.buffers.put(zeroes)
	clear(*zeroes)
	for n > 0 {
		p := (*zeroes)[:min(n, zeroPiece)]
		if _, err := t.dev.WriteAt(p, off); err != nil {
			return err
		}
		if t.gone.Load() {
			return block.ErrClosed
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// cache reads a range for the sake of the device's own cache.
func (t *transmission) cache(off, n int64) error {
	p := t.srv.buffers.get(int(min(n, cachePiece)))
	defer t.srv.buffers.put(p)
	for n > 0 {
		piece := (*p)[:min(n, cachePiece)]
		if _, err := t.dev.ReadAt(piece, off); err != nil {
			return err
		}
		if t.gone.Load() {
			return block.ErrClosed
		}
		off, n = off+int64(len(piece)), n-int64(len(piece))
	}
	return nil
}

// read answers with the data whole, or with chunks of data and holes.
func (t *transmission) read(k *task) {
	r := k.request
	var err error
	switch {
	case !t.choice.structured || r.flags&cmdFlagDF != 0 || r.n < holeRead:
		_, err = t.dev.ReadAt(*k.payload, int64(r.off))
		t.found(k)
	default:
		err = t.readSparse(k)
	}
	if err != nil {
		k.head = appendResult(k.head[:0], t.errno(err, r), r, t.choice.structured)
		k.parts = append(k.parts[:0], k.head)
	}
}

// found makes the reply of a read whose data is in its payload, all in one.
func (t *transmission) found(k *task) {
	r := k.request
	if t.choice.structured {
		k.head = appendData(k.head, chunkDone, r.cookie, int64(r.off), int(r.n))
	} else {
		k.head = appendSimple(k.head, errnoNone, r.cookie)
	}
	k.parts = append(k.parts, k.head, *k.payload)
}

// readSparse reads only where there is data, and a hole too short to be worth telling.
func (t *transmission) readSparse(k *task) error {
	r := k.request
	pieces, err := t.pieces(int64(r.off), int64(r.n))
	if err != nil {
		return err
	}
	// The heads get their place first: parts point into it, so it must not move.
	k.head = slices.Grow(k.head, len(pieces)*(chunkHeaderSize+12))
	for i, p := range pieces {
		flags := uint16(0)
		if i == len(pieces)-1 {
			flags = chunkDone
		}
		from := len(k.head)
		if !p.Data {
			k.head = appendHole(k.head, flags, r.cookie, p.Off, uint32(p.Len))
			k.parts = append(k.parts, k.head[from:])
			continue
		}
		data := (*k.payload)[p.Off-int64(r.off):][:p.Len]
		if _, err := t.dev.ReadAt(data, p.Off); err != nil {
			return err
		}
		k.head = appendData(k.head, flags, r.cookie, p.Off, len(data))
		k.parts = append(k.parts, k.head[from:], data)
	}
	return nil
}

// pieces are the extents of a range, without holes shorter than minHole, so that they are few.
func (t *transmission) pieces(off, n int64) ([]block.Extent, error) {
	var all []block.Extent
	err := t.dev.Extents(off, n, func(e block.Extent) bool {
		e.Data = e.Data || e.Len < minHole
		if last := len(all) - 1; last >= 0 && all[last].Data == e.Data {
			all[last].Len += e.Len
		} else {
			all = append(all, e)
		}
		return true
	})
	return all, err
}

// blockStatus answers with the descriptors of every context that was selected, as many as fit.
func (t *transmission) blockStatus(k *task) {
	r := k.request
	most := max(1, maxDescriptors/len(t.choice.contexts))
	if r.flags&cmdFlagReqOne != 0 {
		most = 1
	}
	for i, c := range t.choice.contexts {
		found, err := t.status(c, int64(r.off), int64(r.n), most)
		if err != nil {
			k.head = appendResult(k.head[:0], t.errno(err, r), r, true)
			break
		}
		flags := uint16(0)
		if i == len(t.choice.contexts)-1 {
			flags = chunkDone
		}
		k.head = appendStatus(k.head, flags, r.cookie, c.id, found)
	}
	k.parts = append(k.parts, k.head)
}

// descriptor is a range, which follows the one before it, and what a context says of it.
type descriptor struct {
	n     int64
	state uint32
}

// descriptors gathers at most most of them.
type descriptors struct {
	all  []descriptor
	most int
}

// add reports false when there is no room for what it was given.
func (d *descriptors) add(n int64, state uint32) bool {
	last := len(d.all) - 1
	switch {
	case n == 0:
	case last >= 0 && d.all[last].state == state:
		d.all[last].n += n
	case len(d.all) == d.most:
		return false
	default:
		d.all = append(d.all, descriptor{n, state})
	}
	return true
}

// status asks the device for a context's descriptors of a range, from its start.
func (t *transmission) status(c metaContext, off, n int64, most int) ([]descriptor, error) {
	d := descriptors{all: make([]descriptor, 0, 16), most: most}
	if c.older == nil {
		err := t.dev.Extents(off, n, func(e block.Extent) bool {
			if e.Data {
				return d.add(e.Len, 0)
			}
			return d.add(e.Len, stateHole|stateZero)
		})
		return d.all, err
	}
	// Add has seen to it that the device is a Comparer.
	at, more := off, true
	err := t.dev.(block.Comparer).Compare(c.older, off, n, func(e block.Extent) bool {
		more = d.add(e.Off-at, c.clean) && d.add(e.Len, c.dirty)
		at = e.Off + e.Len
		return more && !t.gone.Load()
	})
	if err == nil && t.gone.Load() {
		err = block.ErrClosed
	}
	if more {
		d.add(off+n-at, c.clean)
	}
	return d.all, err
}

func appendStatus(b []byte, flags uint16, cookie uint64, context uint32, found []descriptor) []byte {
	b = appendChunk(b, flags, chunkBlockStatus, cookie, 4+8*len(found))
	b = binary.BigEndian.AppendUint32(b, context)
	for _, d := range found {
		b = binary.BigEndian.AppendUint32(b, uint32(d.n))
		b = binary.BigEndian.AppendUint32(b, d.state)
	}
	return b
}
