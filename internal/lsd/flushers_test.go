package lsd

import (
	"errors"
	"path"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// heldFS has each sync of a segment tell that it has begun, and wait to be told how it ends.
type heldFS struct {
	vfs.FS
	begun chan struct{}
	end   chan error
}

type heldFile struct {
	vfs.File
	fs heldFS
}

func (h heldFS) Create(name string) (vfs.File, error) {
	f, err := h.FS.Create(name)
	if path.Ext(name) != segmentSuffix || err != nil {
		return f, err
	}
	return heldFile{f, h}, nil
}

func (h heldFile) SyncData() error {
	h.fs.begun <- struct{}{}
	return errors.Join(<-h.fs.end, h.File.SyncData())
}

// TestFlushersShareTheNextSync has four flushes come while a sync for another is under way: one sync is to serve them all, and none of them
// may end before it, or well when it fails.
func TestFlushersShareTheNextSync(t *testing.T) {
	for _, broken := range []error{nil, errors.New("broken")} {
		fsys := heldFS{vfs.OS(), make(chan struct{}), make(chan error)}
		s, err := Open(fsys, t.TempDir()+"/engine", Options{Manual: true})
		if err != nil {
			t.Fatal(err)
		}
		id := uuid.New()
		if err := s.Create(id, 16*block.BlockSize); err != nil {
			t.Fatal(err)
		}
		v, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		d := v.(*handle).disk
		flush := func(n int64, done chan<- error) {
			_, err := v.WriteAt(make([]byte, block.BlockSize), n*block.BlockSize)
			done <- errors.Join(err, v.Flush())
		}
		first, others := make(chan error, 1), make(chan error, 4)
		go flush(0, first)
		<-fsys.begun
		for n := range int64(4) {
			go flush(n+1, others)
		}
		for waiting := 0; waiting < 4; time.Sleep(time.Millisecond) {
			d.mu.Lock()
			waiting = len(d.log.flushers)
			d.mu.Unlock()
		}
		fsys.end <- nil
		<-fsys.begun
		if err := <-first; err != nil {
			t.Error(err)
		}
		if len(others) > 0 {
			t.Errorf("%d flushes ended before their sync", len(others))
		}
		fsys.end <- broken
		for range 4 {
			if err := <-others; !errors.Is(err, broken) {
				t.Errorf("a flush whose sync ended with %v: %v", broken, err)
			}
		}
		go func() { // syncs of the end
			for range fsys.begun {
				fsys.end <- nil
			}
		}()
		if err := errors.Join(v.Close(), s.Close()); err != nil && broken == nil {
			t.Error(err)
		}
		close(fsys.begun)
	}
}
