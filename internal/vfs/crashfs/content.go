package crashfs

import (
	"math/bits"
)

// content is a file's, sparse: what has no page reads as zeroes.
type content struct {
	size, durable int64 // bytes; durable is the size on the disk
	pages         map[int64]*page
	dirty         []int64          // pages that differ from the disk, each once
	doubt         []int64          // pages that were dirty when a sync failed
	taken         map[int64]uint64 // room: a bit a page, 64 pages a word
	writes        uint64
}

// page is what the machine sees of 4 KiB, and what is on the disk where that
// may differ. A nil block is zeroes.
type page struct {
	now   *block
	disk  *block // valid while dirty != 0; equal to now in clean sectors
	dirty uint8  // a bit a sector
	doubt bool   // dirty, but the next sync takes it for clean
}

// block is a page's bytes. A shared one belongs to several disks and never
// changes.
type block struct {
	data   [pageSize]byte
	shared bool
}

// own returns a block with b's bytes that may be changed.
func (b *block) own() *block {
	switch {
	case b == nil:
		return new(block)
	case b.shared:
		return &block{data: b.data}
	}
	return b
}

func (b *block) copied() *block {
	if b == nil {
		return new(block)
	}
	return &block{data: b.data}
}

func (b *block) sector(s int) []byte {
	return b.data[s*sectorSize : (s+1)*sectorSize]
}

