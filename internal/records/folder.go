package records

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tintype/internal/smallfile"
)

// folder is one copy, and what is known of it.
type folder struct {
	dir, server string
	is          fs.FileInfo // the folder that the rest is about; another one may be mounted there
	databases   map[string]copied
	files       map[string]fs.FileInfo
	told        string // the error that was logged last
}

// copied is what a copy of a database holds.
type copied struct {
	version int64
	again   time.Time // not before
}

func newFolder(dir, server string) *folder {
	return &folder{dir: dir, server: server, told: "<nil>"}
}

// settle makes sure that the folder is this server's, and the one that it was.
func (f *folder) settle() error {
	info, err := os.Stat(f.dir)
	if err != nil {
		return err
	}
	if f.is != nil && os.SameFile(f.is, info) {
		return nil
	}
	if err := own(f.dir, f.server); err != nil {
		return err
	}
	f.is, f.databases, f.files = info, map[string]copied{}, map[string]fs.FileInfo{}
	return nil
}

// update copies what has changed: databases first, so that what they refer to in files is not missing. It tells whether the
// copy holds everything that there was when it began.
func (f *folder) update(ctx context.Context, s source) (whole bool, err error) {
	if err := f.settle(); err != nil {
		return false, err
	}
	whole = true
	for _, d := range s.databases {
		done, err := f.updateDatabase(ctx, s, d)
		if err != nil {
			return false, fmt.Errorf("%s: %w", d.name, err)
		}
		whole = whole && done
	}
	for _, name := range s.files {
		if err := f.updateFile(s.dir, name); err != nil {
			return false, err
		}
	}
	return whole, nil
}

func (f *folder) updateDatabase(ctx context.Context, s source, d *database) (done bool, err error) {
	version, err := d.version(ctx)
	if err != nil {
		return false, err
	}
	last, ok := f.databases[d.name]
	if ok && last.version == version {
		return true, nil
	}
	began := s.now()
	if ok && !s.hurry && began.Before(last.again) {
		return false, nil
	}
	if err := d.copyTo(ctx, f.dir); err != nil {
		return false, err
	}
	ended := s.now()
	f.databases[d.name] = copied{version: version, again: ended.Add(max(pause, share*ended.Sub(began)))}
	return true, nil
}

func (f *folder) updateFile(dir, name string) error {
	from := filepath.Join(dir, name)
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if last := f.files[name]; last != nil && os.SameFile(last, info) && last.ModTime().Equal(info.ModTime()) && last.Size() == info.Size() {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := smallfile.Write(filepath.Join(f.dir, name), text); err != nil {
		return err
	}
	f.files[name] = info
	return nil
}
