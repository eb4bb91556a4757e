package lsd

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/scratchfs"
)

// Salvage is a store opened for getting out what is left of it. Nothing in its folder is changed: it works on a scratch copy.
//
// Where the metadata opens, all volumes are there, and what is damaged in them is told. Where it does not, each disk is put
// together from the segments alone, as it was last; snapshots are lost then.
type Salvage struct {
	store   *Store
	lines   map[uint64]*line // without metadata
	notes   []string
	scratch []*scratchfs.FS
}

// Salvaged is a volume that can be got out, in parts at least.
type Salvaged struct {
	ID      block.ID   `json:"volume"` // zero when it is not known
	Lineage uint64     `json:"lineage"`
	Kind    block.Kind `json:"kind"`
	Size    int64      `json:"size"`
	Notes   []string   `json:"notes,omitempty"` // what is not certain
}

// LostRange is a range of a volume that could not be got out. It reads as zeroes in the copy.
type LostRange struct {
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Cause  string `json:"cause"`
}

// OpenSalvage opens what can be opened of the store in dir. Keys that are missing, or a folder that is none, are errors.
func OpenSalvage(fsys vfs.FS, dir string, opt Options) (*Salvage, error) {
	opt.Manual, opt.Reserve, opt.salvage = true, -1, true
	v := &Salvage{}
	failed := v.openStore(fsys, dir, opt, nil)
	var keys *KeyError
	if failed == nil || errors.As(failed, &keys) {
		return v, failed
	}
	if err := v.openStore(fsys, dir, opt, cutMetaLogs); err == nil {
		v.notes = append(v.notes, fmt.Sprintf("the metadata's log has a hole: what came behind it is lost (%v)", failed))
		return v, nil
	}
	if err := v.openSegments(fsys, dir, opt); err != nil {
		return v, errors.Join(failed, err)
	}
	v.notes = append(v.notes, fmt.Sprintf("the metadata does not open, so disks are put together from the segments alone: "+
		"snapshots are lost, what was trimmed may be back, and blocks that compaction moved may be older than they should (%v)", failed))
	return v, nil
}

// copyOf makes a scratch copy of the store's folders.
func (v *Salvage) copyOf(fsys vfs.FS, dir string, opt Options) (*scratchfs.FS, error) {
	dirs := []string{dir}
	for _, zone := range opt.Zones {
		if _, err := fsys.Stat(zone); err == nil { // one that is not there is out
			dirs = append(dirs, zone)
		}
	}
	scratch, err := scratchfs.New(fsys, dirs...)
	if err == nil {
		v.scratch = append(v.scratch, scratch)
	}
	return scratch, err
}

// openStore opens the store as a server would, after prepare.
func (v *Salvage) openStore(fsys vfs.FS, dir string, opt Options, prepare func(fsys vfs.FS, meta string) error) error {
	scratch, err := v.copyOf(fsys, dir, opt)
	if err == nil && prepare != nil {
		opt.overGaps = true
		err = prepare(scratch, path.Join(dir, "meta"))
	}
	if err == nil {
		v.store, err = Open(scratch, dir, opt)
	}
	if err == nil {
		err = v.store.findAllLost()
	}
	return err
}

// Notes tells what is not certain of all volumes.
func (v *Salvage) Notes() []string { return v.notes }

