package lsd

import (
	"encoding/binary"
	"fmt"

	"tintype/internal/block"
)

// The segment header, slot 0 of every segment file; docs/format/segment.md is its page. Little endian.
//
//	 0  magic "TTsg" 4   version 2   kind 2 (0: a disk's log; 1: blocks that compaction moved)
//	 8  segment number   4   reserved 4
//	16  incarnation      8
//	24  lineage          8   whose log this is
//	32  first sequence   8   of the first chunk in this segment
//	40  scheme           2   (0: plain; 1: blocks encrypted with AES-256-CTR)   reserved
//	48  volume          16   whose log this was when the segment was made; 0: nobody's any more
//	64  parent lineage   8   0: none
//	72  parent epoch     8   at which this lineage began
//	80  size             8   of the disk then, in bytes
//	4092 CRC-32C of bytes 0..4091
const (
	segmentMagic   = 0x67735454
	segmentVersion = 2
)

// Kinds of segments.
const (
	kindLog   = 0
	kindMoved = 1
)

type segmentHeader struct {
	kind        uint16
	scheme      uint16
	number      uint32
	incarnation uint64
	lineage     uint64
	firstSeq    uint64
	origin
}

// origin is what of the metadata every segment repeats, so that salvage knows whose the blocks are when the metadata is lost.
type origin struct {
	volume      block.ID
	parent      uint64
	parentEpoch uint64
	size        int64
}

// origin is what segments say of the lineage.
func (s *Store) origin(l *lineage) origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := origin{parentEpoch: l.parentEpoch, size: l.size}
	if l.head {
		o.volume = l.headID
	}
	if l.parent != nil {
		o.parent = l.parent.id
	}
	return o
}

func (h *segmentHeader) encode(dst []byte) {
	p := dst[:block.BlockSize]
	clear(p)
	le := binary.LittleEndian
	le.PutUint32(p, segmentMagic)
	le.PutUint16(p[4:], segmentVersion)
	le.PutUint16(p[6:], h.kind)
	le.PutUint32(p[8:], h.number)
	le.PutUint64(p[16:], h.incarnation)
	le.PutUint64(p[24:], h.lineage)
	le.PutUint64(p[32:], h.firstSeq)
	le.PutUint16(p[40:], h.scheme)
	copy(p[48:64], h.volume[:])
	le.PutUint64(p[64:], h.parent)
	le.PutUint64(p[72:], h.parentEpoch)
	le.PutUint64(p[80:], uint64(h.size))
	le.PutUint32(p[chunkSumOffset:], checksum(p[:chunkSumOffset]))
}

// decodeSegment reads a segment's header and checks that it belongs to the file named for number.
func decodeSegment(p []byte, number uint32) (segmentHeader, error) {
	le := binary.LittleEndian
	if len(p) < block.BlockSize || le.Uint32(p) != segmentMagic {
		return segmentHeader{}, fmt.Errorf("segment %d: no segment header: %w", number, block.ErrDamaged)
	}
	if checksum(p[:chunkSumOffset]) != le.Uint32(p[chunkSumOffset:]) {
		return segmentHeader{}, fmt.Errorf("segment %d: header checksum: %w", number, block.ErrDamaged)
	}
	if v, k := le.Uint16(p[4:]), le.Uint16(p[6:]); v != segmentVersion || k > kindMoved {
		return segmentHeader{}, fmt.Errorf("segment %d: format version %d kind %d, this program knows %d and 0 to 1", number, v, k, segmentVersion)
	}
	if scheme := le.Uint16(p[40:]); scheme > schemeCTR {
		return segmentHeader{}, fmt.Errorf("segment %d: encryption scheme %d, this program knows 0 to 1", number, scheme)
	}
	h := segmentHeader{
		kind:        le.Uint16(p[6:]),
		scheme:      le.Uint16(p[40:]),
		number:      le.Uint32(p[8:]),
		incarnation: le.Uint64(p[16:]),
		lineage:     le.Uint64(p[24:]),
		firstSeq:    le.Uint64(p[32:]),
		origin: origin{
			volume: block.ID(p[48:64]), parent: le.Uint64(p[64:]), parentEpoch: le.Uint64(p[72:]), size: int64(le.Uint64(p[80:])),
		},
	}
	if h.number != number {
		return segmentHeader{}, fmt.Errorf("segment %d: header of segment %d: %w", number, h.number, block.ErrDamaged)
	}
	return h, nil
}
