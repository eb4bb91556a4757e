package lsd

import "tintype/internal/vfs"

// wrapFS is a file system whose files are looked at by somebody on their way.
type wrapFS struct {
	vfs.FS
	wrap func(f vfs.File, name string) vfs.File
}

func (w wrapFS) wrapped(f vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		return f, err
	}
	return w.wrap(f, name), nil
}

func (w wrapFS) Create(name string) (vfs.File, error) {
	f, err := w.FS.Create(name)
	return w.wrapped(f, err, name)
}

func (w wrapFS) Open(name string) (vfs.File, error) {
	f, err := w.FS.Open(name)
	return w.wrapped(f, err, name)
}

func (w wrapFS) OpenReadWrite(name string) (vfs.File, error) {
	f, err := w.FS.OpenReadWrite(name)
	return w.wrapped(f, err, name)
}