// Close gives the files back.
func (v *Salvage) Close() error {
	var err error
	switch {
	case v.store == nil:
	case v.lines != nil:
		err = v.store.release()
	default:
		err = v.store.Close()
		if errors.Is(err, block.ErrFailed) || errors.Is(err, block.ErrDamaged) {
			err = nil // a damaged disk has no last checkpoint
		}
	}
	for _, s := range v.scratch {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Volumes lists what can be got out.
func (v *Salvage) Volumes() []Salvaged {
	if v.lines != nil {
		return v.listLines()
	}
	var all []Salvaged
	for _, i := range v.store.List() {
		one := Salvaged{ID: i.ID, Kind: i.Kind, Size: i.Size}
		if vol, err := v.store.hold(i.ID); err == nil {
			one.Lineage = vol.lin.id
			if err := v.store.damage(vol); errors.Is(err, block.ErrLocked) {
				one.Notes = append(one.Notes, "it is under a customer's key, which is not there")
			} else if errors.Is(err, errGaps) {
				one.Notes = append(one.Notes, fmt.Sprintf("the metadata was older than the log, which has chunks that are missing, "+
					"for the most part because nothing in them was needed any more: a block may be older than it should (%v)", err))
			} else if err != nil {
				one.Notes = append(one.Notes, fmt.Sprintf("a part of the log is lost: this is what was before it (%v)", err))
			}
			v.store.letGo(vol)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Salvaged) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

// Extract calls put with all the data of a volume that there is, block by block and in order, and tells what is lost. The rest
// of the volume is zeroes.
func (v *Salvage) Extract(ctx context.Context, one Salvaged, put func(p []byte, off int64) error) ([]LostRange, error) {
	x := &extraction{store: v.store, size: one.Size, put: put, buf: make([]byte, block.BlockSize)}
	if v.lines != nil {
		err := v.extractLine(ctx, v.lines[one.Lineage], x)
		return x.lost, err
	}
	vol, err := v.store.hold(one.ID)
	if err != nil {
		return nil, err
	}
	defer v.store.letGo(vol)
	epoch := headEpoch
	if vol.node != nil {
		epoch = vol.node.epoch
	}
	for first, pages := uint64(0), uint64(pagesOf(one.Size)); first < pages; first += dirLeaves {
		if err := ctx.Err(); err != nil {
			return x.lost, err
		}
		last := min(first+dirLeaves, pages) - 1
		if err := x.directory(vol.lin, epoch, uint32(first), uint32(last)); err != nil {
			return x.lost, err
		}
	}
	return x.lost, nil
}

// extraction is one volume on its way out.
type extraction struct {
	store *Store
	size  int64
	put   func(p []byte, off int64) error
	buf   []byte
	lost  []LostRange
}

// directory gets out the pages first to last: those that have data, or where that cannot be told, each.
func (x *extraction) directory(l *lineage, epoch uint64, first, last uint32) error {
	pages, err := x.store.mappedPages(l, epoch, first, last)
	if err != nil {
		pages = pages[:0]
		for p := first; ; p++ {
			pages = append(pages, p)
			if p == last {
				break
			}
		}
	}
	behind := uint64(0)
	for _, page := range pages {
		if uint64(page) < behind {
			continue
		}
		c, err := x.store.lookup(l, epoch, page)
		if err != nil {
			behind = x.store.unreadableUpTo(l.id, page, last) + 1
			x.lose(uint64(page)*leafBlocks, (behind-uint64(page))*leafBlocks, causeVersions)
			continue
		}
		if err := x.page(page, &c); err != nil {
			return err
		}
	}
	return nil
}

// page gets out the blocks of one page. The error is put's.
func (x *extraction) page(page uint32, c *content) error {
	for i, e := range c.each() {
		w := want{lba: uint64(page)*leafBlocks + uint64(i), e: e, n: block.BlockSize}
		off := int64(w.lba) * block.BlockSize
		if off >= x.size {
			continue
		}
		if err := x.fetch(w); err != nil {
			var b *blockError
			cause := causeRead
			if errors.As(err, &b) {
				cause = b.cause
			}
			x.lose(w.lba, 1, cause)
			continue
		}
		if err := x.put(x.buf[:min(block.BlockSize, x.size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func (x *extraction) fetch(w want) error {
	pins, err := x.store.pinAll(nil, []want{w})
	if err == nil {
		err = x.store.fetch(x.buf, []want{w}, pins, nil)
	}
	return errors.Join(err, x.store.unpinAll(pins))
}

// lose notes blocks that are lost, joined with those before them.
func (x *extraction) lose(lba, n uint64, cause string) {
	off := int64(lba) * block.BlockSize
	bytes := min(int64(n)*block.BlockSize, x.size-off)
	if bytes <= 0 {
		return
	}
	if k := len(x.lost); k > 0 {
		if last := &x.lost[k-1]; last.Offset+last.Bytes == off && last.Cause == cause {
			last.Bytes += bytes
			return
		}
	}
	x.lost = append(x.lost, LostRange{Offset: off, Bytes: bytes, Cause: cause})
}
