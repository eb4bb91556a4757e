package lsd

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// gatherFS notes what is gathered of its files, which it then takes for in memory.
type gatherFS struct {
	wrapFS
	mu     sync.Mutex
	ranges map[string][][2]int64
}

func newGatherFS() *gatherFS {
	fs := &gatherFS{ranges: map[string][][2]int64{}}
	fs.wrapFS = wrapFS{vfs.OS(), func(f vfs.File, name string) vfs.File {
		c, ok := f.(vfs.Cached)
		if !ok {
			return f
		}
		return struct {
			vfs.File
			noter
		}{f, noter{c, fs, name}}
	}}
	return fs
}

type noter struct {
	c    vfs.Cached
	fs   *gatherFS
	name string
}

func (n noter) ReadCached(p []byte, off int64) (bool, bool) { return n.c.ReadCached(p, off) }
func (n noter) Advise(off, l int64)                         { n.c.Advise(off, l) }
func (n noter) Gather(off, l int64) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.fs.ranges[n.name] = append(n.fs.ranges[n.name], [2]int64{off, off + l})
	n.c.Gather(off, l)
}

// bytes is how much was gathered, and whether any of it twice in the same file.
func (fs *gatherFS) total() (n int64, twice bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, ranges := range fs.ranges {
		slices.SortFunc(ranges, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		for i, r := range ranges {
			n += r[1] - r[0]
			twice = twice || i > 0 && ranges[i-1][1] > r[0]
		}
	}
	return n, twice
}

func (fs *gatherFS) longest() (n int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, ranges := range fs.ranges {
		for _, r := range ranges {
			n = max(n, r[1]-r[0])
		}
	}
	return n
}

// TestLookAhead reads a disk from its beginning to its end: what was written in order is gathered before, once; what was written here and
// there is not; nor is what is read here and there.
func TestLookAhead(t *testing.T) {
	const size = 48 << 20
	for name, x := range map[string]struct {
		scattered, stream bool
	}{"in order": {false, true}, "scattered": {true, true}, "jumps": {false, false}} {
		t.Run(name, func(t *testing.T) {
			fs := newGatherFS()
			s := openTest(t, fs, t.TempDir()+"/engine", Options{Keys: &KeyRing{Current: Key{1}}, SegmentSlots: 2048})
			id := uuid.New()
			mustDo(t, s.Create(id, size))
			d := mustOpen(t, s, id)
			p := make([]byte, 1<<20)
			for i := range size >> 20 {
				if !x.scattered {
					_, err := d.WriteAt(fill(p, byte(i+1)), int64(i)<<20)
					mustDo(t, err)
				}
			}
			for i := 0; x.scattered && i < size/block.BlockSize; i++ {
				lba := int64(i) * 5003 % (size / block.BlockSize)
				_, err := d.WriteAt(fill(p[:block.BlockSize], byte(lba>>8+1)), lba*block.BlockSize)
				mustDo(t, err)
			}
			mustDo(t, d.Flush())
			got := make([]byte, len(p))
			for i := range size >> 20 {
				at := i
				if !x.stream {
					at = i * 29 % (size >> 20)
				}
				_, err := d.ReadAt(got, int64(at)<<20)
				mustDo(t, err)
				if !bytes.Equal(got, fill(p, byte(at+1))) {
					t.Fatalf("MiB %d is not what was written", at)
				}
			}
			mustDo(t, d.Close()) // after which nobody looks ahead any more
			n, twice := fs.total()
			if twice {
				t.Error("gathered twice")
			}
			if most := fs.longest(); most > 4<<20 {
				t.Errorf("%d MiB were gathered in one go", most>>20)
			}
			if want := x.stream && !x.scattered; want != (n > size/2) || !want && n > 0 {
				t.Errorf("%d MiB of %d were gathered", n>>20, size>>20)
			}
		})
	}
}

func fill(p []byte, b byte) []byte {
	for i := range p {
		p[i] = b
	}
	return p
}

func TestStretches(t *testing.T) {
	ents := func(all ...position) (list []entry) {
		for _, p := range all {
			list = append(list, entry{seg: p.seg(), slot: uint16(p.slot())})
		}
		return list
	}
	for _, x := range []struct {
		ents []entry
		want []position
	}{
		{nil, nil},
		{ents(at(3, 1), at(3, 2), at(3, 511)), []position{at(3, 0)}},
		{ents(at(3, 511), at(3, 512), at(4, 1), at(3, 2)), []position{at(3, 0), at(3, 512), at(4, 0)}},
		{ents(at(1, 0), at(2, 0), at(3, 0), at(4, 0), at(5, 0)), nil},
	} {
		if got := stretches(x.ents); !slices.Equal(got, x.want) {
			t.Errorf("%v: %v, want %v", x.ents, got, x.want)
		}
	}
}

// TestLookAheadOfPieces reads a disk in order that was written in pieces in any order: where it is larger than the memory no more is gathered
// for it than a little, where it fits nothing twice.
func TestLookAheadOfPieces(t *testing.T) {
	const size, piece = 64 << 20, 64 << 10
	for name, x := range map[string]struct {
		memory, most int64
	}{"too large": {size / 2, 2 * size}, "fits": {2 * size, 2 * size}} {
		t.Run(name, func(t *testing.T) {
			fs := newGatherFS()
			s := openTest(t, fs, t.TempDir()+"/engine", Options{Keys: &KeyRing{Current: Key{1}}, SegmentSlots: 2048, Memory: x.memory})
			id := uuid.New()
			mustDo(t, s.Create(id, size))
			d := mustOpen(t, s, id)
			p := make([]byte, 1<<20)
			for i := range size / piece {
				at := int64(i) * 389 % (size / piece)
				_, err := d.WriteAt(fill(p[:piece], byte(at>>4+1)), at*piece)
				mustDo(t, err)
			}
			mustDo(t, d.Flush())
			got := make([]byte, len(p))
			for i := range size >> 20 {
				_, err := d.ReadAt(got, int64(i)<<20)
				mustDo(t, err)
				if !bytes.Equal(got, fill(p, byte(i+1))) {
					t.Fatalf("MiB %d is not what was written", i)
				}
			}
			mustDo(t, d.Close())
			n, twice := fs.total()
			t.Logf("%d MiB of %d were gathered", n>>20, size>>20)
			if n > x.most || x.memory > size && (twice || n < size/2) {
				t.Errorf("%d MiB of %d were gathered, twice: %v", n>>20, size>>20, twice)
			}
		})
	}
}

// TestLookAheadAfterClose has a read look ahead that was under way when its handle was closed.
func TestLookAheadAfterClose(t *testing.T) {
	fs := newGatherFS()
	s := openTest(t, fs, t.TempDir()+"/engine", Options{Keys: &KeyRing{Current: Key{1}}})
	id := uuid.New()
	mustDo(t, s.Create(id, 64<<20))
	d := mustOpen(t, s, id)
	p := make([]byte, 1<<20)
	for i := range 32 {
		_, err := d.WriteAt(p, int64(i)<<20)
		mustDo(t, err)
	}
	mustDo(t, d.Flush(), d.Close())
	h := d.(*handle)
	for i := range streamReads {
		h.ahead.note(int64(i)<<20, 1<<20, true)
	}
	h.lookAhead()
	h.ahead.settle()
	if n, _ := fs.total(); n > 0 {
		t.Errorf("%d MiB were gathered for a handle that is closed", n>>20)
	}
}
