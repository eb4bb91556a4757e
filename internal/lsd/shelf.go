package lsd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"tintype/internal/vfs"
)

// shelf is where segments are kept: it makes, finds and removes their files by number.
type shelf struct {
	fs  vfs.FS
	dir string
}

const segmentSuffix = ".seg"

func (h *shelf) name(n uint32) string {
	return path.Join(h.dir, fmt.Sprintf("%010d%s", n, segmentSuffix))
}

// list returns the numbers of the segments that have a file, in order.
func (h *shelf) list() ([]uint32, error) {
	names, err := h.fs.List(h.dir)
	if err != nil {
		return nil, err
	}
	var all []uint32
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if ok && err == nil {
			all = append(all, uint32(n))
		}
	}
	return all, nil
}

func (h *shelf) create(n uint32) (*copies, error) {
	f, err := h.fs.Create(h.name(n))
	if err != nil {
		return nil, err
	}
	return &copies{f}, nil
}

func (h *shelf) open(n uint32) (*copies, error) {
	f, err := h.fs.OpenReadWrite(h.name(n))
	if err != nil {
		return nil, err
	}
	return &copies{f}, nil
}

// remove deletes a segment's file; one that does not exist is no error.
func (h *shelf) remove(n uint32) error {
	if err := h.fs.Remove(h.name(n)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncNames makes creations and removals durable.
func (h *shelf) syncNames() error { return h.fs.SyncDir(h.dir) }

func (h *shelf) space() (vfs.Space, error) { return h.fs.Space(h.dir) }

// copies are the open files that keep one segment. What they do is what vfs.File says.
type copies struct{ file vfs.File }

func (c *copies) ReadAt(p []byte, off int64) (int, error)  { return c.file.ReadAt(p, off) }
func (c *copies) WriteAt(p []byte, off int64) (int, error) { return c.file.WriteAt(p, off) }
func (c *copies) Size() (int64, error)                     { return c.file.Size() }
func (c *copies) Sync() error                              { return c.file.Sync() }
func (c *copies) SyncData() error                          { return c.file.SyncData() }
func (c *copies) Truncate(size int64) error                { return c.file.Truncate(size) }
func (c *copies) Allocate(off, n int64) error              { return c.file.Allocate(off, n) }
func (c *copies) Close() error                             { return c.file.Close() }

// readGood fills p from a copy that check is content with; check looks at p, and may be called again for another copy.
func (c *copies) readGood(p []byte, off int64, check func() error) error {
	if _, err := c.file.ReadAt(p, off); err != nil {
		return err
	}
	return check()
}
