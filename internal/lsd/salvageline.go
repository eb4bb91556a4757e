package lsd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// line is what the segments alone tell of a lineage.
type line struct {
	id     uint64
	origin origin
	newest uint32 // segment that origin is from
	chunks []foundChunk
}

// openSegments reads the headers of all segments. The store that is left of it can read blocks, and nothing else.
func (v *Salvage) openSegments(fsys vfs.FS, dir string, opt Options) error {
	scratch, err := v.copyOf(fsys, dir, opt)
	if err != nil {
		return err
	}
	opt = opt.withDefaults()
	s := newStore(scratch, opt)
	if s.keys, err = loadKeys(scratch, dir, opt.Keys); err != nil {
		return err
	}
	if s.zones, err = newZones(scratch, dir, opt.Zones, opt.Log); err != nil {
		return err
	}
	s.segments = s.newTable(dir)
	if err := s.segments.scan(); err != nil {
		return err
	}
	v.store, v.lines = s, map[uint64]*line{}
	for _, n := range slices.Sorted(maps.Keys(s.segments.segs)) {
		if err := v.readSegment(s.segments.segs[n]); err != nil {
			return err
		}
	}
	for _, l := range v.lines {
		slices.SortStableFunc(l.chunks, func(a, b foundChunk) int { return cmp.Compare(a.written(), b.written()) })
	}
	return nil
}

// readSegment finds the chunks of a segment. Behind a header that is damaged it looks for the next one slot by slot.
func (v *Salvage) readSegment(seg *segment) error {
	for slot := uint32(1); slot < seg.used; {
		h, err := v.store.readChunk(seg, slot, func(h *chunkHeader) bool {
			return seg.incarnation == 0 || h.incarnation == seg.incarnation
		})
		if errors.Is(err, errNoChunk) || errors.Is(err, io.EOF) {
			slot++
			continue
		}
		if err != nil {
			return err
		}
		l := v.lines[h.lineage]
		if l == nil {
			l = &line{id: h.lineage}
			v.lines[h.lineage] = l
		}
		if seg.lineage == h.lineage && seg.number >= l.newest && seg.size > 0 {
			l.newest, l.origin = seg.number, seg.origin
		}
		l.chunks = append(l.chunks, foundChunk{h, seg, slot})
		slot += h.slots()
	}
	return nil
}

// isMoved tells that compaction wrote the chunk.
func (c foundChunk) isMoved() bool { return c.h.seq == 0 }

// written is the place of a chunk in the history of its lineage: no block of it was written after that position.
func (c foundChunk) written() position {
	if c.isMoved() {
		return position(c.h.durable)
	}
	return c.h.place
}

// listLines lists the disks that the segments tell of.
func (v *Salvage) listLines() []Salvaged {
	var all []Salvaged
	for _, id := range slices.Sorted(maps.Keys(v.lines)) {
		l := v.lines[id]
		one := Salvaged{ID: l.origin.volume, Lineage: id, Kind: block.KindDisk, Size: l.origin.size}
		for _, c := range l.chunks {
			for _, x := range c.h.extents {
				if x.kind == extentData {
					one.Size = max(one.Size, int64(x.lba+uint64(x.count))*block.BlockSize)
				}
			}
		}
		if p := l.origin.parent; p != 0 && v.lines[p] == nil {
			one.Notes = append(one.Notes, "a clone: of what it was made from nothing is left")
		}
		all = append(all, one)
	}
	return all
}

// extractLine gets a disk out as it was last.
func (v *Salvage) extractLine(ctx context.Context, l *line, x *extraction) error {
	pages := map[uint32]*content{}
	v.replay(pages, l, headEpoch, never, 0)
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.page(page, pages[page]); err != nil {
			return err
		}
	}
	return nil
}

// mostParents bounds the line of clones that is followed; a header that is wrong could make it a circle.
const mostParents = 1000

// replay does to a map what a line's chunks did up to an epoch, after what its parent's did up to the fork. What compaction
// moved counts when it was written before a position.
func (v *Salvage) replay(pages map[uint32]*content, l *line, epoch uint64, before position, depth int) {
	if p := v.lines[l.origin.parent]; p != nil && l.origin.parent != 0 && depth < mostParents {
		first := never
		for _, c := range l.chunks {
			if !c.isMoved() {
				first = min(first, c.h.place)
			}
		}
		v.replay(pages, p, l.origin.parentEpoch, first, depth+1)
	}
	for _, c := range l.chunks {
		if c.isMoved() && c.written() > before || c.h.epoch > epoch {
			continue
		}
		slot, crcs := c.slot+1, c.h.crcs
		for _, x := range c.h.extents {
			if x.kind == extentHole {
				unmap(pages, x)
				continue
			}
			for i := range x.count {
				lba := x.lba + uint64(i)
				page := pages[uint32(lba/leafBlocks)]
				if page == nil {
					page = &content{}
					pages[uint32(lba/leafBlocks)] = page
				}
				page.set(uint(lba%leafBlocks), entry{seg: c.seg.number, slot: uint16(slot + i), crc: crcs[i]})
			}
			slot, crcs = slot+x.count, crcs[x.count:]
		}
	}
}

// unmap does what a hole did.
func unmap(pages map[uint32]*content, x extent) {
	for page, c := range pages {
		begin := uint64(page) * leafBlocks
		lo, hi := max(x.lba, begin), min(x.lba+uint64(x.count), begin+leafBlocks)
		if lo < hi {
			c.clear((^uint64(0) >> (leafBlocks - (hi - lo))) << (lo - begin))
		}
	}
}
