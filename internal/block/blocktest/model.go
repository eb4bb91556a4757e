package blocktest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"tintype/internal/block"
)

// model is what a device must look like: its bytes, and for each block whether it may be mapped.
type model struct {
	t      *testing.T
	dev    block.Device
	rng    *rand.Rand
	want   []byte
	mayMap []bool
}

func newModel(t *testing.T, dev block.Device, seed uint64) *model {
	size := dev.Size()
	return &model{
		t: t, dev: dev, rng: rand.New(rand.NewPCG(seed, uint64(size))),
		want: make([]byte, size), mayMap: make([]bool, blocks(size)),
	}
}

func blocks(size int64) int64 { return (size + block.BlockSize - 1) / block.BlockSize }

func allTrue(size int) []bool {
	b := make([]bool, blocks(int64(size)))
	for i := range b {
		b[i] = true
	}
	return b
}

func (m *model) run(steps int) {
	m.t.Helper()
	for range steps {
		m.step()
		if m.t.Failed() {
			m.t.Fatalf("repeat with: go test -run '%s'", m.t.Name())
		}
	}
	m.checkRead(0, int64(len(m.want)))
	m.checkExtents(0, int64(len(m.want)))
}

func (m *model) step() {
	off, n := m.span()
	switch p := m.rng.IntN(100); {
	case p < 40:
		m.write(off, n)
	case p < 50:
		m.trim(off, n)
	case p < 60:
		m.writeZeroes(off, n)
	case p < 65:
		m.must("Flush", m.dev.Flush())
	case p < 75:
		m.checkExtents(off, n)
	default:
		m.checkRead(off, n)
	}
}

// span picks a range: of whole blocks, of whole sectors, or ragged; mostly short, now and then the whole device.
func (m *model) span() (off, n int64) {
	size := int64(len(m.want))
	if m.rng.IntN(50) == 0 {
		return 0, size
	}
	unit := []int64{1, block.SectorSize, block.SectorSize, block.BlockSize}[m.rng.IntN(4)]
	limit := []int64{2 * block.BlockSize, 64 << 10, size}[m.rng.IntN(3)]
	off = m.rng.Int64N(size) / unit * unit
	n = m.rng.Int64N(min(limit, size-off)+1) / unit * unit
	return off, n
}

func (m *model) write(off, n int64) {
	p := make([]byte, n)
	if m.rng.IntN(8) > 0 { // else zeroes, which a store may recognise
		fill(p, m.rng.Uint64())
	}
	sent := bytes.Clone(p)
	if b, ok := m.dev.(block.Bulk); ok && m.rng.IntN(4) == 0 {
		m.must("WriteBulk", writeErr(bulk{b}, p, off))
	} else {
		m.must("WriteAt", writeErr(m.dev, p, off))
	}
	if !bytes.Equal(p, sent) {
		m.t.Errorf("WriteAt(%d bytes at %d) changed the caller's buffer", n, off)
	}
	fill(p, 99) // the device may not keep the buffer
	copy(m.want[off:], sent)
	m.touch(off, n)
}

func (m *model) touch(off, n int64) {
	for b := off / block.BlockSize; b < blocks(off+n) && n > 0; b++ {
		m.mayMap[b] = true
	}
}

func (m *model) writeZeroes(off, n int64) {
	m.must("WriteZeroes", m.dev.WriteZeroes(off, n))
	m.touch(off, n)
	clear(m.want[off : off+n])
	m.free(off, n)
}

// free notes that the whole blocks of a range must not be mapped any more.
func (m *model) free(off, n int64) (first, last int64) {
	first, last = blocks(off), (off+n)/block.BlockSize
	for b := first; b < last; b++ {
		m.mayMap[b] = false
	}
	return first, last
}

// trim leaves the device a choice at the ragged edges: the old bytes or zeroes. What it chose is what it must keep.
func (m *model) trim(off, n int64) {
	m.must("Trim", m.dev.Trim(off, n))
	got := make([]byte, n)
	m.must("ReadAt", readErr(m.dev, got, off))
	first, last := m.free(off, n)
	for i, b := range got {
		at := off + int64(i)
		whole := at/block.BlockSize >= first && at/block.BlockSize < last
		if b != 0 && (whole || b != m.want[at]) {
			m.t.Errorf("after Trim(%d, %d) the byte at %d is %#x, was %#x", off, n, at, b, m.want[at])
			return
		}
		m.want[at] = b
	}
}

func (m *model) checkRead(off, n int64) {
	m.t.Helper()
	got := make([]byte, n)
	fill(got, 7)
	m.must("ReadAt", readErr(m.dev, got, off))
	if i := firstDifference(got, m.want[off:off+n]); i >= 0 {
		m.t.Errorf("ReadAt(%d bytes at %d): byte %d is %#x, want %#x", n, off, off+int64(i), got[i], m.want[off+int64(i)])
	}
}

func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

func (m *model) checkExtents(off, n int64) {
	m.t.Helper()
	next := off
	err := m.dev.Extents(off, n, func(e block.Extent) bool {
		if e.Off != next || e.Len <= 0 || e.Len > off+n-e.Off {
			m.t.Errorf("Extents(%d, %d): %+v after %d", off, n, e, next)
			return false
		}
		next = e.Off + e.Len
		return m.checkExtent(e)
	})
	m.must("Extents", err)
	if !m.t.Failed() && next != off+n {
		m.t.Errorf("Extents(%d, %d) ended at %d", off, n, next)
	}
}

func (m *model) checkExtent(e block.Extent) bool {
	end := e.Off + e.Len
	if !e.Data {
		if len(bytes.Trim(m.want[e.Off:end], "\x00")) > 0 {
			m.t.Errorf("extent %+v has no data, but bytes in it are not zero", e)
			return false
		}
		return true
	}
	for b := e.Off / block.BlockSize; b < blocks(end); b++ {
		if !m.mayMap[b] {
			m.t.Errorf("extent %+v has data, but block %d was freed or never written", e, b)
			return false
		}
	}
	return true
}

func (m *model) must(what string, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
}

// fill writes bytes that tell their place, none of them zero.
func fill(p []byte, seed uint64) {
	x := seed*0x9E3779B97F4A7C15 + 1
	for i := range p {
		if i%8 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		p[i] = byte(x>>(i%8*8)) | 1
	}
}
