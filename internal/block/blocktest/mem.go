// Package blocktest holds the suite that every block.Device must pass, and a device in memory for tests of what sits
// in front of one.
package blocktest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tintype/internal/block"
)

// leafSize is how much of the device one leaf of Mem covers: the unit of locking.
const leafSize = 1 << 20

const leafBlocks = leafSize / block.BlockSize

// Mem is a sparse device in memory. It keeps the contract of block.Device to the letter, costs memory only where data
// was written, and is fast enough that a door in front of it measures itself.
type Mem struct {
	size     atomic.Int64
	readOnly atomic.Bool
	closed   atomic.Bool

	mu     sync.RWMutex
	leaves map[int64]*leaf
}

// leaf holds the blocks of one leafSize range; nil blocks read as zeroes.
type leaf struct {
	mu     sync.RWMutex
	blocks [leafBlocks]*[block.BlockSize]byte
}

var _ block.Device = (*Mem)(nil)

// NewMem returns a device of size bytes that reads as zeroes.
func NewMem(size int64) *Mem {
	m := &Mem{leaves: make(map[int64]*leaf)}
	m.size.Store(size)
	return m
}

// Freeze makes the device read-only, as a snapshot is.
func (m *Mem) Freeze() { m.readOnly.Store(true) }

// Grow makes the device larger.
func (m *Mem) Grow(size int64) { m.size.Store(size) }

// Size implements block.Device.
func (m *Mem) Size() int64 { return m.size.Load() }

// ReadOnly implements block.Device.
func (m *Mem) ReadOnly() bool { return m.readOnly.Load() }

// Close implements block.Device; every later call fails with block.ErrClosed.
func (m *Mem) Close() error {
	if m.closed.Swap(true) {
		return block.ErrClosed
	}
	return nil
}

// Flush implements block.Device. Memory has nothing more durable than itself.
func (m *Mem) Flush() error {
	if m.closed.Load() {
		return block.ErrClosed
	}
	return nil
}

// ReadAt implements block.Device.
func (m *Mem) ReadAt(p []byte, off int64) (int, error) {
	if err := m.check(off, int64(len(p))); err != nil {
		return 0, err
	}
	n := len(p)
	m.eachLeaf(off, int64(n), func(index, start, end int64) {
		part := p[:end-start]
		p = p[end-start:]
		if l := m.leaf(index); l != nil {
			l.read(part, start)
		} else {
			clear(part)
		}
	})
	return n, nil
}

// ReadCached reads like ReadAt where no media need be waited for, which in memory is everywhere. It reports false when
// ReadAt would fail.
func (m *Mem) ReadCached(p []byte, off int64) (done, begun bool) {
	_, err := m.ReadAt(p, off)
	return err == nil, false
}

// WriteAt implements block.Device.
func (m *Mem) WriteAt(p []byte, off int64) (int, error) {
	if err := m.checkWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	n := len(p)
	m.eachLeaf(off, int64(n), func(index, start, end int64) {
		m.ensureLeaf(index).write(p[:end-start], start)
		p = p[end-start:]
	})
	return n, nil
}

// Trim implements block.Device; the ragged edges keep their bytes.
func (m *Mem) Trim(off, n int64) error { return m.zero(off, n, false) }

// WriteZeroes implements block.Device.
func (m *Mem) WriteZeroes(off, n int64) error { return m.zero(off, n, true) }

func (m *Mem) zero(off, n int64, edges bool) error {
	if err := m.checkWrite(off, n); err != nil {
		return err
	}
	for _, index := range m.present(off, n) {
		start, end := clip(index, off, n)
		m.leaf(index).zero(start, end, edges)
	}
	return nil
}

// Extents implements block.Device.
func (m *Mem) Extents(off, n int64, yield func(block.Extent) bool) error {
	if err := m.check(off, n); err != nil {
		return err
	}
	c := coalescer{yield: yield, next: block.Extent{Off: off}}
	for _, index := range m.present(off, n) {
		start, end := clip(index, off, n)
		base := index * leafSize
		if !c.add(base+start, false) {
			return nil
		}
		data := m.leaf(index).mapped()
		for at := start; at < end; {
			stop := min(end, (at/block.BlockSize+1)*block.BlockSize)
			if !c.add(base+stop, data[at/block.BlockSize]) {
				return nil
			}
			at = stop
		}
	}
	if c.add(off+n, false) {
		c.end()
	}
	return nil
}

