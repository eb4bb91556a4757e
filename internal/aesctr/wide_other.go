//go:build !amd64

package aesctr

func hasWide() bool { return false }

func (c *Cipher) expand(*[32]byte) {}

func xorWide(_ *[(rounds + 1) * 4]uint32, _, _ *byte, _ int, _, _ uint64) {
	panic("aesctr: no wide instructions")
}
