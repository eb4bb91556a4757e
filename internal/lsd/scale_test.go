package lsd

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

var blocksFlag = flag.Int("lsd.blocks", 20_000, "BenchmarkDiff and the like: how many blocks change; a million is what counts")

// scattered is a disk that was written in order, and then again and again at random places with a snapshot after each.
type scattered struct {
	tb    testing.TB
	store *Store
	id    block.ID
	dev   block.Device
	rnd   *rand.Rand
	snaps []block.ID
}

func newScattered(tb testing.TB, size int64, opt Options) *scattered {
	tb.Helper()
	opt.IdleSeal = -1
	s, err := Open(hollowFS{vfs.OS()}, tb.TempDir()+"/engine", opt)
	if err != nil {
		tb.Fatal(err)
	}
	w := &scattered{tb: tb, store: s, id: uuid.New(), rnd: rand.New(rand.NewPCG(1, 2))}
	w.must(s.Create(w.id, size))
	w.dev, err = s.OpenVolume(w.id)
	w.must(err)
	tb.Cleanup(func() {
		w.must(w.dev.Close())
		w.must(s.Close())
	})
	return w
}

// write writes all of the disk, in order.
func (w *scattered) write() {
	p := make([]byte, 1<<20)
	for off := int64(0); off < w.dev.Size(); off += int64(len(p)) {
		w.fill(p)
		_, err := w.dev.WriteAt(p, off)
		w.must(err)
	}
}

// hollowFS keeps of segments only the headers: metadata is measured at sizes for which there is no room.
type hollowFS struct{ vfs.FS }

func (h hollowFS) Create(name string) (vfs.File, error) {
	f, err := h.FS.Create(name)
	if err == nil && strings.HasSuffix(name, segmentSuffix) {
		f = hollowFile{f}
	}
	return f, err
}

type hollowFile struct{ vfs.File }

func (f hollowFile) WriteAt(p []byte, off int64) (int, error) {
	if off == 0 {
		return f.File.WriteAt(p, off)
	}
	return len(p), nil
}

func (f hollowFile) Allocate(int64, int64) error { return nil }
func (f hollowFile) Sync() error                 { return nil }
func (f hollowFile) SyncData() error             { return nil }

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

// snapshot makes one.
func (w *scattered) snapshot() block.ID {
	w.tb.Helper()
	id := uuid.New()
	w.must(w.store.Snapshot(block.Cut{Source: w.id, Snapshot: id}))
	w.snaps = append(w.snaps, id)
	return id
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
		w := newScattered(b, size, Options{Manual: true})
		w.write()
		w.snapshot()
		w.must(w.store.Checkpoint())
		_, before := w.metaBytes()
		written := w.store.db.Metrics().WAL.BytesIn
		for range snapshots {
			w.change(size / block.BlockSize / 100)
			w.snapshot()
			w.must(w.store.Checkpoint())
		}
		data := float64(snapshots*(size/block.BlockSize/100)*block.BlockSize) / 100
		b.ReportMetric(float64(w.store.db.Metrics().WAL.BytesIn-written)/data, "%log")
		now, settled := w.metaBytes()
		b.ReportMetric(float64(now-before)/data, "%tables")
		b.ReportMetric(float64(settled-before)/data, "%settled")
	}
}

// BenchmarkDiff asks what changed between two snapshots that lie 20 others apart: all of it, and in a 64th of the disk.
// About four blocks change in each page that does.
func BenchmarkDiff(b *testing.B) {
	size := int64(*blocksFlag) * 16 * block.BlockSize
	w := newScattered(b, size, Options{Manual: true})
	w.change(*blocksFlag)
	first := w.snapshot()
	for range 20 {
		w.change(*blocksFlag / 20)
		w.snapshot()
		w.must(w.store.Checkpoint())
	}
	last := w.snaps[len(w.snaps)-1]
	for _, part := range []struct {
		name string
		n    int64
	}{{"whole", size}, {"part", size / 64}} {
		b.Run(part.name, func(b *testing.B) {
			began := cpuTime()
			defer func() { b.ReportMetric(float64((cpuTime()-began).Milliseconds())/float64(b.N), "cpu-ms") }()
			for b.Loop() {
				var changed int64
				err := w.store.Diff(first, last, 0, part.n, func(x block.Extent) bool {
					changed += x.Len / block.BlockSize
					return true
				})
				w.must(err)
				b.ReportMetric(float64(changed), "blocks")
			}
		})
	}
}

