// Package aesctr is AES-256 in counter mode for whole blocks of data at any place in a key stream: the standard library's, and on
// processors with VAES and AVX-512 the same with four blocks of AES to an instruction, several times as fast. The standard library
// uses no instructions wider than 128 bits so far; who reads megabytes that lie in the processor's cache waits for little else.
package aesctr

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// Step is the length in bytes of which what is encrypted with wide instructions must be a multiple.
const Step = 512

const rounds = 14

// Cipher is a key. It may be used by many goroutines at once.
type Cipher struct {
	block cipher.Block
	wide  bool
	keys  [(rounds + 1) * 4]uint32 // of the rounds, when wide
}

// New expands a key.
func New(key *[32]byte) (*Cipher, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	c := &Cipher{block: b, wide: hasWide()}
	if c.wide {
		c.expand(key)
	}
	return c, nil
}

// XOR encrypts or decrypts src into dst, which is as long, and may be src. The key stream begins with the counter whose first half
// is high and whose second half is low; low must not overflow before the end. Both are big-endian, as NIST SP 800-38A has them.
func (c *Cipher) XOR(dst, src []byte, high, low uint64) {
	dst = dst[:len(src):len(dst)] // a dst that is shorter has no room, whatever its capacity
	if n := len(src) / Step * Step; c.wide && n > 0 {
		xorWide(&c.keys, &dst[:n][0], &src[0], n/Step, high, low)
		dst, src, low = dst[n:], src[n:], low+uint64(n/aes.BlockSize)
	}
	if len(src) == 0 {
		return
	}
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[:], high)
	binary.BigEndian.PutUint64(counter[8:], low)
	cipher.NewCTR(c.block, counter[:]).XORKeyStream(dst, src)
}

// Encrypt encrypts one block of 16 bytes.
func (c *Cipher) Encrypt(dst, src []byte) { c.block.Encrypt(dst, src) }
