// Package scratchfs is a file system on top of another one that keeps every change in memory: what runs on it sees its own
// work, and the files below stay as they are. So a store can be opened, brought to the end of its logs and repaired for
// reading only.
//
// The names below are read once, when it is made; nothing else may change them afterwards. Bytes are read from below when
// they are asked for. A crash, of course, loses all that was changed.
package scratchfs

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"tintype/internal/vfs"
)

// FS is a scratch copy of one directory of another file system, under the same names.
type FS struct {
	below vfs.FS

	mu    sync.Mutex
	root  *node
	locks map[*node]bool
	open  []vfs.File // of below
}

var _ vfs.FS = (*FS)(nil)

// node is a file or a directory.
type node struct {
	dir    map[string]*node // of a directory; else nil
	closed error            // why a directory cannot be listed

	// The rest is a file's.
	name  string   // below; empty for one made here
	base  vfs.File // opened when first read
	kept  int64    // bytes of base that are still the file's
	size  int64
	pages map[int64]*[pageSize]byte // changed
}

const pageSize = 4096

// New makes a scratch copy of what is in some folders, none of them in another, and below. Close gives the files back.
func New(below vfs.FS, dirs ...string) (*FS, error) {
	f := &FS{below: below, root: &node{dir: map[string]*node{}}, locks: map[*node]bool{}}
	for _, dir := range dirs {
		n, err := f.read(dir)
		if err != nil {
			return nil, err
		}
		f.mount(n, split(dir))
	}
	return f, nil
}

// mount puts a tree where its path leads.
func (f *FS) mount(n *node, parts []string) {
	at := f.root
	for i, part := range parts {
		next := at.dir[part]
		switch {
		case i == len(parts)-1:
			next = n
		case next == nil:
			next = &node{dir: map[string]*node{}}
		}
		at.dir[part] = next
		at = next
	}
	if len(parts) == 0 {
		f.root = n
	}
}

