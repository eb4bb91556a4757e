package blob

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// TestHashCRC holds the hash to the standard library's with the polynomial that Azure's own clients use.
func TestHashCRC(t *testing.T) {
	table := crc64.MakeTable(0x9A6C9329AC4BC9B5)
	source := rand.NewChaCha8([32]byte{7})
	for _, n := range []int{0, 1, 127, 128, 512, 4096, 100_001, maxHashed} {
		p := make([]byte, n)
		source.Read(p)
		want := base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, crc64.Checksum(p, table)))
		if got := hashCRC(p); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}