// read fills p from off on; the caller keeps it below size.
func (c *content) read(p []byte, off int64) {
	for len(p) > 0 {
		at := int(off % pageSize)
		n := min(len(p), pageSize-at)
		if pg := c.pages[off/pageSize]; pg != nil && pg.now != nil {
			copy(p[:n], pg.now.data[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// write puts p into one page at byte at; p nil: n zeroes, which take no room
// when they are all of the page.
func (c *content) write(lot uint64, index int64, at, n int, p []byte) {
	pg := c.pages[index]
	if pg == nil {
		if p == nil {
			return
		}
		pg = new(page)
		c.pages[index] = pg
	}
	mask := sectors(at, n)
	whole := n == pageSize
	switch {
	case pg.dirty == 0:
		c.dirty = append(c.dirty, index)
		pg.disk = pg.now
		if whole {
			pg.now = nil
		} else {
			pg.now = pg.now.copied()
		}
	case pg.dirty&mask != 0 && mix(lot, uint64(index), c.writes)&3 == 0:
		pg.writeBack(pg.dirty & mask)
	}
	if pg.doubt {
		pg.doubt = false
		c.dirty = append(c.dirty, index)
	}
	pg.dirty |= mask
	if whole && p == nil {
		pg.now = nil
		return
	}
	pg.now = pg.now.own()
	if p == nil {
		clear(pg.now.data[at : at+n])
		return
	}
	copy(pg.now.data[at:at+n], p)
}

// writeBack is what the kernel does when it pleases.
func (pg *page) writeBack(mask uint8) {
	pg.disk = pg.disk.own()
	for s := range pageSize / sectorSize {
		switch {
		case mask&(1<<s) == 0:
		case pg.now == nil:
			clear(pg.disk.sector(s))
		default:
			copy(pg.disk.sector(s), pg.now.sector(s))
		}
	}
}

// sectors is the mask of those that n bytes from byte at of a page on touch.
func sectors(at, n int) uint8 {
	first, last := at/sectorSize, (at+n-1)/sectorSize
	return uint8((1<<(last+1) - 1) &^ (1<<first - 1))
}

// zero makes n bytes from off on zeroes; whole pages give their room back.
func (c *content) zero(lot uint64, off, n int64) (freed int64) {
	for n > 0 {
		at := int(off % pageSize)
		k := int(min(n, int64(pageSize-at)))
		c.write(lot, off/pageSize, at, k, nil)
		if k == pageSize && c.takenAt(off/pageSize) {
			c.giveBack(off / pageSize)
			freed += pageSize
		}
		off, n = off+int64(k), n-int64(k)
	}
	return freed
}

// zeroFrom makes everything from off on zeroes, at the price of the pages that
// exist; it returns the bytes of room that it freed.
func (c *content) zeroFrom(lot uint64, off int64) (freed int64) {
	if at := off % pageSize; at != 0 {
		c.write(lot, off/pageSize, int(at), int(pageSize-at), nil)
	}
	first := (off + pageSize - 1) / pageSize
	for index := range c.pages {
		if index >= first {
			c.write(lot, index, 0, pageSize, nil)
		}
	}
	before := c.room()
	for word, mask := range c.taken {
		switch {
		case word*64 >= first:
			delete(c.taken, word)
		case (word+1)*64 > first:
			c.taken[word] = mask & (1<<(first-word*64) - 1)
		}
	}
	return before - c.room()
}

// sync makes what the machine sees what is on the disk.
func (c *content) sync() {
	for _, index := range c.dirty {
		pg := c.pages[index]
		pg.disk, pg.dirty = nil, 0
		if pg.now == nil {
			delete(c.pages, index)
		}
	}
	c.dirty, c.durable = nil, c.size
}

// failSync does what Linux does when a write to the disk fails: pages are clean
// from then on, whether or not they reached the disk.
func (c *content) failSync() {
	for _, index := range c.dirty {
		c.pages[index].doubt = true
	}
	c.doubt = append(c.doubt, c.dirty...)
	c.dirty = nil
}

// endDoubt makes pages in doubt dirty again, for a power cut to decide on.
func (c *content) endDoubt() {
	for _, index := range c.doubt {
		if pg := c.pages[index]; pg != nil && pg.doubt {
			pg.doubt = false
			c.dirty = append(c.dirty, index)
		}
	}
	c.doubt = nil
}

// cut leaves what a power cut leaves. The lot decides how much, in pieces of how
// many sectors, and then about each piece.
func (c *content) cut(lot uint64) {
	odds := chance(lot >> 8)
	piece := [...]uint64{1, 1, 8, 256}[lot>>16&3]
	c.endDoubt()
	for _, index := range c.dirty {
		pg := c.pages[index]
		for s := range pageSize / sectorSize {
			if pg.dirty&(1<<s) == 0 {
				continue
			}
			sector := uint64(index)*(pageSize/sectorSize) + uint64(s)
			keep := 0
			if mix(lot, sector/piece)&255 < odds {
				keep = sectorSize
			}
			if torn := mix(lot, sector, 1); torn&31 == 0 && odds%256 != 0 {
				keep = int((torn >> 8) % sectorSize)
			}
			pg.lose(s, keep)
		}
	}
	changed := c.dirty
	c.size = c.cutSize(lot)
	c.sync()
	c.zeroFrom(lot, c.size)
	c.sync()
	for _, index := range changed {
		if c.pages[index] != nil {
			c.take(index) // A punch or a truncation that was lost gave it back.
		}
	}
}

// lose puts what is on the disk behind the first keep bytes of a sector.
func (pg *page) lose(s, keep int) {
	if keep == sectorSize || pg.now == pg.disk {
		return
	}
	pg.now = pg.now.own()
	lost := pg.now.sector(s)[keep:]
	if pg.disk == nil {
		clear(lost)
	} else {
		copy(lost, pg.disk.sector(s)[keep:])
	}
}

func (c *content) cutSize(lot uint64) int64 {
	switch choice := mix(lot, 2) % 3; {
	case choice == 0:
		return c.durable
	case choice == 1 || c.size <= c.durable:
		return c.size
	}
	return c.durable + int64(mix(lot, 3)%uint64(c.size-c.durable+1))
}

func (c *content) takenAt(index int64) bool {
	return c.taken[index/64]&(1<<(index%64)) != 0
}

func (c *content) take(index int64) { c.taken[index/64] |= 1 << (index % 64) }

func (c *content) giveBack(index int64) { c.taken[index/64] &^= 1 << (index % 64) }

// room is how many bytes of the disk the file takes.
func (c *content) room() int64 {
	var pages int64
	for _, mask := range c.taken {
		pages += int64(bits.OnesCount64(mask))
	}
	return pages * pageSize
}
