package crashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
)

const (
	sector  = 512
	maxSize = 16 << 10
)

// history is a file and what it may hold after a power cut: versions[0] is what
// was synced, the last what was done to it last.
type history struct {
	*testing.T
	rng      *rand.Rand
	fs       *crashfs.FS
	file     vfs.File
	versions [][]byte
	seen     map[string]int
}

// TestCrashKeepsWhatWasSynced compares random histories of a file with a model
// that keeps every version since the last sync.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			h := newHistory(t, seed, seen)
			for range 150 {
				h.step()
			}
		})
	}
	// Without these the test would prove little.
	for _, what := range []string{"kept", "lost", "between", "torn", "short", "long", "grown"} {
		if seen[what] == 0 {
			t.Errorf("no crash left anything %s: %v", what, seen)
		}
	}
}

func newHistory(t *testing.T, seed uint64, seen map[string]int) *history {
	h := &history{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), fs: crashfs.New(seed),
		versions: [][]byte{nil}, seen: seen,
	}
	f, err := h.fs.Create("f")
	h.ok(err)
	h.file = f
	h.ok(h.fs.SyncDir("/"))
	return h
}

func (h *history) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *history) last() []byte { return h.versions[len(h.versions)-1] }

func (h *history) step() {
	off, n := h.rng.Int64N(maxSize), 1+h.rng.Int64N(6000)
	if h.rng.IntN(2) == 0 {
		off, n = off/4096*4096, (n+4095)/4096*4096
	}
	switch h.rng.IntN(20) {
	case 0:
		h.ok(h.file.Sync())
		h.versions = [][]byte{h.last()}
	case 1:
		h.ok(h.file.SyncData())
		h.versions = [][]byte{h.last()}
	case 2:
		h.crash()
	case 3:
		fsys := h.fs
		h.fs = fsys.Restart()
		h.reopen(fsys)
		h.ok(same(h.content(), h.last()))
	case 4:
		h.fork()
	case 5:
		h.ok(h.file.Truncate(off))
		h.versions = append(h.versions, extended(h.last()[:min(off, int64(len(h.last())))], off))
	case 6:
		h.ok(h.file.Allocate(off, n))
		h.versions = append(h.versions, extended(h.last(), off+n))
	case 7:
		h.ok(h.file.Punch(off, n))
		next := bytes.Clone(h.last())
		clear(next[min(off, int64(len(next))):min(off+n, int64(len(next)))])
		h.versions = append(h.versions, next)
	default:
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(h.rng.Uint32())
		}
		_, err := h.file.WriteAt(p, off)
		h.ok(err)
		next := extended(h.last(), off+n)
		copy(next[off:], p)
		h.versions = append(h.versions, next)
	}
}

// extended returns a copy of b that is at least size long.
func extended(b []byte, size int64) []byte {
	out := make([]byte, max(size, int64(len(b))))
	copy(out, b)
	return out
}

func (h *history) crash() {
	old := h.fs
	h.fs = old.Crash()
	h.reopen(old)
	h.check(h.content())
	h.versions = [][]byte{h.content()}
}

// fork looks at a crash that the history does not suffer.
func (h *history) fork() {
	fork := h.fs.AfterCrash()
	f, err := fork.OpenReadWrite("f")
	h.ok(err)
	h.check(read(h.T, f))
	_, err = f.WriteAt(make([]byte, maxSize), 0)
	h.ok(err)
	h.ok(same(h.content(), h.last()))
}

func (h *history) reopen(old *crashfs.FS) {
	if _, err := h.file.ReadAt(make([]byte, 1), 0); !errors.Is(err, crashfs.ErrCrashed) {
		h.Fatalf("an old handle answered %v", err)
	}
	if _, err := old.Open("f"); !errors.Is(err, crashfs.ErrCrashed) {
		h.Fatalf("an old file system answered %v", err)
	}
	f, err := h.fs.OpenReadWrite("f")
	h.ok(err)
	h.file = f
}

func (h *history) content() []byte { return read(h.T, h.file) }

func read(t *testing.T, f vfs.File) []byte {
	t.Helper()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, size)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func same(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("%d bytes differ from the %d bytes last written", len(got), len(want))
}

