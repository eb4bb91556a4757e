package lsd

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

func benchDisk(b *testing.B, size int64, keys *KeyRing) block.Device {
	b.Helper()
	s, err := Open(vfs.OS(), b.TempDir()+"/engine", Options{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	id := uuid.New()
	if err := s.Create(id, size); err != nil {
		b.Fatal(err)
	}
	d, err := s.OpenVolume(id)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

// encryptedAndNot runs a benchmark as a server has it, and without keys.
func encryptedAndNot(b *testing.B, run func(*testing.B, *KeyRing)) {
	b.Run("encrypted", func(b *testing.B) { run(b, &KeyRing{Current: Key{1}}) })
	b.Run("plain", func(b *testing.B) { run(b, nil) })
}

// BenchmarkCipher encrypts the blocks of a full chunk, for each of which it also draws a mask.
func BenchmarkCipher(b *testing.B) {
	c, err := newSegmentCipher(&dataKey{1}, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	p, out := make([]byte, maxChunkBlocks*block.BlockSize), make([]byte, maxChunkBlocks*block.BlockSize)
	var m masker
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		c.crypt(out, p, 2)
		for i := range maxChunkBlocks {
			m.mask(c, uint32(2+i))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxChunkBlocks, "ns/block")
}

// BenchmarkWrite accepts random 4 KiB writes.
func BenchmarkWrite(b *testing.B) { encryptedAndNot(b, benchWrite) }

func benchWrite(b *testing.B, keys *KeyRing) {
	const size = 16 << 30
	d := benchDisk(b, size, keys)
	p := make([]byte, block.BlockSize)
	r := rand.New(rand.NewPCG(1, 1))
	b.SetBytes(block.BlockSize)
	b.ResetTimer()
	for b.Loop() {
		if _, err := d.WriteAt(p, r.Int64N(size/block.BlockSize)*block.BlockSize); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlush makes one 4 KiB write durable at a time.
func BenchmarkFlush(b *testing.B) { encryptedAndNot(b, benchFlush) }

func benchFlush(b *testing.B, keys *KeyRing) {
	const size = 1 << 30
	d := benchDisk(b, size, keys)
	p := make([]byte, block.BlockSize)
	r := rand.New(rand.NewPCG(1, 1))
	b.ResetTimer()
	for b.Loop() {
		if _, err := d.WriteAt(p, r.Int64N(size/block.BlockSize)*block.BlockSize); err != nil {
			b.Fatal(err)
		}
		if err := d.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads random blocks of a disk written in order, from the page cache.
func BenchmarkRead(b *testing.B) { encryptedAndNot(b, benchRead) }

func benchRead(b *testing.B, keys *KeyRing) {
	const size = 1 << 30
	d := benchDisk(b, size, keys)
	p := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(p)) {
		if _, err := d.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	p = p[:block.BlockSize]
	b.SetBytes(block.BlockSize)
	b.ResetTimer()
	for b.Loop() {
		if _, err := d.ReadAt(p, r.Int64N(size/block.BlockSize)*block.BlockSize); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadLong reads 1 MiB at a time from the page cache, of a disk written in order and of one written at random.
func BenchmarkReadLong(b *testing.B) {
	const size, n = 256 << 20, 1 << 20
	for name, piece := range map[string]int64{"ordered": n, "scattered": block.BlockSize} {
		b.Run(name, func(b *testing.B) {
			d := benchDisk(b, size, &KeyRing{Current: Key{1}})
			p := make([]byte, n)
			for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(int(size / piece)) {
				if _, err := d.WriteAt(p[:piece], int64(i)*piece); err != nil {
					b.Fatal(err)
				}
			}
			if err := d.Flush(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n)
			off := int64(0)
			for b.Loop() {
				if _, err := d.ReadAt(p, off%size); err != nil {
					b.Fatal(err)
				}
				off += n
			}
		})
	}
}
