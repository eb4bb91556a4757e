package lsd

import (
	"math/bits"
	"slices"
)

// leafBlocks is how many blocks a leaf maps, 256 KiB of a volume. A page is the number of a leaf in its volume.
const leafBlocks = 64

// entry says where a block lies and what its bytes sum to (CRC-32C of the 4 KiB as stored).
type entry struct {
	seg  uint32
	crc  uint32
	slot uint16
}

func (e entry) pos() position { return at(e.seg, uint32(e.slot)) }

// content is the map of one page: a bit for every mapped block and the entries of those, in order. A block without a
// bit reads as zeroes. The zero content is a page without data.
type content struct {
	mask uint64
	ents []entry
}

func (c *content) count() int { return bits.OnesCount64(c.mask) }

// rank is the index in ents of block i, or where it would stand.
func (c *content) rank(i uint) int { return bits.OnesCount64(c.mask & (1<<i - 1)) }

func (c *content) get(i uint) (entry, bool) {
	if c.mask>>i&1 == 0 {
		return entry{}, false
	}
	return c.ents[c.rank(i)], true
}

// has tells whether block i lies at p.
func (c *content) has(i uint, p position) bool {
	e, ok := c.get(i)
	return ok && e.pos() == p
}

// set maps block i to e and tells whether it was unmapped before.
func (c *content) set(i uint, e entry) bool {
	r := c.rank(i)
	if c.mask>>i&1 == 1 {
		c.ents[r] = e
		return false
	}
	c.ents = slices.Insert(c.ents, r, e)
	c.mask |= 1 << i
	return true
}

// clear unmaps the blocks of m and returns how many of them were mapped.
func (c *content) clear(m uint64) int {
	gone := c.mask & m
	if gone == 0 {
		return 0
	}
	kept := c.ents[:0]
	for i, e := range c.each() {
		if gone>>i&1 == 0 {
			kept = append(kept, e)
		}
	}
	c.ents, c.mask = kept, c.mask&^gone
	return bits.OnesCount64(gone)
}

// each yields the mapped blocks in order. The mask is read once, so the body may not rely on changes it makes.
func (c *content) each() func(yield func(uint, entry) bool) {
	mask, ents := c.mask, c.ents
	return func(yield func(uint, entry) bool) {
		for n := 0; mask != 0; n++ {
			i := uint(bits.TrailingZeros64(mask))
			mask &= mask - 1
			if !yield(i, ents[n]) {
				return
			}
		}
	}
}

// inOrder tells that a whole page was written from front to back. What is written like that is seldom needed again soon, and
// read back at once for a whole page.
func (c *content) inOrder() bool {
	if len(c.ents) < leafBlocks {
		return false
	}
	breaks := 0 // a chunk's header comes between blocks
	for i := 1; i < len(c.ents); i++ {
		if c.ents[i].pos() != c.ents[i-1].pos()+1 {
			breaks++
		}
	}
	return breaks <= 4
}

func (c *content) clone() content { return content{c.mask, slices.Clone(c.ents)} }

// leaf is the live map of one page of a disk's head. It is dirty when it holds changes that no checkpoint has taken;
// epoch and gen then say in which epoch and checkpoint generation they were made.
type leaf struct {
	content
	epoch  uint64
	gen    uint64
	dirty  bool
	shared bool // ents belongs to a frozen version too: copy before changing
	used   bool // read or written since the evictor last came by
}

// own makes ents the leaf's alone.
func (l *leaf) own() {
	if l.shared {
		l.ents, l.shared = slices.Clone(l.ents), false
	}
}

// frozen is what a page was at the end of an epoch, or when a checkpoint took it. Its entries are never changed; compaction
// replaces them as a whole, under the disk's mutex.
type frozen struct {
	content
	page  uint32
	epoch uint64
	gen   uint64
}
