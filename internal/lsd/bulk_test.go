package lsd

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// kindsFS counts the writes of each kind to segments, and notes when both are under way.
type kindsFS struct {
	vfs.FS
	usual, bulk       atomic.Int32 // under way
	allUsual, allBulk atomic.Int64 // bytes
	mixed             atomic.Bool
}

type kindsFile struct {
	vfs.File
	fs *kindsFS
}

func (fs *kindsFS) wrap(f vfs.File, err error, name string) (vfs.File, error) {
	if err != nil || !strings.Contains(name, "seg") {
		return f, err
	}
	return kindsFile{f, fs}, nil
}

func (fs *kindsFS) Create(name string) (vfs.File, error) {
	f, err := fs.FS.Create(name)
	return fs.wrap(f, err, name)
}

func (fs *kindsFS) OpenReadWrite(name string) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name)
	return fs.wrap(f, err, name)
}

func (f kindsFile) WriteAt(p []byte, off int64) (int, error) {
	if off > 0 { // a segment's header is written before it belongs to a log
		f.fs.usual.Add(1)
		defer f.fs.usual.Add(-1)
		if f.fs.bulk.Load() > 0 {
			f.fs.mixed.Store(true)
		}
	}
	f.fs.allUsual.Add(int64(len(p)))
	return f.File.WriteAt(p, off)
}

func (f kindsFile) WriteDirect(p []byte, off int64) (int, error) {
	f.fs.bulk.Add(1)
	defer f.fs.bulk.Add(-1)
	if f.fs.usual.Load() > 0 {
		f.fs.mixed.Store(true)
	}
	f.fs.allBulk.Add(int64(len(p)))
	return vfs.WriteDirect(f.File, p, off)
}

// TestBulk has some write in bulk and others as guests do, with flushes of little and of much: the two kinds of writes are never
// under way together, those in bulk go past the system's memory, and all reads as it was written, after a restart too.
func TestBulk(t *testing.T) {
	const size, part = 16 << 20, 4 << 20
	fs, dir := &kindsFS{FS: vfs.OS()}, t.TempDir()
	opt := Options{SegmentSlots: 1024, Keys: &KeyRing{Current: Key{1}}}
	store, err := Open(fs, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	if err := store.Create(id, size); err != nil {
		t.Fatal(err)
	}
	d, err := store.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	var writers sync.WaitGroup
	for w := range size / part {
		writers.Go(func() { writePart(t, d, want[w*part:(w+1)*part], int64(w*part), w%2 == 0) })
	}
	writers.Wait()
	if fs.mixed.Load() {
		t.Error("both kinds of writes were under way together")
	}
	if usual, bulk := fs.allUsual.Load(), fs.allBulk.Load(); usual < part || bulk < part/4 {
		t.Errorf("%d bytes were written as usual, %d in bulk", usual, bulk)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = Open(vfs.OS(), dir, opt); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if d, err = store.OpenVolume(id); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got := make([]byte, size)
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not what was written, %v", err)
	}
}

// writePart writes a part of a disk in pieces, and reads some of them at once.
func writePart(t *testing.T, d block.Device, want []byte, at int64, bulk bool) {
	rng := rand.New(rand.NewPCG(uint64(at), 1))
	for off := 0; off < len(want); {
		n := min(len(want)-off, (1+rng.IntN(8))*block.BlockSize)
		if bulk {
			n = min(len(want)-off, (1+rng.IntN(300))*block.BlockSize)
		}
		p := want[off : off+n]
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		write := block.WriteBulk
		if !bulk {
			write = block.Device.WriteAt
		}
		_, err := write(d, p, at+int64(off))
		if err == nil && rng.IntN(4) == 0 {
			err = d.Flush()
		}
		got := make([]byte, n)
		if err == nil {
			_, err = d.ReadAt(got, at+int64(off))
		}
		if err != nil || !bytes.Equal(got, p) {
			t.Errorf("%d bytes at %d: %v", n, at+int64(off), err)
			return
		}
		off += n
	}
}
