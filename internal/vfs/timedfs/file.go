package timedfs

import (
	"sync/atomic"

	"tintype/internal/vfs"
)

// file is an open file in a folder that may hang.
type file struct {
	vfs.File
	fs   *FS
	in   *folder
	name string

	closing atomic.Bool // in its own time
}

func (f *file) try(op string, do func() error) error {
	_, err := within(f.fs, f.in, op, f.name, func() (struct{}, error) { return struct{}{}, do() }, nil)
	return err
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	b := buffer(len(p))
	n, err := within(f.fs, f.in, "read", f.name, func() (int, error) { return f.File.ReadAt(*b, off) }, func(int, error) { buffers.Put(b) })
	if !given(err) {
		copy(p, (*b)[:n])
		buffers.Put(b)
	}
	return n, err
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	b := buffer(len(p))
	copy(*b, p)
	n, err := within(f.fs, f.in, "write", f.name, func() (int, error) { return f.File.WriteAt(*b, off) }, func(int, error) { buffers.Put(b) })
	if !given(err) {
		buffers.Put(b)
	}
	return n, err
}

// Close implements vfs.File. A file in a folder that hangs is closed in its own time.
func (f *file) Close() error {
	err := f.try("close", f.File.Close)
	if given(err) && !f.closing.Swap(true) {
		f.in.pending.Add(1)
		go func() {
			_ = f.File.Close() // or again: then it says that it is closed
			f.in.pending.Add(-1)
		}()
	}
	return err
}

// Size implements vfs.File.
func (f *file) Size() (int64, error) {
	return within(f.fs, f.in, "stat", f.name, f.File.Size, nil)
}

// Sync implements vfs.File.
func (f *file) Sync() error { return f.try("sync", f.File.Sync) }

// SyncData implements vfs.File.
func (f *file) SyncData() error { return f.try("sync", f.File.SyncData) }

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	return f.try("truncate", func() error { return f.File.Truncate(size) })
}

// Allocate implements vfs.File.
func (f *file) Allocate(off, n int64) error {
	return f.try("allocate", func() error { return f.File.Allocate(off, n) })
}

// Punch implements vfs.File.
func (f *file) Punch(off, n int64) error {
	return f.try("punch", func() error { return f.File.Punch(off, n) })
}

// ReadCached implements vfs.Cached: it waits for nothing by itself.
func (f *file) ReadCached(p []byte, off int64) (done, begun bool) {
	if c, ok := f.File.(vfs.Cached); ok {
		return c.ReadCached(p, off)
	}
	return false, false
}

// Advise implements vfs.Cached.
func (f *file) Advise(off, n int64) {
	if c, ok := f.File.(vfs.Cached); ok {
		c.Advise(off, n)
	}
}

var _ vfs.Cached = (*file)(nil)

// Gather implements vfs.Cached.
func (f *file) Gather(off, n int64) {
	if c, ok := f.File.(vfs.Cached); ok {
		_ = f.try("gather", func() error { c.Gather(off, n); return nil }) // it promises nothing
	}
}

// BeginWrite implements vfs.Lazy.
func (f *file) BeginWrite(off, n int64) {
	if l, ok := f.File.(vfs.Lazy); ok {
		_ = f.try("begin write", func() error { l.BeginWrite(off, n); return nil }) // it promises nothing
	}
}

// Forget implements vfs.Lazy: it waits for nothing by itself.
func (f *file) Forget(off, n int64) {
	if l, ok := f.File.(vfs.Lazy); ok {
		l.Forget(off, n)
	}
}
