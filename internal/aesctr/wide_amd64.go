package aesctr

import (
	"crypto/fips140"
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// hasWide tells whether the processor has what xorWide needs, and whether anything but the validated module may be used.
func hasWide() bool {
	x := &cpu.X86
	return x.HasAES && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VAES && !fips140.Enabled()
}

// xorWide does n steps.
//
//go:noescape
func xorWide(keys *[(rounds + 1) * 4]uint32, dst, src *byte, n int, high, low uint64)

// subWord puts each byte of a word through the S-box, in a time that does not depend on them.
//
//go:noescape
func subWord(w uint32) uint32

// expand is KeyExpansion of FIPS 197, with words as they lie in memory, the first byte lowest.
func (c *Cipher) expand(key *[32]byte) {
	const words = len(key) / 4
	for i := range words {
		c.keys[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	rcon := uint32(1)
	for i := words; i < len(c.keys); i++ {
		w := c.keys[i-1]
		switch i % words {
		case 0:
			w = subWord(bits.RotateLeft32(w, -8)) ^ rcon
			rcon <<= 1
		case words / 2:
			w = subWord(w)
		}
		c.keys[i] = c.keys[i-words] ^ w
	}
}
