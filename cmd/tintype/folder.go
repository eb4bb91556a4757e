package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"tintype/internal/catalog"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
	"tintype/internal/vfs/scratchfs"
)

// folder is a data folder that no server uses, open for reading. What is opened from it are scratch copies.
type folder struct {
	dir     string
	keys    *lsd.KeyRing
	zones   []string
	closers []func() error
}

// folderOptions are the flags that say which folder, and what opening it takes.
type folderOptions struct {
	data  string
	keys  keyOptions
	zones zoneOptions
}

// open locks the folder, which must have some files, and reads its keys.
func (o folderOptions) open(ctx context.Context, stderr io.Writer, files ...string) (*folder, error) {
	f, err := openFolder(o.data, files)
	if err != nil {
		return nil, err
	}
	if f.keys, err = o.keys.ring(ctx, stderr, f.dir, false); err == nil {
		f.zones, err = o.zones.dirs()
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func openFolder(data string, files []string) (*folder, error) {
	dir, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("%s is no data folder of a server: %w", dir, err)
		}
	}
	syscall.Umask(0o077) // as in serve
	unlock, err := lockData(dir)
	if err != nil {
		return nil, err
	}
	return &folder{dir: dir, closers: []func() error{unlock}}, nil
}

// close closes what was opened, last first.
func (f *folder) close() error {
	var err error
	for i := len(f.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, f.closers[i]())
	}
	return err
}

// engine is the engine's folder, and those of its zones; changes stay in memory.
func (f *folder) engine() (*scratchfs.FS, string, error) {
	dir := filepath.Join(f.dir, "engine")
	dirs := []string{dir}
	for _, zone := range f.zones {
		if _, err := os.Stat(zone); err == nil { // one that is not there is told of by the engine
			dirs = append(dirs, zone)
		}
	}
	scratch, err := scratchfs.New(vfs.OS(), dirs...)
	if err == nil {
		f.closers = append(f.closers, scratch.Close)
	}
	return scratch, dir, err
}

// store opens the engine, brought to the end of its logs. Its caller closes it.
func (f *folder) store() (*lsd.Store, error) {
	scratch, dir, err := f.engine()
	if err != nil {
		return nil, err
	}
	return lsd.Open(scratch, dir, lsd.Options{Manual: true, Reserve: -1, Keys: f.keys, Zones: f.zones})
}

// catalog opens a copy of the catalog.
func (f *folder) catalog(ctx context.Context) (*catalog.Catalog, error) {
	dir, err := os.MkdirTemp("", "tintype-check-")
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, func() error { return os.RemoveAll(dir) })
	for _, name := range []string{"catalog.db", "catalog.db-wal"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	cat, err := catalog.Open(ctx, filepath.Join(dir, "catalog.db"))
	if err == nil {
		f.closers = append(f.closers, cat.Close)
	}
	return cat, err
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