// read makes the tree of what is below.
func (f *FS) read(dir string) (*node, error) {
	names, err := f.below.List(dir)
	if err != nil {
		return nil, err
	}
	n := &node{dir: map[string]*node{}}
	for _, base := range names {
		name := path.Join(dir, base)
		info, err := f.below.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir {
			n.dir[base] = &node{name: name, kept: info.Size, size: info.Size}
			continue
		}
		n.dir[base], err = f.read(name)
		if errors.Is(err, fs.ErrPermission) { // it may be nobody's concern, such as lost+found
			n.dir[base], err = &node{dir: map[string]*node{}, closed: err}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Close closes the files below that were read.
func (f *FS) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, file := range f.open {
		err = errors.Join(err, file.Close())
	}
	f.open = nil
	return err
}

// split gives the parts of a name; relative and absolute ones are the same.
func split(name string) []string {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// find walks to a name: the directory that has or would have it, the base name, and the node or nil.
func (f *FS) find(name string) (dir *node, base string, n *node, err error) {
	n = f.root
	for _, base = range split(name) {
		if n == nil {
			return nil, "", nil, syscall.ENOENT
		}
		if n.dir == nil {
			return nil, "", nil, syscall.ENOTDIR
		}
		dir, n = n, n.dir[base]
	}
	return dir, base, n, nil
}

// do runs one operation on names, alone.
func (f *FS) do(op, name string, work func(dir *node, base string, n *node) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, n, err := f.find(name)
	if err == nil {
		err = work(dir, base, n)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// there is do for what exists.
func (f *FS) there(op, name string, work func(dir *node, base string, n *node) error) error {
	return f.do(op, name, func(dir *node, base string, n *node) error {
		if n == nil {
			return syscall.ENOENT
		}
		return work(dir, base, n)
	})
}

// Create implements vfs.FS.
func (f *FS) Create(name string) (out vfs.File, err error) {
	err = f.do("create", name, func(dir *node, base string, n *node) error {
		switch {
		case n == nil:
			n = &node{}
			dir.dir[base] = n
		case n.dir != nil:
			return syscall.EISDIR
		default:
			n.truncate(0)
		}
		out = &file{fs: f, node: n, name: name, writable: true}
		return nil
	})
	return out, err
}

// Open implements vfs.FS.
func (f *FS) Open(name string) (vfs.File, error) { return f.handle(name, false) }

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string) (vfs.File, error) { return f.handle(name, true) }

func (f *FS) handle(name string, writable bool) (out vfs.File, err error) {
	err = f.there("open", name, func(_ *node, _ string, n *node) error {
		if n.dir != nil {
			return syscall.EISDIR
		}
		out = &file{fs: f, node: n, name: name, writable: writable}
		return nil
	})
	return out, err
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.there("remove", name, func(dir *node, base string, n *node) error {
		switch {
		case dir == nil:
			return syscall.EBUSY
		case len(n.dir) > 0:
			return syscall.ENOTEMPTY
		}
		delete(dir.dir, base)
		return nil
	})
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	err := f.do("removeall", name, func(dir *node, base string, _ *node) error {
		if dir == nil {
			return syscall.EBUSY
		}
		delete(dir.dir, base)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.there("rename", oldname, func(dir *node, base string, n *node) error {
		newdir, newbase, was, err := f.find(newname)
		switch {
		case err != nil:
			return err
		case dir == nil || newdir == nil:
			return syscall.EBUSY
		case was == n:
			return nil
		case was != nil && was.dir != nil:
			return syscall.EEXIST
		case was != nil && n.dir != nil:
			return syscall.ENOTDIR
		case n.dir != nil && strings.HasPrefix(path.Clean("/"+newname), path.Clean("/"+oldname)+"/"):
			return syscall.EINVAL
		}
		delete(dir.dir, base)
		newdir.dir[newbase] = n
		return nil
	})
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.there("link", oldname, func(_ *node, _ string, n *node) error {
		dir, base, was, err := f.find(newname)
		switch {
		case err != nil:
			return err
		case was != nil:
			return syscall.EEXIST
		case n.dir != nil:
			return syscall.EPERM
		}
		dir.dir[base] = n
		return nil
	})
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.root
	for _, base := range split(name) {
		next := n.dir[base]
		if next == nil {
			next = &node{dir: map[string]*node{}}
			n.dir[base] = next
		}
		if next.dir == nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return nil
}

// List implements vfs.FS.
func (f *FS) List(dir string) (names []string, err error) {
	err = f.there("list", dir, func(_ *node, _ string, n *node) error {
		if n.dir == nil {
			return syscall.ENOTDIR
		}
		names = slices.Sorted(maps.Keys(n.dir))
		return n.closed
	})
	return names, err
}

// Stat implements vfs.FS. It keeps no times.
func (f *FS) Stat(name string) (info vfs.Info, err error) {
	err = f.there("stat", name, func(_ *node, base string, n *node) error {
		info = vfs.Info{Name: cmp.Or(base, "/"), Size: n.size, IsDir: n.dir != nil}
		return nil
	})
	return info, err
}

// SyncDir implements vfs.FS; there is nothing to do.
func (f *FS) SyncDir(dir string) error {
	return f.there("syncdir", dir, func(_ *node, _ string, n *node) error {
		if n.dir == nil {
			return syscall.ENOTDIR
		}
		return nil
	})
}

// Lock implements vfs.FS, among those who use this copy: it takes no lock below.
func (f *FS) Lock(name string) (out io.Closer, err error) {
	err = f.do("lock", name, func(dir *node, base string, n *node) error {
		if n == nil {
			n = &node{}
			dir.dir[base] = n
		}
		if f.locks[n] {
			return vfs.ErrLocked
		}
		f.locks[n] = true
		out = &lock{fs: f, node: n}
		return nil
	})
	return out, err
}

// Space implements vfs.FS: memory counts as endless.
func (f *FS) Space(dir string) (space vfs.Space, err error) {
	const endless = 1 << 60
	err = f.there("space", dir, func(*node, string, *node) error {
		space = vfs.Space{Free: endless, Total: endless}
		return nil
	})
	return space, err
}

type lock struct {
	fs   *FS
	node *node
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.node)
	return nil
}
