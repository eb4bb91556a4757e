package crashfs

import (
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"

	"tintype/internal/vfs"
)

// file is an open file of one life of the machine.
type file struct {
	fs       *FS
	node     *node
	name     string
	writable bool
	closed   atomic.Bool
}

func (f *FS) handle(n *node, name string, writable bool) *file {
	n.handles++
	return &file{fs: f, node: n, name: name, writable: writable}
}

// state tells why an operation cannot be; the caller holds the lock.
func (f *file) state(write bool) error {
	switch {
	case f.fs.disk == nil:
		return ErrCrashed
	case f.closed.Load():
		return fs.ErrClosed
	case write && !f.writable:
		return syscall.EBADF
	}
	return nil
}

func (f *file) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

// change runs an operation that writes, alone.
func (f *file) change(op string, off, n int64, work func(d *disk, lot uint64) error) error {
	if err := vfs.CheckRange(op, f.name, off, n); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.state(true)
	if err == nil {
		f.node.writes++
		err = work(f.fs.disk, mix(f.fs.seed, f.node.id))
	}
	return f.failed(op, err)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := vfs.CheckRange("read", f.name, off, int64(len(p))); err != nil {
		return 0, err
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.state(false); err != nil {
		return 0, f.failed("read", err)
	}
	n := int(max(0, min(int64(len(p)), f.node.size-off)))
	f.node.read(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ReadCached has every other 64 KiB in memory, so that callers meet both.
func (f *file) ReadCached(p []byte, off int64) (done, begun bool) {
	if off>>16&1 == 1 {
		return false, true
	}
	_, err := f.ReadAt(p, off)
	return err == nil, false
}

// Advise does nothing: a simulated disk is as fast as its memory.
func (f *file) Advise(int64, int64) {}

// Gather implements vfs.Cached.
func (f *file) Gather(int64, int64) {}

var _ vfs.Cached = (*file)(nil)

func (f *file) WriteAt(p []byte, off int64) (wrote int, err error) {
	err = f.change("write", off, int64(len(p)), func(d *disk, lot uint64) error {
		c := &f.node.content
		for len(p) > 0 {
			index, at := off/pageSize, int(off%pageSize)
			n := min(len(p), pageSize-at)
			if err := d.reserve(c, index); err != nil {
				return err
			}
			c.write(lot, index, at, n, p[:n])
			p, off, wrote = p[n:], off+int64(n), wrote+n
			c.size = max(c.size, off)
		}
		return nil
	})
	return wrote, err
}

// reserve takes room for a page that has none.
func (d *disk) reserve(c *content, index int64) error {
	if c.takenAt(index) {
		return nil
	}
	if d.total-d.used < pageSize {
		return syscall.ENOSPC
	}
	c.take(index)
	d.used += pageSize
	return nil
}

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.state(false); err != nil {
		return f.failed("close", err)
	}
	f.closed.Store(true)
	f.node.handles--
	f.fs.release(f.node)
	return nil
}

func (f *file) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.state(false); err != nil {
		return 0, f.failed("stat", err)
	}
	return f.node.size, nil
}

// Sync is allowed on a handle that only reads, as the system allows it.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.state(false); err != nil {
		return f.failed("sync", err)
	}
	f.node.sync()
	return nil
}

// SyncData is Sync: the metadata that is not data's own is not kept at all.
func (f *file) SyncData() error { return f.Sync() }

// FailSync is a sync that fails. As on Linux the pages count as clean from then
// on: a later sync succeeds without making them durable, unless they were written
// again. Package faultfs calls it.
func (f *file) FailSync() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.state(false) == nil {
		f.node.failSync()
	}
}

func (f *file) Truncate(size int64) error {
	return f.change("truncate", size, 0, func(d *disk, lot uint64) error {
		d.used -= f.node.truncate(lot, size)
		return nil
	})
}

// truncate returns the bytes of room that it freed.
func (c *content) truncate(lot uint64, size int64) (freed int64) {
	if size < c.size {
		freed = c.zeroFrom(lot, size)
	}
	c.size = size
	return freed
}

// Allocate takes all of the room or none.
func (f *file) Allocate(off, n int64) error {
	return f.change("allocate", off, n, func(d *disk, _ uint64) error {
		if n == 0 {
			return nil
		}
		c := &f.node.content
		if n > d.total-d.used+c.room() { // Bounds the walk below.
			return syscall.ENOSPC
		}
		first, last := off/pageSize, (off+n-1)/pageSize
		var more int64
		for index := first; index <= last; index++ {
			if !c.takenAt(index) {
				more += pageSize
			}
		}
		if more > d.total-d.used {
			return syscall.ENOSPC
		}
		for index := first; index <= last; index++ {
			c.take(index)
		}
		d.used += more
		c.size = max(c.size, off+n)
		return nil
	})
}

func (f *file) Punch(off, n int64) error {
	return f.change("punch", off, n, func(d *disk, lot uint64) error {
		c := &f.node.content
		d.used -= c.zero(lot, off, min(n, c.size-off))
		return nil
	})
}

// flip inverts a bit everywhere.
func (c *content) flip(off int64) {
	index, at := off/pageSize, off%pageSize
	pg := c.pages[index]
	if pg == nil {
		pg = new(page)
		c.pages[index] = pg
	}
	pg.now = pg.now.own()
	pg.now.data[at] ^= 1
	if pg.dirty != 0 {
		pg.disk = pg.disk.own()
		pg.disk.data[at] ^= 1
	}
}

// lock is a locked file; closing it gives the lock back.
type lock struct{ *file }

func (l lock) Close() error {
	if err := l.file.Close(); err != nil {
		return err
	}
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.disk != nil {
		delete(l.fs.locks, l.node)
	}
	return nil
}
