package scratchfs

import (
	"io"
	"io/fs"
	"syscall"

	"tintype/internal/vfs"
)

// file is a handle.
type file struct {
	fs       *FS
	node     *node
	name     string
	writable bool
	closed   bool
}

// do runs one operation on the file's bytes, alone.
func (h *file) do(op string, work func(n *node) error) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := error(fs.ErrClosed)
	if !h.closed {
		err = work(h.node)
	}
	if err != nil && err != io.EOF {
		return &fs.PathError{Op: op, Path: h.name, Err: err}
	}
	return err
}

// change is do for what needs a handle for writing.
func (h *file) change(op string, work func(n *node) error) error {
	return h.do(op, func(n *node) error {
		if !h.writable {
			return syscall.EBADF
		}
		return work(n)
	})
}

// ReadAt implements vfs.File. What no page here covers is read from below without the lock.
func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	var below vfs.File
	var kept int64
	patches := map[int]*[pageSize]byte{} // by where the page begins in p
	err = h.do("read", func(node *node) error {
		if err := vfs.CheckRange("read", h.name, off, int64(len(p))); err != nil {
			return syscall.EINVAL
		}
		n = int(min(max(node.size-off, 0), int64(len(p))))
		kept = node.kept
		for page := off / pageSize; page*pageSize < off+int64(n); page++ {
			if b := node.pages[page]; b != nil {
				copied := *b
				patches[int(page*pageSize-off)] = &copied
			}
		}
		var err error
		below, err = h.fs.base(node)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := readBase(below, p[:n], off, kept); err != nil {
		return 0, err
	}
	for at, b := range patches {
		if at < 0 {
			copy(p[:n], b[-at:])
		} else {
			copy(p[at:n], b[:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// base opens the file below when it is first needed. The caller holds f.mu.
func (f *FS) base(n *node) (vfs.File, error) {
	if n.base != nil || n.name == "" {
		return n.base, nil
	}
	file, err := f.below.Open(n.name)
	if err != nil {
		return nil, err
	}
	n.base = file
	f.open = append(f.open, file)
	return file, nil
}

// readBase fills p with what the file below still has of it, and zeroes behind that.
func readBase(below vfs.File, p []byte, off, kept int64) error {
	n := int(min(max(kept-off, 0), int64(len(p))))
	clear(p[n:])
	if n == 0 || below == nil {
		return nil
	}
	_, err := below.ReadAt(p[:n], off)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// page returns a page of the file for changing. The caller holds f.mu.
func (f *FS) page(n *node, page int64) (*[pageSize]byte, error) {
	if b := n.pages[page]; b != nil {
		return b, nil
	}
	below, err := f.base(n)
	if err != nil {
		return nil, err
	}
	b := new([pageSize]byte)
	if err := readBase(below, b[:], page*pageSize, n.kept); err != nil {
		return nil, err
	}
	if n.pages == nil {
		n.pages = map[int64]*[pageSize]byte{}
	}
	n.pages[page] = b
	return b, nil
}

// WriteAt implements vfs.File.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := h.change("write", func(n *node) error {
		if err := vfs.CheckRange("write", h.name, off, int64(len(p))); err != nil {
			return err.(*fs.PathError).Err
		}
		for done < len(p) {
			at := off + int64(done)
			b, err := h.fs.page(n, at/pageSize)
			if err != nil {
				return err
			}
			done += copy(b[at%pageSize:], p[done:])
		}
		if len(p) > 0 {
			n.size = max(n.size, off+int64(len(p)))
		}
		return nil
	})
	return done, err
}

// truncate sets the size. The caller holds the lock.
func (n *node) truncate(size int64) {
	if size < n.size {
		n.kept = min(n.kept, size)
		for page, b := range n.pages {
			switch begin := page * pageSize; {
			case begin >= size:
				delete(n.pages, page)
			case begin+pageSize > size:
				clear(b[size-begin:])
			}
		}
	}
	n.size = size
}

// Truncate implements vfs.File.
func (h *file) Truncate(size int64) error {
	return h.change("truncate", func(n *node) error {
		if size < 0 {
			return syscall.EINVAL
		}
		n.truncate(size)
		return nil
	})
}

// Allocate implements vfs.File; it only extends.
func (h *file) Allocate(off, n int64) error {
	return h.change("allocate", func(node *node) error {
		if err := vfs.CheckRange("allocate", h.name, off, n); err != nil {
			return err.(*fs.PathError).Err
		}
		if n > 0 {
			node.size = max(node.size, off+n)
		}
		return nil
	})
}

// Punch implements vfs.File.
func (h *file) Punch(off, n int64) error {
	return h.change("punch", func(node *node) error {
		if err := vfs.CheckRange("punch", h.name, off, n); err != nil {
			return err.(*fs.PathError).Err
		}
		for end := min(off+n, node.size); off < end; {
			b, err := h.fs.page(node, off/pageSize)
			if err != nil {
				return err
			}
			next := min(end, (off/pageSize+1)*pageSize)
			clear(b[off%pageSize : off%pageSize+next-off])
			off = next
		}
		return nil
	})
}

// Size implements vfs.File.
func (h *file) Size() (size int64, err error) {
	err = h.do("size", func(n *node) error {
		size = n.size
		return nil
	})
	return size, err
}

// Sync implements vfs.File; there is nothing to do.
func (h *file) Sync() error { return h.do("sync", func(*node) error { return nil }) }

// SyncData implements vfs.File; there is nothing to do.
func (h *file) SyncData() error { return h.Sync() }

// Close implements vfs.File.
func (h *file) Close() error {
	return h.do("close", func(*node) error {
		h.closed = true
		return nil
	})
}
