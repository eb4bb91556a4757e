package witness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// BlockSize is the unit of writing: each write is one whole, aligned block, so that none can be torn without a trace.
const BlockSize = 4096

// A block on the disk: magic (8), seed (8), block index (4), stream (4), sequence number (8), all little-endian, then
// bytes that follow from these. The verifier makes the same bytes again instead of trusting a checksum.
const (
	magic      = "tintypeW"
	headerSize = 32
)

// identity is what a block says of itself.
type identity struct {
	block  uint32
	stream uint32
	seq    uint64 // 0: never written, all zeroes
}

// fill makes the content of a block.
func fill(p []byte, seed uint64, id identity) {
	copy(p, magic)
	binary.LittleEndian.PutUint64(p[8:], seed)
	binary.LittleEndian.PutUint32(p[16:], id.block)
	binary.LittleEndian.PutUint32(p[20:], id.stream)
	binary.LittleEndian.PutUint64(p[24:], id.seq)
	rnd := rand.NewPCG(seed^uint64(id.block)<<32^uint64(id.stream), id.seq)
	for i := headerSize; i < BlockSize; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rnd.Uint64())
	}
}

// recognise reads what a block says of itself and checks every byte of it.
func recognise(p, scratch []byte, seed uint64, want uint32) (seq uint64, err error) {
	if isZero(p) {
		return 0, nil
	}
	if string(p[:8]) != magic {
		return 0, fmt.Errorf("block %d holds what nobody wrote there", want)
	}
	id := identity{
		block:  binary.LittleEndian.Uint32(p[16:]),
		stream: binary.LittleEndian.Uint32(p[20:]),
		seq:    binary.LittleEndian.Uint64(p[24:]),
	}
	if got := binary.LittleEndian.Uint64(p[8:]); got != seed {
		return 0, fmt.Errorf("block %d is of another run (seed %#x)", want, got)
	}
	if id.block != want {
		return 0, fmt.Errorf("block %d holds what was written to block %d", want, id.block)
	}
	fill(scratch, seed, id)
	if !bytes.Equal(p, scratch) {
		return 0, fmt.Errorf("block %d is torn: its header is of write %d and its bytes are not", want, id.seq)
	}
	return id.seq, nil
}

func isZero(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p) != 0 {
			return false
		}
	}
	return true
}