// check holds what a crash left against the versions.
func (h *history) check(got []byte) {
	h.Helper()
	synced, last := int64(len(h.versions[0])), int64(len(h.last()))
	size := int64(len(got))
	switch {
	case synced == last && size == last:
	case size == synced:
		h.seen["short"]++
	case size == last:
		h.seen["long"]++
	case size > synced && size < last:
		h.seen["grown"]++
	default:
		h.Fatalf("size %d, synced %d, last %d", size, synced, last)
	}
	for off := int64(0); off < size; off += sector {
		what := h.sector(got[off:min(off+sector, size)], off)
		if what == "" {
			h.Fatalf("sector at %d holds what it never had", off)
		}
		h.seen[what]++
	}
}

// sector says where a sector's content is from.
func (h *history) sector(got []byte, off int64) string {
	had := make([][]byte, len(h.versions))
	for i, v := range h.versions {
		had[i] = extended(v, off+sector)[off : off+int64(len(got))]
	}
	last := had[len(had)-1]
	switch {
	case bytes.Equal(got, last) && bytes.Equal(got, had[0]):
		return "unchanged"
	case bytes.Equal(got, last):
		return "kept"
	case bytes.Equal(got, had[0]):
		return "lost"
	}
	keep := 0
	for keep < len(got) && got[keep] == last[keep] {
		keep++
	}
	for _, v := range had {
		if bytes.Equal(got, v) {
			return "between"
		}
		if bytes.Equal(got[keep:], v[keep:]) {
			return "torn"
		}
	}
	return ""
}

func TestFlip(t *testing.T) {
	fsys := crashfs.New(1)
	f, err := fsys.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("synced"), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), fsys.SyncDir("/"), fsys.Flip("f", 2)); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, f)); got != "syoced" {
		t.Errorf("got %q before the crash", got)
	}
	f, err = fsys.Crash().Open("f")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, f)); got != "syoced" {
		t.Errorf("got %q after the crash", got)
	}
	if err := fsys.Flip("f", 6); err == nil {
		t.Error("flipped a bit behind the end")
	}
}

func TestFull(t *testing.T) {
	const page = 4096
	fsys := crashfs.New(1)
	f, err := fsys.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	fsys.SetFree(10 * page)
	free := func(pages int64) {
		t.Helper()
		space, err := fsys.Space("/")
		if err != nil {
			t.Fatal(err)
		}
		if want := (vfs.Space{Free: pages * page, Total: 10 * page}); space != want {
			t.Fatalf("got %+v, want %+v", space, want)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	full := func(err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v, want ENOSPC", err)
		}
	}
	full(f.Allocate(0, 11*page))
	free(10)
	ok(f.Allocate(page, 7*page))
	free(3)
	n, err := f.WriteAt(make([]byte, 12*page), 0) // 0 is new, 1-7 reserved, 8 and 9 fit.
	full(err)
	if n != 10*page {
		t.Fatalf("wrote %d bytes", n)
	}
	free(0)
	ok(f.Punch(100, 3*page)) // Two whole pages.
	free(2)
	full(f.Allocate(0, 13*page))
	ok(f.Truncate(4*page + 1))
	free(7)
	ok(fsys.Rename("f", "g"))
	free(7)
	ok(fsys.Remove("g"))
	free(7)
	ok(f.Close())
	free(10)
	if _, err := fsys.Open("g"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestFullAfterCrash: a removal that was lost takes its room again.
func TestFullAfterCrash(t *testing.T) {
	for seed := range uint64(50) {
		fsys := crashfs.New(seed)
		f, err := fsys.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Allocate(0, 1<<20), f.Sync(), f.Close(), fsys.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		fsys.SetFree(1 << 20)
		if err := fsys.Remove("f"); err != nil {
			t.Fatal(err)
		}
		fsys = fsys.Crash()
		want := int64(2 << 20)
		if _, err := fsys.Stat("f"); err == nil {
			want = 1 << 20
		}
		if space, err := fsys.Space("/"); err != nil || space.Free != want {
			t.Fatalf("seed %d: got %+v, %v, want %d free", seed, space, err, want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, err := crashfs.New(1).Create("f")
			if err != nil {
				b.Fatal(err)
			}
			p := make([]byte, size)
			b.SetBytes(int64(size))
			for i := range b.N {
				if _, err := f.WriteAt(p, int64(i)*int64(size)%(256<<20)); err != nil {
					b.Fatal(err)
				}
				if i%64 == 63 {
					if err := f.SyncData(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkAfterCrash(b *testing.B) {
	fsys := crashfs.New(1)
	f, err := fsys.Create("f")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 64<<20), 0); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(f.Sync(), fsys.SyncDir("/")); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		fsys.AfterCrash()
	}
}
