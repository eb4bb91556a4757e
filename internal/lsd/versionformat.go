package lsd

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"tintype/internal/block"
)

// Keys and values in Pebble; docs/format/metadata.md is their page. Numbers in keys are big endian, so that keys sort
// as they count.
//
//	v lineage(8) page(4) ^epoch(8)   a page version; the newest of a page comes first
//	x lineage(8) epoch(8) page(4)    its index by epoch; empty
//	c lineage(8) epoch(8)            a frozen epoch that is still needed (epochRecord)
//	k lineage(8)                     a disk's checkpoint (checkpointRecord)
//	l lineage(8)                     a lineage (lineageRecord)
//	V id(16)                         a volume (volumeRecord)
//	s segment(4)                     a segment's live blocks (4, little endian)
//	b segment(4) slot(4)             births of moved blocks (births.go)
//	t lineage(8) epoch(8)            how many blocks came and went with an epoch's versions (tally.go)
//	m                                the store (storeRecord)
const (
	keyVersion    = 'v'
	keyIndex      = 'x'
	keyEpoch      = 'c'
	keyCheckpoint = 'k'
	keyLineage    = 'l'
	keyVolume     = 'V'
	keySegment    = 's'
	keyStore      = 'm'
)

func versionKey(lineage uint64, page uint32, epoch uint64) []byte {
	k := make([]byte, 0, 21)
	k = append(k, keyVersion)
	k = binary.BigEndian.AppendUint64(k, lineage)
	k = binary.BigEndian.AppendUint32(k, page)
	return binary.BigEndian.AppendUint64(k, ^epoch)
}

type versionID struct {
	lineage uint64
	epoch   uint64
	page    uint32
}

func (v versionID) key() []byte { return versionKey(v.lineage, v.page, v.epoch) }

func (v versionID) index() []byte {
	k := make([]byte, 0, 21)
	k = append(k, keyIndex)
	k = binary.BigEndian.AppendUint64(k, v.lineage)
	k = binary.BigEndian.AppendUint64(k, v.epoch)
	return binary.BigEndian.AppendUint32(k, v.page)
}

func parseVersionKey(k []byte) (versionID, bool) {
	if len(k) != 21 || k[0] != keyVersion {
		return versionID{}, false
	}
	be := binary.BigEndian
	return versionID{lineage: be.Uint64(k[1:]), page: be.Uint32(k[9:]), epoch: ^be.Uint64(k[13:])}, true
}

func parseIndexKey(k []byte) (versionID, bool) {
	if len(k) != 21 || k[0] != keyIndex {
		return versionID{}, false
	}
	be := binary.BigEndian
	return versionID{lineage: be.Uint64(k[1:]), epoch: be.Uint64(k[9:]), page: be.Uint32(k[17:])}, true
}

// A page version's value: form (1 byte), then for a whole page the mask of mapped blocks (8), for a difference how many epochs
// older the page is that it is based on (4), the mask of the blocks that it says something of (8) and of those that are mapped
// (8); then for each mapped block segment (4), slot (2),
// CRC (4); little endian.
const (
	formWhole      = 1
	formDifference = 2
	wholeFixed     = 9
	differFixed    = 21
	entrySize      = 10
)

// mostDifferences is how many versions in a row may be differences to the same whole page.
const mostDifferences = 7

// stored is a page version as it is in Pebble: a whole page, or what is other than in the last whole page before it of the
// same lineage. A block that a difference says nothing of is as it was there.
type stored struct {
	content
	whole bool
	epoch uint64 // not in the value
	says  uint64 // of a difference: the blocks that it replaces or, without an entry, unmaps
	reach uint32 // of a difference: how many epochs older its base was, at most: it may have been made whole later
}

// over applies a difference to the whole page that it is based on. Where that is lost the next older one must not stand in for
// it.
func (v *stored) over(base *stored) (content, error) {
	if v.whole {
		return v.content, nil
	}
	if !base.whole || v.epoch-base.epoch > uint64(v.reach) {
		return content{}, errNoBase
	}
	kept := base.mask &^ v.says
	c := content{mask: kept | v.mask}
	if c.mask == 0 {
		return c, nil
	}
	c.ents = make([]entry, 0, c.count())
	for m := c.mask; m != 0; m &= m - 1 {
		i := uint(bits.TrailingZeros64(m))
		from := &v.content
		if kept>>i&1 == 1 {
			from = &base.content
		}
		c.ents = append(c.ents, from.ents[from.rank(i)])
	}
	return c, nil
}

var errNoBase = fmt.Errorf("a difference without the page that it is based on: %w", block.ErrDamaged)

// difference is what c is other than base, or c as a whole where that is not twice as long. It says of every hole that it is
// one, also where base has it too: when base is reclaimed, what comes to be the base may have a block there.
func difference(base *stored, c *content, epoch uint64) stored {
	d := stored{epoch: epoch, says: ^c.mask, reach: uint32(epoch - base.epoch)}
	for i, e := range c.each() {
		if !base.has(i, e.pos()) {
			d.says |= 1 << i
			d.mask |= 1 << i
			d.ents = append(d.ents, e)
		}
	}
	if epoch-base.epoch > 1<<32-1 || 2*(differFixed+len(d.ents)*entrySize) > wholeFixed+len(c.ents)*entrySize {
		return stored{content: *c, epoch: epoch, whole: true}
	}
	return d
}

func appendVersion(dst []byte, v *stored) []byte {
	if v.whole {
		dst = append(dst, formWhole)
	} else {
		dst = binary.LittleEndian.AppendUint32(append(dst, formDifference), v.reach)
		dst = binary.LittleEndian.AppendUint64(dst, v.says)
	}
	dst = binary.LittleEndian.AppendUint64(dst, v.mask)
	for _, e := range v.ents {
		dst = binary.LittleEndian.AppendUint32(dst, e.seg)
		dst = binary.LittleEndian.AppendUint16(dst, e.slot)
		dst = binary.LittleEndian.AppendUint32(dst, e.crc)
	}
	return dst
}

func decodeVersion(p []byte) (stored, error) {
	le := binary.LittleEndian
	var v stored
	switch {
	case len(p) >= wholeFixed && p[0] == formWhole:
		v = stored{content: content{mask: le.Uint64(p[1:])}, whole: true}
		p = p[wholeFixed:]
	case len(p) >= differFixed && p[0] == formDifference:
		v = stored{reach: le.Uint32(p[1:]), says: le.Uint64(p[5:]), content: content{mask: le.Uint64(p[13:])}}
		p = p[differFixed:]
	default:
		return stored{}, fmt.Errorf("page version: unknown form: %w", block.ErrDamaged)
	}
	if !v.whole && v.mask&^v.says != 0 {
		return stored{}, fmt.Errorf("page version: a difference maps blocks that it says nothing of: %w", block.ErrDamaged)
	}
	n := v.count()
	if len(p) != n*entrySize {
		return stored{}, fmt.Errorf("page version: %d bytes for %d blocks: %w", len(p), n, block.ErrDamaged)
	}
	if n == 0 {
		return v, nil
	}
	v.ents = make([]entry, n)
	for i := range v.ents {
		o := i * entrySize
		v.ents[i] = entry{seg: le.Uint32(p[o:]), slot: le.Uint16(p[o+4:]), crc: le.Uint32(p[o+6:])}
	}
	return v, nil
}
