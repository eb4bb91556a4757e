package vhost

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// ring is a split virtqueue in the guest's memory (virtio 1.2, 2.7). The guest may change any of it at any time: whatever is
// used twice is copied first. Its methods touch the guest's memory, so they are called under guard.
type ring struct {
	num      uint16 // a power of two
	desc     []byte
	avail    []byte
	used     []byte
	eventIdx bool
}

// newRing finds a ring in memory.
func newRing(m *memory, a vringAddr, num uint16, eventIdx bool) (ring, error) {
	r := ring{num: num, eventIdx: eventIdx}
	var err error
	for _, part := range []struct {
		to    *[]byte
		addr  uint64
		size  int
		align uintptr
	}{
		{&r.desc, a.desc, descSize * int(num), 16},
		{&r.avail, a.avail, 6 + 2*int(num), 2},
		{&r.used, a.used, 6 + 8*int(num), 4},
	} {
		if *part.to, err = m.user(part.addr, uint64(part.size)); err != nil {
			return ring{}, err
		}
		if uintptr(unsafe.Pointer(unsafe.SliceData(*part.to)))%part.align != 0 {
			return ring{}, broken("a ring at %#x", part.addr)
		}
	}
	return r, nil
}

// load16 reads two aligned bytes that another processor may be writing. There is no atomic operation for two bytes: it reads
// the aligned four that they are part of, which lie in the same page.
func load16(p *byte) uint16 {
	at := unsafe.Pointer(p)
	odd := uintptr(at) & 3
	word := atomic.LoadUint32((*uint32)(unsafe.Add(at, -int(odd))))
	return uint16(word >> (odd * 8))
}

func (r *ring) availIdx() uint16          { return load16(&r.avail[2]) }
func (r *ring) availHead(i uint16) uint16 { return load16(&r.avail[4+2*int(i&(r.num-1))]) }
func (r *ring) usedIdx() uint16           { return load16(&r.used[2]) }

// quiet tells whether the guest wants no interrupts.
func (r *ring) quiet() bool { return load16(&r.avail[0])&availNoInterrupt != 0 }

// usedEvent is the place in the used ring at which the guest wants its next interrupt.
func (r *ring) usedEvent() uint16 { return load16(&r.avail[4+2*int(r.num)]) }

// put makes a used element, which the guest sees once the index is published.
func (r *ring) put(i, head uint16, written uint32) {
	e := r.used[4+8*int(i&(r.num-1)):]
	binary.LittleEndian.PutUint32(e, uint32(head))
	binary.LittleEndian.PutUint32(e[4:], written)
}

// publish shows the guest n more used elements.
func (r *ring) publish(n uint16) {
	// The index is the upper half of a word whose lower half, the flags, somebody else may be changing.
	atomic.AddUint32(r.usedWord(), uint32(n)<<16)
}

func (r *ring) usedWord() *uint32 { return (*uint32)(unsafe.Pointer(&r.used[0])) }

// want asks the guest to tell of requests, or not to while we look for them anyway. After want(true, idx) nothing that comes at
// idx goes unnoticed, if availIdx is looked at once more.
func (r *ring) want(kicks bool, idx uint16) {
	switch {
	case r.eventIdx && !kicks: // the guest goes by the index that it was told last
	case r.eventIdx:
		*(*uint16)(unsafe.Pointer(&r.used[4+8*int(r.num)])) = idx
		var fence atomic.Uint32
		fence.Swap(1) // the index must be there before availIdx is read
	case kicks:
		atomic.AndUint32(r.usedWord(), ^uint32(usedNoNotify))
	default:
		atomic.OrUint32(r.usedWord(), usedNoNotify)
	}
}

// passed tells whether event lies among the indices from before to after, after not included (virtio 1.2, 2.7.7.2).
func passed(event, before, after uint16) bool {
	return after-event-1 < after-before
}
