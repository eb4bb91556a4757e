package vhost

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

// coldDevice answers no read at once.
type coldDevice struct{ block.Device }

// warmDevice has some reads at hand.
type warmDevice struct{ block.Device }

func (d warmDevice) ReadCached(p []byte, off int64) (done, begun bool) {
	if off%8192 != 0 {
		return false, true
	}
	_, err := d.ReadAt(p, off)
	return err == nil, false
}

// TestModel has random requests done, many at a time, laid out at random, with every mix of ring features, and compares the disk
// with an array of bytes.
func TestModel(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			m := &diskModel{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), want: make([]byte, 3<<20+5*sector)}
			var dev block.Device = blocktest.NewMem(int64(len(m.want)))
			if seed%3 == 0 {
				dev = warmDevice{dev}
			} else {
				dev = coldDevice{dev}
			}
			_, path := startServer(t, dev, false)
			f := newFrontEnd(t, path)
			features := featureFlush | featureDiscard | featureWriteZeroes
			if seed&1 != 0 {
				features |= featureEventIdx
			}
			if seed&2 != 0 {
				features |= featureIndirect
			}
			if seed&4 != 0 {
				features &^= featureFlush
			}
			f.setUp(features)
			if seed&8 != 0 {
				f.keepFlights(4, 256)
			}
			for range 1 + seed%3 {
				m.queues = append(m.queues, f.addQueue(64<<(seed%3), features))
				m.queues[len(m.queues)-1].start()
			}
			m.f, m.floor = f, f.next
			for range 150 {
				m.round()
			}
			got := make([]byte, len(m.want))
			if _, err := dev.ReadAt(got, 0); err != nil || !bytes.Equal(got, m.want) {
				t.Fatalf("the disk is not what was written: %v", err)
			}
		})
	}
}

type diskModel struct {
	t      *testing.T
	rnd    *rand.Rand
	f      *frontEnd
	queues []*driver
	want   []byte
	floor  uint64
}

// expected is a request under way, and what must come of it.
type expected struct {
	kind   blockCommand
	r      *blkRequest
	off, n int64
	want   []byte // of a read
	bad    byte   // the status that it must have
}

// round sends requests for disjoint parts of the disk, waits for all, and looks at what they say.
func (m *diskModel) round() {
	m.f.next = m.floor
	if m.rnd.IntN(3) == 0 { // so that buffers lie across the border of the two files
		m.f.next = guestBase + fileSize - m.rnd.Uint64N(200<<10)
	}
	d := m.queues[m.rnd.IntN(len(m.queues))]
	waiting := map[uint16]expected{}
	slices := 1 + m.rnd.IntN(6)
	part := len(m.want) / sector / slices
	for i := range slices {
		x := m.request(d, int64(i*part), int64(part))
		if len(d.free) < len(x.r.pieces) {
			continue
		}
		m.apply(&x)
		waiting[d.add(x.r.pieces, x.r.table)] = x
		if m.rnd.IntN(3) == 0 {
			d.notify()
		}
	}
	d.notify()
	for len(waiting) > 0 {
		a := d.wait()
		x, ok := waiting[a.head]
		if !ok {
			m.t.Fatalf("an answer for %d, which was not asked for", a.head)
		}
		delete(waiting, a.head)
		m.check(x, a)
	}
}

// request makes a request for something within sectors [from, from+n).
func (m *diskModel) request(d *driver, from, n int64) expected {
	first := from + m.rnd.Int64N(n)
	count := m.rnd.Int64N(min(n-(first-from), 300) + 1)
	if m.rnd.IntN(2) == 0 { // whole blocks
		first, count = min((first+7)/8*8, from+n), count/8*8
		count = min(count, from+n-first)
	}
	x := expected{off: first * sector, n: count * sector}
	switch m.rnd.IntN(12) {
	case 0, 1, 2, 3:
		x.kind, x.r = blkIn, d.lay(m.rnd, blkIn, uint64(first), nil, uint64(x.n))
	case 4, 5, 6, 7:
		data := make([]byte, x.n)
		for i := range data {
			data[i] = byte(m.rnd.Uint32())
		}
		x.kind, x.r, x.want = blkOut, d.lay(m.rnd, blkOut, uint64(first), data, 0), data
	case 8:
		x.kind, x.r = blkFlush, d.lay(m.rnd, blkFlush, 0, nil, 0)
	case 9, 10:
		x.kind = blkWriteZeroes
		if m.rnd.IntN(2) == 0 {
			x.kind = blkDiscard
			// What ragged edges keep is the device's affair.
			first, count = min((first+7)/8*8, from+n), count/8*8
			count = min(count, (from+n-first)/8*8)
			x.off, x.n = first*sector, count*sector
		}
		half := count / 2 / 8 * 8
		x.r = d.lay(m.rnd, x.kind, 0, append(rangeBody(first, half, m.flags(x.kind)), rangeBody(first+half, count-half, m.flags(x.kind))...), 0)
	default:
		m.bad(d, &x)
	}
	return x
}

func (m *diskModel) flags(kind blockCommand) uint32 {
	if kind == blkDiscard {
		return 0
	}
	return m.rnd.Uint32N(2)
}

func rangeBody(first, n int64, flags uint32) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(first))
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return binary.LittleEndian.AppendUint32(b, flags)
}

// bad makes a request that must fail and do nothing.
func (m *diskModel) bad(d *driver, x *expected) {
	size := uint64(len(m.want) / sector)
	x.bad, x.kind = statusIOError, blkFlush
	switch m.rnd.IntN(7) {
	case 0:
		x.r = d.lay(m.rnd, blkIn, size-1, nil, 2*sector)
	case 1:
		x.r = d.lay(m.rnd, blkOut, size, bytesOf(1, sector), 0)
	case 2:
		x.r = d.lay(m.rnd, blkOut, 1<<63, bytesOf(1, sector), 0)
	case 3:
		x.r = d.lay(m.rnd, blkOut, 0, bytesOf(1, sector-1), 0)
	case 4:
		x.r = d.lay(m.rnd, blkDiscard, 0, rangeBody(int64(size)-1, 2, 0), 0)
	case 5:
		x.r = d.lay(m.rnd, blkWriteZeroes, 0, append(rangeBody(0, 8, 0), rangeBody(-1, 1, 0)...), 0)
	case 6:
		x.bad = statusUnsupp
		x.r = d.lay(m.rnd, blockCommand(77), 0, nil, 10)
	}
}

// apply does to the model what a request does to the disk.
func (m *diskModel) apply(x *expected) {
	if x.bad != 0 {
		return
	}
	part := m.want[x.off : x.off+x.n]
	switch x.kind {
	case blkIn:
		x.want = bytes.Clone(part)
	case blkOut:
		copy(part, x.want)
	case blkDiscard, blkWriteZeroes:
		clear(part)
	}
}

func (m *diskModel) check(x expected, a answer) {
	m.t.Helper()
	if got := x.r.status(m.f); got != x.bad {
		m.t.Fatalf("%v of %d at %d: status %d instead of %d", x.kind, x.n, x.off, got, x.bad)
	}
	written := uint32(1)
	if x.kind == blkIn && x.bad == 0 {
		written = uint32(x.n) + 1
		if !bytes.Equal(x.r.data(m.f), x.want) {
			m.t.Fatalf("%d bytes at %d are not what was written", x.n, x.off)
		}
	}
	if a.written != written {
		m.t.Fatalf("%v of %d: %d bytes are said to be written", x.kind, x.n, a.written)
	}
}
