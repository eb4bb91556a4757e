// Package bench measures Tintype, and beside it, in the same run, what it is compared with, and prints ratios: a number
// alone says more about the machine.
package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

const (
	gib = 1 << 30
	tib = 1 << 40
)

// subject is a disk of some size with some blocks written all over it.
type subject struct {
	store *lsd.Store
	id    block.ID
	dev   block.Device
	rnd   *rand.Rand
	block []byte
	first time.Duration   // the snapshot right after the scattered writes
	clean []time.Duration // after it, each behind a flush
	dirty []time.Duration // with writes to make durable first
}

func newSubject(b *testing.B, store *lsd.Store, size int64, blocks int) *subject {
	b.Helper()
	s := &subject{store: store, id: uuid.New(), rnd: rand.New(rand.NewPCG(1, 2)), block: make([]byte, block.BlockSize)}
	for i := range s.block {
		s.block[i] = byte(i)
	}
	if err := store.Create(s.id, size); err != nil {
		b.Fatal(err)
	}
	dev, err := store.OpenVolume(s.id)
	if err != nil {
		b.Fatal(err)
	}
	s.dev = dev
	s.scatter(b, blocks)
	if err := dev.Flush(); err != nil {
		b.Fatal(err)
	}
	s.first = s.snapshot(b)
	return s
}

// scatter writes whole blocks at random places.
func (s *subject) scatter(b *testing.B, blocks int) {
	b.Helper()
	all := s.dev.Size() / block.BlockSize
	for range blocks {
		if _, err := s.dev.WriteAt(s.block, s.rnd.Int64N(all)*block.BlockSize); err != nil {
			b.Fatal(err)
		}
	}
}

func (s *subject) snapshot(b *testing.B) time.Duration {
	b.Helper()
	began := time.Now()
	if err := s.store.Snapshot(block.Cut{Source: s.id, Snapshot: uuid.New()}); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkSnapshot takes durable snapshots of a 1 TiB disk with a million scattered blocks and of a 1 GiB disk with a
// thousand, in turn, with two hundred writes before each; once they have been flushed ("clean") and once not ("dirty": the snapshot
// makes them durable as well). A snapshot's cost must not grow with the disk.
func BenchmarkSnapshot(b *testing.B) {
	store, err := lsd.Open(vfs.OS(), b.TempDir(), lsd.Options{Keys: &lsd.KeyRing{Current: lsd.Key{1}}})
	if err != nil {
		b.Fatal(err)
	}
	small, large := newSubject(b, store, gib, 1000), newSubject(b, store, tib, 1_000_000)
	for b.Loop() {
		for _, s := range []*subject{small, large} {
			s.scatter(b, 200)
			s.dirty = append(s.dirty, s.snapshot(b))
			s.scatter(b, 200)
			if err := s.dev.Flush(); err != nil {
				b.Fatal(err)
			}
			s.clean = append(s.clean, s.snapshot(b))
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(median(small.clean)), "ms-1GiB-clean")
	b.ReportMetric(ms(median(large.clean)), "ms-1TiB-clean")
	b.ReportMetric(float64(median(large.clean))/float64(median(small.clean)), "ratio-clean")
	b.ReportMetric(ms(median(small.dirty)), "ms-1GiB-dirty")
	b.ReportMetric(ms(median(large.dirty)), "ms-1TiB-dirty")
	b.ReportMetric(float64(median(large.dirty))/float64(median(small.dirty)), "ratio-dirty")
	b.ReportMetric(ms(small.first), "ms-1GiB-first")
	b.ReportMetric(ms(large.first), "ms-1TiB-first")
	for _, s := range []*subject{small, large} {
		if err := s.dev.Close(); err != nil {
			b.Error(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Error(err)
	}
}
