package lsd

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// passingFS notes what of its segments is begun to be written and forgotten, in ranges. It stands for a system whose memory is written
// at once.
type passingFS struct {
	wrapFS
	mu        sync.Mutex
	begun     map[passingRange]bool
	forgotten int64
	wrong     []passingRange // forgotten without having been begun
}

type passingRange struct {
	name   string
	off, n int64
}

type passingFile struct {
	vfs.File
	fs   *passingFS
	name string
}

func newPassingFS() *passingFS {
	fs := &passingFS{begun: map[passingRange]bool{}}
	fs.wrapFS = wrapFS{vfs.OS(), func(f vfs.File, name string) vfs.File {
		if strings.HasSuffix(name, segmentSuffix) {
			return passingFile{f, fs, name}
		}
		return f
	}}
	return fs
}

func (f passingFile) BeginWrite(off, n int64) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.begun[passingRange{f.name, off, n}] = true
	f.File.(vfs.Lazy).BeginWrite(off, n)
}

func (f passingFile) Forget(off, n int64) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	r := passingRange{f.name, off, n}
	if !f.fs.begun[r] || n == 0 {
		f.fs.wrong = append(f.fs.wrong, r)
	}
	f.fs.forgotten += n
	f.File.(vfs.Lazy).Forget(off, n)
}

// settled waits until the disk has nothing passing to take care of, and tells how much was forgotten since it was asked last.
func (fs *passingFS) settled(t *testing.T, d *disk) int64 {
	for busy := true; busy; time.Sleep(time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
		d.mu.Lock()
		busy = d.log.passing.busy
		d.mu.Unlock()
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.forgotten
	fs.forgotten = 0
	if len(fs.wrong) > 0 {
		t.Errorf("forgotten without being on the way to the media: %v", fs.wrong)
	}
	return n
}

// TestPassing writes in bulk, in a stream and as guests do, with flushes between: only the first two leave memory, all but the last of
// them, and all reads as it was written, after a restart too.
func TestPassing(t *testing.T) {
	const size, part = 160 << 20, 40 << 20
	fs, dir := newPassingFS(), t.TempDir()
	opt := Options{SegmentSlots: 2048, Keys: &KeyRing{Current: Key{1}}}
	store, err := Open(fs, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	if err := store.Create(id, size); err != nil {
		t.Fatal(err)
	}
	v, err := store.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	d := v.(*handle).disk
	want := make([]byte, size)

	writePart(t, v, want[:part], 0, false, 8)
	writePart(t, v, want[:part], 0, false, 64) // long writes here and there are no stream
	if n := fs.settled(t, d); n > 0 {
		t.Errorf("%d bytes that were written as guests do were forgotten", n)
	}
	writePart(t, v, want[part:2*part], part, true, 300)
	if n := fs.settled(t, d); n < part/8 || n > part+part/8 {
		t.Errorf("%d of %d bytes written in bulk were forgotten", n, part)
	}
	stream := want[2*part:]
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(stream) // it never fails
	for off := 0; off < len(stream); off += 1 << 20 {
		if _, err := v.WriteAt(stream[off:off+1<<20], int64(2*part+off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := fs.settled(t, d); n < part || n > 2*part+part/8 {
		t.Errorf("%d of %d bytes written in a stream were forgotten", n, 2*part)
	}
	read := func() {
		t.Helper()
		got := make([]byte, size)
		if _, err := v.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("not what was written, %v", err)
		}
	}
	read()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = Open(vfs.OS(), dir, opt); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if v, err = store.OpenVolume(id); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	read()
}

// writePart writes a part of a disk, from 0 on in order in bulk and elsewhere as guests do, in pieces of up to so many blocks, and reads
// some of them at once.
func writePart(t *testing.T, d block.Device, want []byte, at int64, bulk bool, blocks int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(at), uint64(blocks)))
	source := rand.NewChaCha8([32]byte{byte(blocks)})
	for done := 0; done < len(want); {
		off, n := done, min(len(want)-done, (1+rng.IntN(blocks))*block.BlockSize)
		if !bulk {
			off = rng.IntN((len(want)-n)/block.BlockSize+1) * block.BlockSize
		}
		p := want[off : off+n]
		_, _ = source.Read(p) // it never fails
		write := block.WriteBulk
		if !bulk {
			write = block.Device.WriteAt
		}
		_, err := write(d, p, at+int64(off))
		if err == nil && rng.IntN(64) == 0 {
			err = d.Flush()
		}
		got := make([]byte, n)
		if err == nil && rng.IntN(16) == 0 {
			if _, err = d.ReadAt(got, at+int64(off)); !bytes.Equal(got, p) {
				t.Fatalf("%d bytes at %d are not what was written", n, at+int64(off))
			}
		}
		if err != nil {
			t.Fatalf("%d bytes at %d: %v", n, at+int64(off), err)
		}
		done += n
	}
}

func TestStream(t *testing.T) {
	var s stream
	note := func(lba uint64, n int, want bool) {
		t.Helper()
		if got := s.note(lba, n); got != want {
			t.Errorf("%d blocks at %d: %v", n, lba, got)
		}
	}
	const far = 10 * streamReach / block.BlockSize
	for i := range uint64(streamReads) {
		note(i^1*256, 256, false) // not quite in order
		note(far, leafBlocks-1, false)
	}
	note(streamReads*256, 256, true)
	note(far*7, 1, false) // a short one ends nothing
	note((streamReads+2)*256, leafBlocks, true)
	note(far, 256, false)
	note(0, 256, false)
	for i := range uint64(3 * streamReads) {
		note(far+i%2*far, 256, false)
	}
}
