package lsd

import (
	"crypto/aes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"tintype/internal/aesctr"
	"tintype/internal/block"
)

// Schemes of encryption: what a segment's header says of its blocks. docs/format/data-keys.md is the page.
const (
	schemeNone = 0
	schemeCTR  = 1 // AES-256-CTR
)

// dataKey encrypts what one lineage writes, by way of a key for each of its segments.
type dataKey [32]byte

// segmentCipher encrypts the blocks of one segment and masks their checksums. A nil one leaves both as they are.
//
// Counters never meet: the key is of one segment of one incarnation, each slot of it is written once (or again with the same
// bytes), and masks have counters of their own. What else would use a key stream twice is ruled out by the position rule:
// numbers never repeat, and a start begins new segments under a new incarnation, so that not even two copies of a data
// folder, started both, write different blocks under one key.
type segmentCipher struct{ aes *aesctr.Cipher }

const keyInfo = "tintype segment 1"

// newSegmentCipher derives a segment's key from its lineage's.
func newSegmentCipher(k *dataKey, number uint32, incarnation uint64) (*segmentCipher, error) {
	info := binary.LittleEndian.AppendUint32([]byte(keyInfo), number)
	info = binary.LittleEndian.AppendUint64(info, incarnation)
	key, err := hkdf.Key(sha256.New, k[:], nil, string(info), len(k))
	if err != nil {
		return nil, err
	}
	c, err := aesctr.New((*[32]byte)(key))
	if err != nil {
		return nil, err
	}
	return &segmentCipher{c}, nil
}

// crypt encrypts or decrypts whole blocks that lie in the segment from a slot on. The key stream is that of the whole file:
// a byte's place in it is its offset. dst may be src.
func (c *segmentCipher) crypt(dst, src []byte, slot uint32) {
	if c == nil {
		copy(dst, src)
		return
	}
	c.aes.XOR(dst, src, 0, uint64(slot)*(block.BlockSize/aes.BlockSize))
}

// masker computes masks without allocating.
type masker struct{ in, out [aes.BlockSize]byte }

// maskDomain is the first byte of a mask's counter; that of a block is zero.
const maskDomain = 0x80

// mask is what the checksum of the block at a slot is stored under, so that it tells nothing of the block. It is its own
// inverse.
func (m *masker) mask(c *segmentCipher, slot uint32) uint32 {
	if c == nil {
		return 0
	}
	m.in[0] = maskDomain
	binary.BigEndian.PutUint64(m.in[8:], uint64(slot))
	c.aes.Encrypt(m.out[:], m.in[:])
	return binary.LittleEndian.Uint32(m.out[:])
}

// reveal decrypts blocks in place and returns the index of the first that does not have its checksum, or -1.
func (c *segmentCipher) reveal(p []byte, slot uint32, crc func(i int) uint32) int {
	if c != nil {
		c.crypt(p, p, slot)
	}
	var m masker
	for i := range len(p) / block.BlockSize {
		if checksum(p[i*block.BlockSize:(i+1)*block.BlockSize])^m.mask(c, slot+uint32(i)) != crc(i) {
			return i
		}
	}
	return -1
}

// writeSealed writes a chunk, header and blocks, to its place. Readers may still take the blocks from p, so they are encrypted
// in another buffer.
func (s *Store) writeSealed(seg *segment, slot uint32, p []byte) error {
	c, err := s.cipherOf(seg)
	if err != nil {
		return err
	}
	if c != nil {
		out := s.buffers.get()
		defer s.buffers.put(out)
		copy(out, p[:block.BlockSize])
		c.crypt(out[block.BlockSize:len(p)], p[block.BlockSize:], slot+1)
		p = out[:len(p)]
	}
	n, err := s.segments.file(seg).WriteAt(p, int64(slot)*block.BlockSize)
	s.segmentBytes.Add(int64(n))
	return err
}

// moveSum is the stored checksum of a block after it has moved to a slot of another segment.
func (s *Store) moveSum(e entry, from, to *segment, slot uint16) (uint32, error) {
	old, err := s.cipherOf(from)
	if err != nil {
		return 0, err
	}
	c, err := s.cipherOf(to)
	var m masker
	return e.crc ^ m.mask(old, uint32(e.slot)) ^ m.mask(c, uint32(slot)), err
}

// cipherOf returns a segment's cipher, nil for one that is not encrypted.
func (s *Store) cipherOf(seg *segment) (*segmentCipher, error) {
	if seg.scheme == schemeNone {
		return nil, nil
	}
	if c := seg.cipher.Load(); c != nil {
		return c, nil
	}
	k, ok := s.keys.get(seg.lineage)
	if !ok && s.keys.isLocked(seg.lineage) {
		return nil, fmt.Errorf("segment %d: %w", seg.number, block.ErrLocked)
	}
	if !ok {
		return nil, fmt.Errorf("segment %d: the key of lineage %d is lost: %w", seg.number, seg.lineage, block.ErrDamaged)
	}
	c, err := newSegmentCipher(&k, seg.number, seg.incarnation)
	if err == nil {
		seg.cipher.Store(c)
	}
	return c, err
}

// newSegment makes the next segment for a lineage, encrypted if the store has keys, as segmentTable.create does. The
// lineage's key is durable before there is a segment that needs it.
func (s *Store) newSegment(h segmentHeader, zonal bool) (*segment, error) {
	if s.keys.encrypts() {
		h.scheme = schemeCTR
		if _, ok := s.keys.get(h.lineage); !ok {
			if s.keys.isLocked(h.lineage) {
				return nil, fmt.Errorf("lineage %d: %w", h.lineage, block.ErrLocked)
			}
			if s.segments.encrypted(h.lineage) {
				return nil, fmt.Errorf("the key of lineage %d is lost: %w", h.lineage, block.ErrDamaged)
			}
			if err := s.keys.make(h.lineage, func() keySet { return s.wantsOf(h.lineage) }); err != nil {
				return nil, fmt.Errorf("make a key for lineage %d: %w", h.lineage, spaceError(err))
			}
		}
	}
	return s.segments.create(h, zonal)
}

// encrypted tells whether a lineage has segments that need its key.
func (t *segmentTable) encrypted(lineage uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seg := range t.segs {
		if seg.lineage == lineage && seg.scheme != schemeNone {
			return true
		}
	}
	return false
}
