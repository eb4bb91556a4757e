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
	failed  error     // of the last attempt
	kept    bool      // what was there when the server started lies beside it
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

// update copies what has changed: databases first, so that what they refer to in files is not missing. What fails does not
// keep the rest from being copied. It tells whether the copy holds everything that there was when it began.
func (f *folder) update(ctx context.Context, s source) (whole bool, err error) {
	if err := f.settle(); err != nil {
		return false, err
	}
	whole = true
	for _, d := range s.databases {
		done, failed := f.updateDatabase(ctx, s, d)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", d.name, failed))
		}
		whole = whole && done
	}
	for _, name := range s.files {
		err = errors.Join(err, f.updateFile(s.dir, name))
	}
	return whole && err == nil, err
}

// updateDatabase copies a database that has changed. One that could not be copied rests as long as one that was: an attempt costs as much.
func (f *folder) updateDatabase(ctx context.Context, s source, d *database) (done bool, err error) {
	version, err := d.version(ctx)
	if err != nil {
		return false, err
	}
	last, ok := f.databases[d.name]
	if ok && last.failed == nil && last.version == version {
		return true, nil
	}
	began := s.now()
	if ok && !s.hurry && began.Before(last.again) {
		return false, last.failed
	}
	last.failed = d.copyTo(ctx, f.dir, !last.kept)
	last.kept = last.kept || last.failed == nil
	ended := s.now()
	last.version, last.again = version, ended.Add(max(pause, share*ended.Sub(began)))
	f.databases[d.name] = last
	return last.failed == nil, last.failed
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
