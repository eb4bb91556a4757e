package lsd

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// lateFS takes its time before it writes zeroes.
type lateFS struct{ vfs.FS }

type lateFile struct{ vfs.File }

func (l lateFS) Create(name string) (vfs.File, error) {
	f, err := l.FS.Create(name)
	return lateFile{f}, err
}

func (l lateFile) WriteAt(p []byte, off int64) (int, error) {
	if !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) {
		time.Sleep(5 * time.Millisecond)
	}
	return l.File.WriteAt(p, off)
}

// TestWrittenAhead flushes little by little while others write: what is written ahead of the log must lie ahead of it, and
// overwrite nothing.
func TestWrittenAhead(t *testing.T) {
	s, err := Open(lateFS{vfs.OS()}, t.TempDir()+"/engine", Options{Keys: &KeyRing{Current: Key{1}}})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 400
	id := uuid.New()
	if err := s.Create(id, writers*each*block.BlockSize); err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			p := make([]byte, block.BlockSize)
			for i := range each {
				n := w*each + i
				binary.LittleEndian.PutUint64(p, uint64(n))
				_, err := d.WriteAt(p, int64(n)*block.BlockSize)
				if err == nil && w == 0 {
					err = d.Flush()
				} else if err == nil {
					err = d.(block.Settler).Settle()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	h := d.(*handle)
	h.mu.Lock()
	used, even := h.log.slot, h.log.seg.even
	h.mu.Unlock()
	if even <= used {
		t.Errorf("%d slots are written ahead, %d are used", even, used)
	}
	p := make([]byte, block.BlockSize)
	for n := range writers * each {
		if _, err := d.ReadAt(p, int64(n)*block.BlockSize); err != nil || binary.LittleEndian.Uint64(p) != uint64(n) {
			t.Fatalf("block %d reads %d, error %v", n, binary.LittleEndian.Uint64(p), err)
		}
	}
	if err := errors.Join(d.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