// coalescer joins neighbouring ranges that are alike.
type coalescer struct {
	yield func(block.Extent) bool
	next  block.Extent
}

// add says that everything from what was said so far up to end is data or not.
func (c *coalescer) add(end int64, data bool) bool {
	from := c.next.Off + c.next.Len
	if end <= from {
		return true
	}
	if data != c.next.Data {
		if !c.end() {
			return false
		}
		c.next = block.Extent{Off: from, Data: data}
	}
	c.next.Len = end - c.next.Off
	return true
}

func (c *coalescer) end() bool { return c.next.Len == 0 || c.yield(c.next) }

func (m *Mem) check(off, n int64) error {
	if m.closed.Load() {
		return block.ErrClosed
	}
	size := m.size.Load()
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("%w: %d bytes at %d of %d", block.ErrOutOfRange, n, off, size)
	}
	return nil
}

func (m *Mem) checkWrite(off, n int64) error {
	if m.readOnly.Load() {
		return block.ErrReadOnly
	}
	return m.check(off, n)
}

// eachLeaf calls fn for the leaves that a range touches, with the part inside the leaf.
func (m *Mem) eachLeaf(off, n int64, fn func(index, start, end int64)) {
	for end := off + n; off < end; {
		index, start := off/leafSize, off%leafSize
		stop := min(leafSize, start+end-off)
		fn(index, start, stop)
		off += stop - start
	}
}

func clip(index, off, n int64) (start, end int64) {
	base := index * leafSize
	return max(off-base, 0), min(off+n-base, leafSize)
}

func (m *Mem) leaf(index int64) *leaf {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.leaves[index]
}

func (m *Mem) ensureLeaf(index int64) *leaf {
	if l := m.leaf(index); l != nil {
		return l
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leaves[index]
	if l == nil {
		l = new(leaf)
		m.leaves[index] = l
	}
	return l
}

// present lists the leaves that exist in a range, in order, without walking a huge hole leaf by leaf.
func (m *Mem) present(off, n int64) []int64 {
	if n == 0 {
		return nil
	}
	first, last := off/leafSize, (off+n-1)/leafSize
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []int64
	if last-first < int64(len(m.leaves)) {
		for index := first; index <= last; index++ {
			if m.leaves[index] != nil {
				found = append(found, index)
			}
		}
		return found
	}
	for index := range m.leaves {
		if index >= first && index <= last {
			found = append(found, index)
		}
	}
	slices.Sort(found)
	return found
}

func (l *leaf) read(p []byte, off int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for len(p) > 0 {
		n := min(len(p), int(block.BlockSize-off%block.BlockSize))
		if b := l.blocks[off/block.BlockSize]; b != nil {
			copy(p[:n], b[off%block.BlockSize:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

func (l *leaf) write(p []byte, off int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 {
		b := l.blocks[off/block.BlockSize]
		if b == nil {
			b = new([block.BlockSize]byte)
			l.blocks[off/block.BlockSize] = b
		}
		n := copy(b[off%block.BlockSize:], p)
		p, off = p[n:], off+int64(n)
	}
}

// zero drops the whole blocks of a range, and with edges clears what is left of it.
func (l *leaf) zero(start, end int64, edges bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for start < end {
		at := start / block.BlockSize
		stop := min(end, (at+1)*block.BlockSize)
		switch b := l.blocks[at]; {
		case stop-start == block.BlockSize:
			l.blocks[at] = nil
		case edges && b != nil:
			clear(b[start%block.BlockSize : start%block.BlockSize+stop-start])
		}
		start = stop
	}
}

func (l *leaf) mapped() (data [leafBlocks]bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i, b := range l.blocks {
		data[i] = b != nil
	}
	return data
}
