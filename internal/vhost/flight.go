package vhost

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flightArea describes the memory in which requests under way are written down, for all queues.
type flightArea struct {
	size, offset uint64
	queues       uint16
	queueSize    uint16
}

const (
	flightHeader = 16
	flightEntry  = 16
	flightAlign  = 64

	flightVersion = 8
	flightNum     = 10
	flightLast    = 12
	flightUsed    = 14
)

// each is how many bytes one queue has.
func (a flightArea) each() uint64 {
	return (flightHeader + flightEntry*uint64(a.queueSize) + flightAlign - 1) / flightAlign * flightAlign
}

func (a flightArea) body() []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, a.size)
	b = le.AppendUint64(b, a.offset)
	b = le.AppendUint16(b, a.queues)
	b = le.AppendUint16(b, a.queueSize)
	return append(b, 0, 0, 0, 0)
}

// newFlightFile makes memory for an area, which the front end keeps when we are gone.
func newFlightFile(a flightArea) (fd int, err error) {
	fd, err = unix.MemfdCreate("tintype-inflight", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("vhost: memory for requests in flight: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(a.size)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("vhost: memory for requests in flight: %w", err)
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("vhost: memory for requests in flight: %w", err)
	}
	return fd, nil
}

// flights is an area that is mapped.
type flights struct {
	area  flightArea
	bytes []byte
	whole []byte // what was mapped
}

// openFlights maps an area; the descriptor stays the caller's.
func openFlights(a flightArea, fd int) (*flights, error) {
	if a.offset > maxMemory || a.offset%8 != 0 || a.size != a.each()*uint64(a.queues) {
		return nil, broken("%d bytes at %d for requests in flight", a.size, a.offset)
	}
	bytes, whole, err := mapShared(fd, a.offset, a.size)
	if err != nil {
		return nil, err
	}
	return &flights{area: a, bytes: bytes, whole: whole}, nil
}

// close unmaps the area: no queue may use it any more.
func (f *flights) close() {
	if f != nil {
		_ = unix.Munmap(f.whole) // only a range that is not mapped fails
	}
}

// queue is the part of the area that is a queue's, nil where there is none.
func (f *flights) queue(index int, num uint16) (*flight, error) {
	if f == nil || index >= int(f.area.queues) {
		return nil, nil
	}
	if num > f.area.queueSize {
		return nil, broken("a queue of %d, and room for %d in flight", num, f.area.queueSize)
	}
	from := uint64(index) * f.area.each()
	return &flight{b: f.bytes[from : from+f.area.each()], num: f.area.queueSize}, nil
}

// flight is where a queue writes down which requests it has taken and not answered, so that whoever carries on after us knows.
// It is shared memory: its methods are called under guard.
type flight struct {
	b       []byte
	num     uint16
	counter uint64
}

func (f *flight) entry(head uint16) []byte {
	return f.b[flightHeader+flightEntry*int(head):][:flightEntry]
}

// mark sets whether a request is under way: the first byte of an entry, before five of padding.
func (f *flight) mark(head uint16, v uint32) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&f.entry(head)[0])), v)
}

// take notes that a request was taken.
func (f *flight) take(head uint16) {
	f.counter++
	binary.LittleEndian.PutUint64(f.entry(head)[8:], f.counter)
	f.mark(head, 1)
}

// answering notes which request the next used element is about; answered follows when that can be seen.
func (f *flight) answering(head uint16) {
	le := binary.LittleEndian
	le.PutUint16(f.entry(head)[6:], le.Uint16(f.b[flightLast:]))
	le.PutUint16(f.b[flightLast:], head)
}

// answered notes that the used index is idx now.
func (f *flight) answered(head, idx uint16) {
	f.mark(head, 0)
	binary.LittleEndian.PutUint16(f.b[flightUsed:], idx)
}

// recover tells which requests were taken and not answered, in the order in which they came; fresh says that nothing had been
// written down yet. usedIdx is what the ring says.
func (f *flight) recover(usedIdx uint16) (heads []uint16, fresh bool) {
	le := binary.LittleEndian
	behind := usedIdx - le.Uint16(f.b[flightUsed:])
	if le.Uint16(f.b[flightVersion:]) != 1 || le.Uint16(f.b[flightNum:]) != f.num || behind > f.num {
		clear(f.b)
		le.PutUint16(f.b[flightVersion:], 1)
		le.PutUint16(f.b[flightNum:], f.num)
		le.PutUint16(f.b[flightUsed:], usedIdx)
		return nil, true
	}
	// What became visible just before the end was not noted as answered.
	for head := le.Uint16(f.b[flightLast:]); behind > 0 && head < f.num; behind-- {
		f.mark(head, 0)
		head = le.Uint16(f.entry(head)[6:])
	}
	le.PutUint16(f.b[flightUsed:], usedIdx)
	type waiting struct {
		head    uint16
		counter uint64
	}
	var all []waiting
	for head := range f.num {
		e := f.entry(head)
		if e[0] == 0 {
			continue
		}
		w := waiting{head, le.Uint64(e[8:])}
		f.counter = max(f.counter, w.counter)
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b waiting) int {
		return cmp.Compare(a.counter, b.counter)
	})
	for _, w := range all {
		heads = append(heads, w.head)
	}
	return heads, false
}
