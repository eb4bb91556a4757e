package lsd

import (
	"errors"
	"path"

	"tintype/internal/vfs"
)

// replaceFile makes p the content of a file, durably; a crash leaves the old or the new.
func replaceFile(fs vfs.FS, name string, p []byte) error {
	f, err := fs.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return fs.SyncDir(path.Dir(name))
}
