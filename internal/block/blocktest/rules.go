package blocktest

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"tintype/internal/block"
)

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func testEmpty(t *testing.T, dev block.Device) {
	if dev.ReadOnly() {
		t.Error("ReadOnly() = true for a writable device")
	}
	if dev.Size() != 1<<20 {
		t.Errorf("Size() = %d, want %d", dev.Size(), 1<<20)
	}
	m := newModel(t, dev, 0)
	m.checkRead(0, 1<<20)
	m.checkExtents(0, 1<<20)
	m.checkExtents(4096, 0)
	for what, err := range map[string]error{
		"Flush": dev.Flush(), "empty ReadAt": readErr(dev, nil, 512), "empty WriteAt": writeErr(dev, nil, 512),
		"empty Trim": dev.Trim(512, 0), "empty WriteZeroes": dev.WriteZeroes(512, 0),
	} {
		m.must(what, err)
	}
	m.checkExtents(0, 1<<20)
}

// testBounds asks for ranges outside the device, some of which overflow when their end is computed. Each must be
// refused and change nothing.
func testBounds(t *testing.T, dev block.Device) {
	size := dev.Size()
	m := newModel(t, dev, 0)
	m.write(size-8192, 8192)
	m.write(0, 8192)
	for _, off := range []int64{-1, -512, -4096, math.MinInt64, size - 511, size - 4095, size, size + 1, size + 4096, math.MaxInt64, math.MaxInt64 - 4095, math.MaxInt64 - 511} {
		p := make([]byte, 4096)
		wantErr(t, "ReadAt", readErr(dev, p, off), block.ErrOutOfRange)
		wantErr(t, "WriteAt", writeErr(dev, p, off), block.ErrOutOfRange)
	}
	type span struct{ off, n int64 }
	for _, s := range []span{
		{-1, 1},
		{-4096, 8192},
		{math.MinInt64, math.MaxInt64},
		{0, -1},
		{4096, -4096},
		{size - 1, 2},
		{size, 1},
		{0, size + 1},
		{4096, size},
		{0, math.MaxInt64},
		{1, math.MaxInt64},
		{4096, math.MaxInt64 - 100},
		{math.MaxInt64, 1},
		{math.MaxInt64, math.MaxInt64},
		{math.MaxInt64 - 4096, 8192},
		{0, math.MinInt64},
	} {
		wantErr(t, "Trim", dev.Trim(s.off, s.n), block.ErrOutOfRange)
		wantErr(t, "WriteZeroes", dev.WriteZeroes(s.off, s.n), block.ErrOutOfRange)
		wantErr(t, "Extents", dev.Extents(s.off, s.n, func(e block.Extent) bool {
			t.Errorf("Extents(%d, %d) yields %+v", s.off, s.n, e)
			return false
		}), block.ErrOutOfRange)
	}
	m.checkRead(0, size)
	m.checkExtents(0, size)
}

// testLargest reaches the far end of the largest device, and asks for all its extents, which must not take a walk
// over every block.
func testLargest(t *testing.T, dev block.Device) {
	places := []int64{0, 1<<32 - 2048, 40<<40 + 512, block.MaxSize - 4096}
	for i, off := range places {
		p := make([]byte, 4096)
		fill(p, uint64(i))
		if err := writeErr(dev, p, off); err != nil {
			t.Fatal(err)
		}
	}
	for i, off := range places {
		want, got := make([]byte, 4096), make([]byte, 4096)
		fill(want, uint64(i))
		if err := readErr(dev, got, off); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("at %d: wrong bytes, error %v", off, err)
		}
	}
	var end, data int64
	if err := dev.Extents(0, block.MaxSize, func(e block.Extent) bool {
		if e.Off != end {
			t.Errorf("extent %+v after %d", e, end)
		}
		end = e.Off + e.Len
		if e.Data {
			data += e.Len
		}
		return !t.Failed()
	}); err != nil {
		t.Fatal(err)
	}
	if end != block.MaxSize || data < 4*4096 || data > 6*4096 {
		t.Errorf("extents end at %d with %d bytes of data", end, data)
	}
	if err := dev.WriteZeroes(0, block.MaxSize); err != nil {
		t.Fatal(err)
	}
	if err := dev.Extents(0, block.MaxSize, func(e block.Extent) bool {
		if e.Data {
			t.Errorf("extent %+v after all was zeroed", e)
		}
		return !e.Data
	}); err != nil {
		t.Fatal(err)
	}
}

func testStoppedExtents(t *testing.T, dev block.Device) {
	m := newModel(t, dev, 0)
	for off := int64(0); off < 1<<20; off += 64 << 10 {
		m.write(off, 4096)
	}
	calls := 0
	m.must("Extents", dev.Extents(0, 1<<20, func(block.Extent) bool {
		calls++
		return calls < 2
	}))
	if calls != 2 {
		t.Errorf("yield was called %d times, want 2: it returned false then", calls)
	}
}

