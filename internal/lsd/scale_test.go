package lsd

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// scattered is a disk that was written in order, and then again and again at random places with a snapshot after each.
type scattered struct {
	tb    testing.TB
	store *Store
	id    block.ID
	dev   block.Device
	rnd   *rand.Rand
	snaps []block.ID
}

func newScattered(tb testing.TB, size int64) *scattered {
	tb.Helper()
	s, err := Open(vfs.OS(), tb.TempDir()+"/engine", Options{Manual: true, IdleSeal: -1})
	if err != nil {
		tb.Fatal(err)
	}
	w := &scattered{tb: tb, store: s, id: uuid.New(), rnd: rand.New(rand.NewPCG(1, 2))}
	w.must(s.Create(w.id, size))
	w.dev, err = s.OpenVolume(w.id)
	w.must(err)
	p := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(p)) {
		w.fill(p)
		_, err := w.dev.WriteAt(p, off)
		w.must(err)
	}
	w.snapshot()
	tb.Cleanup(func() {
		w.must(w.dev.Close())
		w.must(s.Close())
	})
	return w
}

func (w *scattered) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

// fill makes every block another: equal ones would have equal checksums, which compress.
func (w *scattered) fill(p []byte) {
	for i := 0; i < len(p); i += block.BlockSize {
		binary.LittleEndian.PutUint64(p[i:], w.rnd.Uint64())
	}
}

// snapshot makes one, and page versions of all that it holds.
func (w *scattered) snapshot() {
	w.tb.Helper()
	id := uuid.New()
	w.must(w.store.Snapshot(block.Cut{Source: w.id, Snapshot: id}))
	w.must(w.store.Checkpoint())
	w.snaps = append(w.snaps, id)
}

// change writes n blocks at random places.
func (w *scattered) change(n int) {
	w.tb.Helper()
	p := make([]byte, block.BlockSize)
	for range n {
		w.fill(p)
		_, err := w.dev.WriteAt(p, w.rnd.Int64N(w.dev.Size()/block.BlockSize)*block.BlockSize)
		w.must(err)
	}
}

// metaBytes is what Pebble's tables take: as they are, and when nothing is left to compact.
func (w *scattered) metaBytes() (now, settled int64) {
	w.tb.Helper()
	db := w.store.db
	w.must(db.Flush())
	now = db.Metrics().Total().TablesSize
	w.must(db.Compact(context.Background(), []byte{0}, []byte{255}, false))
	return now, db.Metrics().Total().TablesSize
}

// BenchmarkMetadata tells what snapshots with 1 % scattered change cost in metadata, in percent of the data that changed:
// in tables, settled and as they are found, and in all that was written to Pebble's log.
func BenchmarkMetadata(b *testing.B) {
	const size, snapshots = 128 << 20, 200
	for b.Loop() {
		w := newScattered(b, size)
		_, before := w.metaBytes()
		written := w.store.db.Metrics().WAL.BytesIn
		for range snapshots {
			w.change(size / block.BlockSize / 100)
			w.snapshot()
		}
		data := float64(snapshots*(size/block.BlockSize/100)*block.BlockSize) / 100
		b.ReportMetric(float64(w.store.db.Metrics().WAL.BytesIn-written)/data, "%log")
		now, settled := w.metaBytes()
		b.ReportMetric(float64(now-before)/data, "%tables")
		b.ReportMetric(float64(settled-before)/data, "%settled")
	}
}
