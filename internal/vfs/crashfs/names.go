package crashfs

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"tintype/internal/vfs"
)

var _ vfs.FS = (*FS)(nil)

// lookup walks to name. It returns the directory that has or would have it, the
// base name, and the node, nil where there is none. The root has no directory.
func (d *disk) lookup(name string) (dir *node, base string, n *node, err error) {
	n = d.root
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		return nil, "/", n, nil
	}
	for base = range strings.SplitSeq(clean, "/") {
		if n == nil {
			return nil, "", nil, syscall.ENOENT
		}
		if !n.isDir() {
			return nil, "", nil, syscall.ENOTDIR
		}
		dir, n = n, n.entries[base]
	}
	return dir, base, n, nil
}

// do runs one operation on names, alone, on a living machine.
func (f *FS) do(op, name string, work func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ErrCrashed
	if f.disk != nil {
		err = work()
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// find is do for operations on something that exists.
func (f *FS) find(op, name string, work func(dir *node, base string, n *node) error) error {
	return f.do(op, name, func() error {
		dir, base, n, err := f.lookup(name)
		if err == nil && n == nil {
			err = syscall.ENOENT
		}
		if err != nil {
			return err
		}
		return work(dir, base, n)
	})
}

// Create implements vfs.FS.
func (f *FS) Create(name string) (vfs.File, error) {
	var out *file
	err := f.do("create", name, func() error {
		n, err := f.createFile(name)
		if err != nil {
			return err
		}
		f.used -= n.content.truncate(mix(f.seed, n.id), 0)
		out = f.handle(n, name, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// createFile returns the file name, a new one where there is none.
func (d *disk) createFile(name string) (*node, error) {
	dir, base, n, err := d.lookup(name)
	switch {
	case err != nil:
		return nil, err
	case n == nil:
		n = newFile(d.newID(path.Clean("/" + name)))
		d.set(change{entries: []entry{{dir, base, n}}})
	case n.isDir():
		return nil, syscall.EISDIR
	}
	return n, nil
}

// newID identifies a node by the name it is created under, and how often that
// happened.
func (d *disk) newID(clean string) uint64 {
	d.created[clean]++
	return mix(hashName(clean), d.created[clean])
}

// Open implements vfs.FS.
func (f *FS) Open(name string) (vfs.File, error) { return f.open(name, false) }

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string) (vfs.File, error) { return f.open(name, true) }

func (f *FS) open(name string, write bool) (vfs.File, error) {
	var out *file
	err := f.find("open", name, func(_ *node, _ string, n *node) error {
		if n.isDir() {
			return syscall.EISDIR
		}
		out = f.handle(n, name, write)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.find("remove", name, func(dir *node, base string, n *node) error {
		switch {
		case dir == nil:
			return syscall.EBUSY
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		f.set(change{entries: []entry{{dir, base, nil}}})
		return nil
	})
}

// RemoveAll implements vfs.FS. Each removal is a change by itself.
func (f *FS) RemoveAll(name string) error {
	return f.do("removeall", name, func() error {
		dir, base, n, err := f.lookup(name)
		switch {
		case err == syscall.ENOENT || err == nil && n == nil:
			return nil
		case err != nil:
			return err
		case dir == nil:
			return syscall.EBUSY
		}
		f.removeAll(dir, base, n)
		return nil
	})
}

func (d *disk) removeAll(dir *node, base string, n *node) {
	for _, child := range slices.Sorted(maps.Keys(n.entries)) {
		d.removeAll(n, child, n.entries[child])
	}
	d.set(change{entries: []entry{{dir, base, nil}}})
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.find("rename", oldname, func(dir *node, base string, n *node) error {
		newdir, newbase, was, err := f.lookup(newname)
		switch {
		case err != nil:
			return err
		case dir == nil || newdir == nil:
			return syscall.EBUSY
		case was == n:
			return nil
		case was != nil && was.isDir():
			return syscall.EEXIST
		case was != nil && n.isDir():
			return syscall.ENOTDIR
		case n.isDir() && strings.HasPrefix(path.Clean("/"+newname), path.Clean("/"+oldname)+"/"):
			return syscall.EINVAL
		}
		f.set(change{
			entries: []entry{{dir, base, nil}, {newdir, newbase, n}},
			after:   n.isDir(),
		})
		return nil
	})
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.find("link", oldname, func(_ *node, _ string, n *node) error {
		dir, base, was, err := f.lookup(newname)
		switch {
		case err != nil:
			return err
		case was != nil:
			return syscall.EEXIST
		case n.isDir():
			return syscall.EPERM
		}
		f.set(change{entries: []entry{{dir, base, n}}})
		return nil
	})
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string) error {
	return f.do("mkdir", name, func() error {
		n, full := f.root, ""
		for base := range strings.SplitSeq(path.Clean("/" + name)[1:], "/") {
			if base == "" { // The root.
				break
			}
			if !n.isDir() {
				return syscall.ENOTDIR
			}
			full += "/" + base
			if n.entries[base] == nil {
				f.set(change{entries: []entry{{n, base, newDir(f.newID(full))}}})
			}
			n = n.entries[base]
		}
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		return nil
	})
}

// List implements vfs.FS.
func (f *FS) List(dir string) (names []string, err error) {
	err = f.find("list", dir, func(_ *node, _ string, n *node) error {
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		names = slices.Sorted(maps.Keys(n.entries))
		return nil
	})
	return names, err
}

// Stat implements vfs.FS. It keeps no times.
func (f *FS) Stat(name string) (info vfs.Info, err error) {
	err = f.find("stat", name, func(_ *node, base string, n *node) error {
		info = vfs.Info{Name: base, Size: n.size, IsDir: n.isDir()}
		return nil
	})
	return info, err
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(dir string) error {
	return f.find("syncdir", dir, func(_ *node, _ string, n *node) error {
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		f.syncDir(n)
		return nil
	})
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	var out lock
	err := f.do("lock", name, func() error {
		n, err := f.createFile(name)
		if err != nil {
			return err
		}
		if f.locks[n] {
			return vfs.ErrLocked
		}
		f.locks[n] = true
		out = lock{f.handle(n, name, true)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Space implements vfs.FS.
func (f *FS) Space(dir string) (space vfs.Space, err error) {
	err = f.find("space", dir, func(*node, string, *node) error {
		space = vfs.Space{Free: max(0, f.total-f.used), Total: f.total}
		return nil
	})
	return space, err
}

// Flip inverts one bit of the byte at off, in what the machine sees and on the
// disk, as a decaying medium would.
func (f *FS) Flip(name string, off int64) error {
	return f.find("flip", name, func(_ *node, _ string, n *node) error {
		if n.isDir() || off < 0 || off >= n.size {
			return syscall.EINVAL
		}
		n.content.flip(off)
		return nil
	})
}