// testFreed checks that whole blocks go and ragged edges of WriteZeroes are zero.
func testFreed(t *testing.T, dev block.Device) {
	for _, free := range []func(m *model, off, n int64){(*model).trim, (*model).writeZeroes} {
		for _, off := range []int64{0, 1, 511, 512, 4095, 4096} {
			for _, end := range []int64{4096, 4097, 8191, 8192, 8704, dev.Size()} {
				m := newModel(t, dev, uint64(off+end))
				m.write(0, dev.Size())
				free(m, off, max(end-off, 0))
				m.checkRead(0, dev.Size())
				m.checkExtents(0, dev.Size())
			}
		}
	}
}

// testDisjoint runs a model a goroutine, each in a range of its own that shares its border blocks with its neighbours.
func testDisjoint(t *testing.T, dev block.Device) {
	const parts = 8
	part := dev.Size() / parts / 512 * 512
	want := make([]byte, dev.Size())
	var wg sync.WaitGroup
	for i := range int64(parts) {
		// An odd number of sectors in from each side, so that neighbours meet inside a block.
		off, end := i*part+i*512, (i+1)*part+(i+1)*512
		end = min(end, dev.Size())
		wg.Go(func() { churn(t, dev, want[off:end], off, uint64(i)) })
	}
	wg.Wait()
	got := make([]byte, len(want))
	if err := readErr(dev, got, 0); err != nil {
		t.Fatal(err)
	}
	if i := firstDifference(got, want); i >= 0 {
		t.Errorf("byte %d is %#x, want %#x", i, got[i], want[i])
	}
}

// churn writes, zeroes and reads in [base, base+len(want)) only, whose content is want.
func churn(t *testing.T, dev block.Device, want []byte, base int64, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	for range 200 {
		off := rng.Int64N(int64(len(want)))
		n := rng.Int64N(min(int64(len(want))-off, 20000) + 1)
		p := make([]byte, n)
		var err error
		switch rng.IntN(4) {
		case 0:
			err = dev.WriteZeroes(base+off, n)
			clear(want[off : off+n])
		case 1:
			if err = readErr(dev, p, base+off); err == nil && !bytes.Equal(p, want[off:off+n]) {
				t.Errorf("%d bytes at %d changed under their only writer", n, base+off)
			}
		default:
			fill(p, rng.Uint64())
			copy(want[off:], p)
			err = writeErr(dev, p, base+off)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// testSectors writes the eight sectors of one block from eight goroutines at once: every one must survive.
func testSectors(t *testing.T, dev block.Device) {
	const sectors = block.BlockSize / block.SectorSize
	want := make([]byte, dev.Size())
	for round := range uint64(100) {
		base := int64(round) % (dev.Size() / block.BlockSize) * block.BlockSize
		var wg sync.WaitGroup
		for i := range int64(sectors) {
			p := want[base+i*block.SectorSize:][:block.SectorSize]
			fill(p, round<<8+uint64(i))
			wg.Go(func() {
				if err := writeErr(dev, p, base+i*block.SectorSize); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := make([]byte, block.BlockSize)
		if err := readErr(dev, got, base); err != nil {
			t.Fatal(err)
		}
		if i := firstDifference(got, want[base:base+block.BlockSize]); i >= 0 {
			t.Fatalf("round %d: a sector's write was lost at byte %d of the block", round, i)
		}
	}
}

// testMixed calls everything at once; what is checked is that nothing fails, and that a sector holds what one of its
// writers wrote. Trim and WriteZeroes count as writers of zeroes.
func testMixed(t *testing.T, dev block.Device) {
	var wg sync.WaitGroup
	for i := range uint64(6) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(i, 11))
			for range 150 {
				if err := mixedStep(dev, rng, byte(i+1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	p := make([]byte, block.SectorSize)
	for off := int64(0); off < dev.Size(); off += block.SectorSize {
		if err := readErr(dev, p, off); err != nil {
			t.Fatal(err)
		}
		if len(bytes.Trim(p, string(p[:1]))) > 0 || p[0] > 6 {
			t.Fatalf("the sector at %d is a mixture: % x…", off, p[:16])
		}
	}
}

func mixedStep(dev block.Device, rng *rand.Rand, mark byte) error {
	off := rng.Int64N(dev.Size()/512) * 512
	n := min(dev.Size()-off, rng.Int64N(64)*512)
	switch rng.IntN(6) {
	case 0:
		return dev.Flush()
	case 1:
		return dev.Trim(off, n)
	case 2:
		return dev.WriteZeroes(off, n)
	case 3:
		return dev.Extents(off, n, func(block.Extent) bool { return true })
	case 4:
		return readErr(dev, make([]byte, n), off)
	default:
		return writeErr(dev, bytes.Repeat([]byte{mark}, int(n)), off)
	}
}
