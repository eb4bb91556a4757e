package scratchfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
	"tintype/internal/vfs/scratchfs"
	"tintype/internal/vfs/vfstest"
)

func scratch(t *testing.T, below vfs.FS, dir string) *scratchfs.FS {
	t.Helper()
	f, err := scratchfs.New(below, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestConforms(t *testing.T) {
	vfstest.Run(t, scratch(t, crashfs.New(1), "/"), "/some/where")
}

func TestConformsOnOS(t *testing.T) {
	dir := t.TempDir()
	vfstest.Run(t, scratch(t, vfs.OS(), dir), dir)
}

// TestNothingBelowChanges does random changes to a file below and to a plain copy of it in memory: reads agree, and the file
// below is what it was.
func TestNothingBelowChanges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		below := crashfs.New(seed)
		if err := below.MkdirAll("d"); err != nil {
			t.Fatal(err)
		}
		was := make([]byte, r.IntN(40000))
		fill(r, was)
		put(t, below, "d/f", was)
		top := scratch(t, below, "d")
		f, err := top.OpenReadWrite("d/f")
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(was)
		for range 40 {
			off, n := r.Int64N(45000), r.IntN(9000)
			switch r.IntN(4) {
			case 0:
				err = f.Truncate(off)
				want = resized(want, int(off), false)
			case 1:
				err = f.Punch(off, int64(n))
				for i := off; i < off+int64(n) && i < int64(len(want)); i++ {
					want[i] = 0
				}
			default:
				p := make([]byte, n)
				fill(r, p)
				_, err = f.WriteAt(p, off)
				if n > 0 {
					want = resized(want, int(off)+n, true)
					copy(want[off:], p)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := all(t, top, "d/f"); !bytes.Equal(got, want) {
				t.Fatalf("seed %d: reads differ", seed)
			}
		}
		if !bytes.Equal(all(t, below, "d/f"), was) {
			t.Fatalf("seed %d: the file below has changed", seed)
		}
	}
}

func fill(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

func resized(p []byte, n int, grow bool) []byte {
	if n <= len(p) {
		if grow {
			return p
		}
		return p[:n:n]
	}
	return append(p, make([]byte, n-len(p))...)
}

func put(t *testing.T, fs vfs.FS, name string, p []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err == nil {
		_, err = f.WriteAt(p, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
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

// TestFolderThatIsClosed copies a folder in which one may not be listed: what is beside it is there, and that one as it is.
func TestFolderThatIsClosed(t *testing.T) {
	below := crashfs.New(1)
	if err := errors.Join(below.MkdirAll("d/lost+found"), below.MkdirAll("d/more")); err != nil {
		t.Fatal(err)
	}
	put(t, below, "d/more/x", []byte("hello"))
	faults := faultfs.New(below)
	faults.Inject(faultfs.Fault{Kinds: faultfs.List, Err: fs.ErrPermission, Sticky: true, Name: func(name string) bool {
		return name == "d/lost+found"
	}})
	f := scratch(t, faults, "d")
	if got := all(t, f, "d/more/x"); string(got) != "hello" {
		t.Errorf("read %q", got)
	}
	if _, err := f.List("d/lost+found"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("list: %v", err)
	}
	faults.Inject(faultfs.Fault{Kinds: faultfs.List, Err: fs.ErrPermission, Sticky: true})
	if _, err := scratchfs.New(faults, "d"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a folder that may not be listed itself: %v", err)
	}
}
