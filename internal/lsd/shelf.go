package lsd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"tintype/internal/vfs"
)

// shelf is where segments are kept, local ones in one folder and zonal ones in each zone's: it makes, finds and removes their
// files by number.
type shelf struct {
	fs     vfs.FS
	dir    string
	zones  *zones      // nil: there are none
	solid  atomic.Bool // no holes can be punched in dir
	serial bool        // copies are written one after another, so that a history repeats
}

const segmentSuffix = ".seg"

func segmentName(dir string, n uint32) string {
	return path.Join(dir, fmt.Sprintf("%010d%s", n, segmentSuffix))
}

// found is a segment that has a file, and where.
type found struct {
	number uint32
	local  bool
	zones  [zoneCount]bool
}

// list returns the segments that have a file, in order.
func (h *shelf) list() ([]*found, error) {
	all := map[uint32]*found{}
	get := func(n uint32) *found {
		if all[n] == nil {
			all[n] = &found{number: n}
		}
		return all[n]
	}
	names, err := listSegments(h.fs, h.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		get(n).local = true
	}
	h.eachZone(func(i int, z *zone) error {
		names, err := listSegments(h.fs, z.segments())
		for _, n := range names {
			get(n).zones[i] = true
		}
		return err
	})
	var list []*found
	for _, f := range all {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *found) int { return int(int64(a.number) - int64(b.number)) })
	return list, nil
}

func listSegments(fsys vfs.FS, dir string) ([]uint32, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var all []uint32
	for _, name := range names {
		if n, ok := segmentNumber(name); ok {
			all = append(all, n)
		}
	}
	return all, nil
}

func segmentNumber(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil
}

// eachZone does something in every zone that is in. One in which it fails is out, except for what only has no space: that is
// returned.
func (h *shelf) eachZone(do func(i int, z *zone) error) error {
	if h.zones == nil {
		return nil
	}
	var full error
	for i, z := range h.zones.all {
		life := z.life.Load()
		if life%2 == 0 {
			continue
		}
		switch err := do(i, z); {
		case errors.Is(err, syscall.ENOSPC):
			full = err
		case err != nil:
			h.zones.fail(z, life, err)
		}
	}
	return full
}

// create makes the file of a new segment, or one in each zone that is in.
func (h *shelf) create(n uint32, zonal bool) (*copies, error) {
	c := &copies{shelf: h, number: n}
	if !zonal {
		f, err := h.fs.Create(segmentName(h.dir, n))
		c.local = f
		return c, err
	}
	h.zones.began(n)
	made := 0
	err := h.eachZone(func(i int, z *zone) error {
		life := z.life.Load()
		f, err := h.fs.Create(segmentName(z.segments(), n))
		if err == nil {
			c.zonal[i] = zoneCopy{file: f, life: life, whole: true}
			made++
		}
		return err
	})
	if err == nil && made < enough {
		err = fmt.Errorf("%d of %d zones are in, %d are needed: %w", made, zoneCount, enough, errZoneOut)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close(), h.remove(n))
	}
	return c, nil
}

// open opens all files of a segment. Where there is a local one, those in the zones are on their way.
func (h *shelf) open(at *found) (*copies, error) {
	c := &copies{shelf: h, number: at.number}
	var err error
	if at.local {
		if c.local, err = h.fs.OpenReadWrite(segmentName(h.dir, at.number)); err != nil {
			return nil, err
		}
	}
	var most int64
	var sizes [zoneCount]int64
	err = h.eachZone(func(i int, z *zone) error {
		if !at.zones[i] {
			return nil
		}
		life := z.life.Load()
		f, err := h.fs.OpenReadWrite(segmentName(z.segments(), at.number))
		if err != nil {
			return err
		}
		c.zonal[i] = zoneCopy{file: f, life: life, whole: !at.local && h.zones.trusted(z, at.number)}
		sizes[i], err = f.Size()
		most = max(most, sizes[i])
		return err
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.distrustShort(sizes, most)
	return c, nil
}

// distrustShort looks again at copies that are shorter than others: they may have missed something.
func (c *copies) distrustShort(sizes [zoneCount]int64, most int64) {
	for i := range c.zonal {
		if c.zonal[i].whole && sizes[i] < most {
			c.zonal[i].whole = false
		}
	}
}

// rename gives a local segment's file another number.
func (h *shelf) rename(c *copies, to uint32) error {
	err := h.fs.Rename(segmentName(h.dir, c.number), segmentName(h.dir, to))
	if err == nil {
		c.number = to
	}
	return err
}

// remove deletes a segment's files; one that does not exist is no error, and a zone that is out is cleaned up when it comes.
func (h *shelf) remove(n uint32) error {
	err := h.eachZone(func(_ int, z *zone) error { return removeFile(h.fs, segmentName(z.segments(), n)) })
	if h.zones != nil {
		h.zones.completed(n)
	}
	return errors.Join(err, removeFile(h.fs, segmentName(h.dir, n)))
}

func removeFile(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncNames makes creations and removals durable: of local segments, of zonal ones, or of both.
func (h *shelf) syncNames(local, zonal bool) error {
	if zonal {
		if err := h.eachZone(func(_ int, z *zone) error { return h.fs.SyncDir(z.segments()) }); err != nil {
			return err
		}
		if err := h.zones.save(); err != nil {
			return err
		}
	}
	if local {
		return h.fs.SyncDir(h.dir)
	}
	return nil
}

// space is the room there is for a segment: of zonal ones in the fullest zone.
func (h *shelf) space(zonal bool) (vfs.Space, error) {
	if !zonal {
		return h.fs.Space(h.dir)
	}
	least, any := vfs.Space{}, false
	err := h.eachZone(func(_ int, z *zone) error {
		s, err := h.fs.Space(z.dir)
		if err == nil && (!any || s.Free < least.Free) {
			least, any = s, true
		}
		return err
	})
	return least, err
}

// leastSpace is the room in the fullest of all folders.
func (h *shelf) leastSpace() (vfs.Space, error) {
	least, err := h.space(false)
	if err != nil || h.zones == nil {
		return least, err
	}
	zonal, err := h.space(true)
	if err == nil && zonal.Total > 0 && zonal.Free < least.Free {
		least = zonal
	}
	return least, err
}

// cannotHeal tells of a bad copy that stays bad. Who reads it next reads another.
func (h *shelf) cannotHeal(n uint32, err error) {
	h.zones.log.Error("a bad copy cannot be rewritten", "segment", n, "error", err)
}