// cpuTime is what the process has used: it says more than the time of day where others work too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDelete deletes a snapshot with many changed blocks among a thousand others, and then those, while it is being reclaimed
// and while as many changes are checkpointed. It makes its store once, which takes most of its time. Beside each delete it times the
// bare sync of a small file in the same folder, which tells what the machine makes of it.
func BenchmarkDelete(b *testing.B) {
	w := newScattered(b, int64(*blocksFlag)*16*block.BlockSize, Options{})
	for range 1000 {
		w.change(10)
		w.snapshot()
	}
	others := w.snaps
	w.change(*blocksFlag)
	large := w.snapshot()
	w.change(*blocksFlag)
	w.snapshot()
	w.must(w.store.Checkpoint())
	deletes, syncs := w.timeDeletes([]block.ID{large})
	b.ReportMetric(deletes[0], "large-ms")
	b.ReportMetric(syncs[0], "large-bare-ms")
	half := len(others) / 2
	w.report(b, "reclaiming", others[:half])
	w.change(*blocksFlag)
	done := make(chan error)
	go func() { done <- w.store.Checkpoint() }()
	w.report(b, "checkpoint", others[half:])
	w.must(<-done)
	b.ReportMetric(0, "ns/op")
}

// timeDeletes deletes snapshots, a few milliseconds apart, and returns how long each took, and how long a bare sync beside each, in
// milliseconds, sorted.
func (w *scattered) timeDeletes(ids []block.ID) (deletes, syncs []float64) {
	w.tb.Helper()
	f, err := os.Create(filepath.Join(w.tb.TempDir(), "bare"))
	w.must(err)
	timed := func(do func() error) float64 {
		began := time.Now()
		w.must(do())
		return float64(time.Since(began).Microseconds()) / 1000
	}
	for _, id := range ids {
		deletes = append(deletes, timed(func() error { return w.store.Delete(id) }))
		syncs = append(syncs, timed(func() error {
			_, err := f.Write(make([]byte, 128))
			return errors.Join(err, f.Sync())
		}))
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(deletes)
	slices.Sort(syncs)
	w.must(f.Close())
	return deletes, syncs
}

func (w *scattered) report(b *testing.B, during string, ids []block.ID) {
	w.tb.Helper()
	deletes, syncs := w.timeDeletes(ids)
	for what, ms := range map[string][]float64{"": deletes, "bare-": syncs} {
		b.ReportMetric(ms[len(ms)/2], during+"-"+what+"median-ms")
		b.ReportMetric(ms[len(ms)*99/100], during+"-"+what+"p99-ms")
		b.ReportMetric(ms[len(ms)-1], during+"-"+what+"max-ms")
	}
}

// BenchmarkSizes asks what is incremental and exclusive of a snapshot among a thousand, and what deleting half of them frees.
func BenchmarkSizes(b *testing.B) {
	w := newScattered(b, int64(*blocksFlag)*16*block.BlockSize, Options{Manual: true})
	w.change(*blocksFlag)
	for range 1000 {
		w.change(*blocksFlag / 1000)
		w.snapshot()
	}
	w.must(w.store.Checkpoint())
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			_, err := w.store.Share(w.snaps[w.rnd.IntN(len(w.snaps))])
			w.must(err)
		}
	})
	b.Run("half", func(b *testing.B) {
		for b.Loop() {
			_, err := w.store.Freed(w.snaps[:len(w.snaps)/2]...)
			w.must(err)
		}
	})
}
