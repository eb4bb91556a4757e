package faultfs

import "tintype/internal/vfs"

type file struct {
	fs    *FS
	inner vfs.File
	name  string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	return ask(f.fs, Read, "read", f.name, func() (int, error) { return f.inner.ReadAt(p, off) })
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	hit, err := f.fs.before(Write, "write", f.name)
	if err == nil {
		return f.inner.WriteAt(p, off)
	}
	if !hit.Short {
		return 0, err
	}
	n, _ := f.inner.WriteAt(p[:len(p)/2], off) // The fault's error is the one to tell of.
	return n, err
}

func (f *file) Close() error {
	_, err := f.fs.before(Close, "close", f.name)
	if closed := f.inner.Close(); closed != nil {
		return closed
	}
	return err
}

func (f *file) Size() (int64, error) {
	return ask(f.fs, Size, "stat", f.name, f.inner.Size)
}

func (f *file) Sync() error { return f.sync("sync", f.inner.Sync) }

func (f *file) SyncData() error { return f.sync("fdatasync", f.inner.SyncData) }

func (f *file) sync(op string, work func() error) error {
	_, err := f.fs.before(Sync, op, f.name)
	if err == nil {
		return work()
	}
	if inner, ok := f.inner.(interface{ FailSync() }); ok {
		inner.FailSync()
	}
	return err
}

func (f *file) Truncate(size int64) error {
	return f.fs.call(Truncate, "truncate", f.name, func() error { return f.inner.Truncate(size) })
}

func (f *file) Allocate(off, n int64) error {
	return f.fs.call(Allocate, "allocate", f.name, func() error { return f.inner.Allocate(off, n) })
}

func (f *file) Punch(off, n int64) error {
	return f.fs.call(Punch, "punch", f.name, func() error { return f.inner.Punch(off, n) })
}
