package lsd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"tintype/internal/block"
)

// The chunk header, one block at the head of every chunk; docs/format/chunk.md is its page. All numbers are little
// endian.
//
//	 0  magic "TTck"     4   version 2   scheme 2   (0: plain; 1: blocks encrypted with AES-256-CTR)
//	 8  incarnation      8
//	16  lineage          8
//	24  epoch            8
//	32  sequence         8
//	40  durable          8   the sequence known durable when this was sealed
//	48  previous header's checksum 4
//	52  words            2   blocks 2
//	56  segment          4   where the header stands: nothing else than a chunk written there can be taken for one
//	60  slot             4
//	64  words x 8            extents, see extentWord
//	    blocks x 4           CRC-32C of each data block, in order, masked where blocks are encrypted
//	4092 CRC-32C of bytes 0..4091
const (
	chunkMagic      = 0x6b635454
	chunkVersion    = 2
	chunkFixed      = 64
	chunkSumOffset  = block.BlockSize - 4
	maxChunkBlocks  = 255
	chunkSlots      = 1 + maxChunkBlocks
	maxChunkWords   = (chunkSumOffset - chunkFixed - 4*maxChunkBlocks) / 8
	maxExtentBlocks = 1<<extentCountBits - 1
)

// An extent is one word: the first block in the low 34 bits (64 TiB of blocks), the count above it, the kind on top.
const (
	extentLBABits   = 34
	extentCountBits = 27
)

// Extent kinds. Data extents take their blocks from the chunk in order; a hole unmaps. Kinds 3 to 7 are reserved.
const (
	extentData = 1
	extentHole = 2
)

type extent struct {
	lba   uint64
	count uint32
	kind  uint8
}

func (x extent) word() uint64 {
	return x.lba | uint64(x.count)<<extentLBABits | uint64(x.kind)<<(extentLBABits+extentCountBits)
}

func extentOf(w uint64) extent {
	return extent{
		lba:   w & (1<<extentLBABits - 1),
		count: uint32(w >> extentLBABits & (1<<extentCountBits - 1)),
		kind:  uint8(w >> (extentLBABits + extentCountBits)),
	}
}

// chunkHeader is a decoded header.
type chunkHeader struct {
	scheme      uint16
	incarnation uint64
	lineage     uint64
	epoch       uint64
	seq         uint64
	durable     uint64
	prev        uint32
	place       position // of the header
	extents     []extent
	crcs        []uint32
	sum         uint32 // of this header; the next one's prev
}

// slots is how many slots the chunk takes in its segment.
func (h *chunkHeader) slots() uint32 { return 1 + uint32(len(h.crcs)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// encode writes the header into the first block of dst and sets sum.
func (h *chunkHeader) encode(dst []byte) {
	p := dst[:block.BlockSize]
	clear(p)
	le := binary.LittleEndian
	le.PutUint32(p, chunkMagic)
	le.PutUint16(p[4:], chunkVersion)
	le.PutUint16(p[6:], h.scheme)
	le.PutUint64(p[8:], h.incarnation)
	le.PutUint64(p[16:], h.lineage)
	le.PutUint64(p[24:], h.epoch)
	le.PutUint64(p[32:], h.seq)
	le.PutUint64(p[40:], h.durable)
	le.PutUint32(p[48:], h.prev)
	le.PutUint16(p[52:], uint16(len(h.extents)))
	le.PutUint16(p[54:], uint16(len(h.crcs)))
	le.PutUint32(p[56:], h.place.seg())
	le.PutUint32(p[60:], h.place.slot())
	o := chunkFixed
	for _, x := range h.extents {
		le.PutUint64(p[o:], x.word())
		o += 8
	}
	for _, c := range h.crcs {
		le.PutUint32(p[o:], c)
		o += 4
	}
	h.sum = checksum(p[:chunkSumOffset])
	le.PutUint32(p[chunkSumOffset:], h.sum)
}

var errNoChunk = errors.New("not a chunk header")

// chunkAt reads the header at a place. Whatever is not a whole, consistent header written for that place is errNoChunk,
// wrapped: a recycled file holds the chunks of its former life. A newer version is named.
func chunkAt(p []byte, place position) (*chunkHeader, error) {
	h, err := decodeChunk(p)
	if err == nil && h.place != place {
		return nil, fmt.Errorf("%w: it was written for segment %d slot %d", errNoChunk, h.place.seg(), h.place.slot())
	}
	return h, err
}

// decodeChunk reads a header, wherever it stands.
func decodeChunk(p []byte) (*chunkHeader, error) {
	le := binary.LittleEndian
	if len(p) < block.BlockSize || le.Uint32(p) != chunkMagic {
		return nil, errNoChunk
	}
	p = p[:block.BlockSize]
	sum := checksum(p[:chunkSumOffset])
	if sum != le.Uint32(p[chunkSumOffset:]) {
		return nil, fmt.Errorf("%w: checksum", errNoChunk)
	}
	if v, scheme := le.Uint16(p[4:]), le.Uint16(p[6:]); v != chunkVersion || scheme > schemeCTR {
		return nil, fmt.Errorf("chunk of format version %d scheme %d, this program knows %d and 0 to 1", v, scheme, chunkVersion)
	}
	words, blocks := int(le.Uint16(p[52:])), int(le.Uint16(p[54:]))
	if blocks > maxChunkBlocks || words > maxChunkWords {
		return nil, fmt.Errorf("%w: counts", errNoChunk)
	}
	h := &chunkHeader{
		scheme:      le.Uint16(p[6:]),
		incarnation: le.Uint64(p[8:]),
		lineage:     le.Uint64(p[16:]),
		epoch:       le.Uint64(p[24:]),
		seq:         le.Uint64(p[32:]),
		durable:     le.Uint64(p[40:]),
		prev:        le.Uint32(p[48:]),
		place:       at(le.Uint32(p[56:]), 0) + position(le.Uint32(p[60:])),
		sum:         sum,
	}
	return h, h.decodeExtents(p, words, blocks)
}

func (h *chunkHeader) decodeExtents(p []byte, words, blocks int) error {
	le := binary.LittleEndian
	o, data := chunkFixed, 0
	h.extents = make([]extent, words)
	for i := range h.extents {
		x := extentOf(le.Uint64(p[o:]))
		o += 8
		if x.count == 0 || x.lba+uint64(x.count) > uint64(block.MaxSize/block.BlockSize) {
			return fmt.Errorf("%w: extent", errNoChunk)
		}
		switch x.kind {
		case extentData:
			data += int(x.count)
		case extentHole:
		default:
			return fmt.Errorf("%w: extent kind %d", errNoChunk, x.kind)
		}
		h.extents[i] = x
	}
	if data != blocks {
		return fmt.Errorf("%w: %d blocks, extents of %d", errNoChunk, blocks, data)
	}
	h.crcs = make([]uint32, blocks)
	for i := range h.crcs {
		h.crcs[i] = le.Uint32(p[o:])
		o += 4
	}
	return nil
}
