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

// A page version's value: form (1 byte), mask (8), then for each mapped block segment (4), slot (2), CRC (4); little
// endian. Form 1 is a whole page. Form 2 is reserved for the difference to the version before it.
const (
	versionWhole = 1
	versionFixed = 9
	entrySize    = 10
)

func appendVersion(dst []byte, c *content) []byte {
	dst = append(dst, versionWhole)
	dst = binary.LittleEndian.AppendUint64(dst, c.mask)
	for _, e := range c.ents {
		dst = binary.LittleEndian.AppendUint32(dst, e.seg)
		dst = binary.LittleEndian.AppendUint16(dst, e.slot)
		dst = binary.LittleEndian.AppendUint32(dst, e.crc)
	}
	return dst
}

func decodeVersion(p []byte) (content, error) {
	if len(p) < versionFixed || p[0] != versionWhole {
		return content{}, fmt.Errorf("page version: unknown form: %w", block.ErrDamaged)
	}
	le := binary.LittleEndian
	c := content{mask: le.Uint64(p[1:])}
	n := bits.OnesCount64(c.mask)
	if len(p) != versionFixed+n*entrySize {
		return content{}, fmt.Errorf("page version: length %d for %d blocks: %w", len(p), n, block.ErrDamaged)
	}
	if n == 0 {
		return c, nil
	}
	c.ents = make([]entry, n)
	for i, o := 0, versionFixed; i < n; i, o = i+1, o+entrySize {
		c.ents[i] = entry{seg: le.Uint32(p[o:]), slot: le.Uint16(p[o+4:]), crc: le.Uint32(p[o+6:])}
	}
	return c, nil
}
