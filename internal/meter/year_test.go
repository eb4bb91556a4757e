package meter

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// BenchmarkYear meters 100,000 snapshots of 1,000 disks on the hour for a year, of which each day 300 are deleted and made
// anew and each hour 50 disks are written. It tells the time of an hour's sample, the size of usage.db, and the time of a month's
// report, written as CSV. Give it -benchtime 1x.
func BenchmarkYear(b *testing.B) {
	for range b.N {
		y := newYear(b, 1000, 100)
		var hours, most time.Duration
		for hour := range 365 * 24 {
			if hour%24 == 0 {
				y.churn(b, 300)
			}
			y.store.write(50)
			y.clock = y.clock.Add(time.Hour)
			began := time.Now()
			if err := y.meter.Tick(b.Context()); err != nil {
				b.Fatal(err)
			}
			took := time.Since(began)
			hours, most = hours+took, max(most, took)
		}
		info, err := os.Stat(filepath.Join(y.dir, "usage.db"))
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		rows, size := y.report(b)
		b.ReportMetric(hours.Seconds()*1000/(365*24), "ms/hour")
		b.ReportMetric(most.Seconds()*1000, "ms/slowest-hour")
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB-usage.db")
		b.ReportMetric(time.Since(began).Seconds(), "s/month-report")
		b.ReportMetric(float64(rows), "rows")
		b.ReportMetric(float64(size)/(1<<20), "MiB-csv")
		b.ReportMetric(0, "ns/op")
	}
}

// year is a meter over a store that is nothing but a list of sizes.
type year struct {
	dir     string
	clock   time.Time
	catalog *catalog.Catalog
	meter   *Service
	store   *sizes
	snaps   []tintype.Volume
	next    int
}

func newYear(b *testing.B, disks, each int) *year {
	b.Helper()
	y := &year{dir: b.TempDir(), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), store: &sizes{at: map[block.ID]int{}}}
	sheet, err := ExamplePrices()
	if err != nil {
		b.Fatal(err)
	}
	if y.catalog, err = catalog.Open(b.Context(), filepath.Join(y.dir, "catalog.db")); err != nil {
		b.Fatal(err)
	}
	y.meter, err = Open(b.Context(), Options{
		File: filepath.Join(y.dir, "usage.db"), Catalog: y.catalog, Volumes: y.store, Prices: sheet,
		Now: func() time.Time { return y.clock }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { y.meter.Close(); y.catalog.Close() })
	y.update(b, func(tx *catalog.Tx) error {
		return tx.PutGroup(tintype.Group{Subscription: testSub, Name: "lab", Location: "westus2", State: tintype.StateSucceeded})
	})
	for d := range disks {
		y.update(b, func(tx *catalog.Tx) error {
			disk := y.volume(tintype.KindDisk, fmt.Sprintf("disk%04d", d))
			disk.SKU = tintype.PremiumLRS
			if err := tx.PutVolume(disk); err != nil {
				return err
			}
			for range each {
				v := y.snapshot(disk)
				y.snaps = append(y.snaps, v)
				if err := tx.PutVolume(v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := y.meter.Tick(b.Context()); err != nil {
		b.Fatal(err)
	}
	return y
}

func (y *year) update(b *testing.B, fn func(*catalog.Tx) error) {
	b.Helper()
	err := y.catalog.Update(b.Context(), func(tx *catalog.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.RecordChanges(y.clock)
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (y *year) volume(kind tintype.Kind, name string) tintype.Volume {
	v := tintype.Volume{
		ID:       tintype.ResourceID{Subscription: testSub, Group: "lab", Kind: kind, Name: name},
		UniqueID: uuid.New(), Created: y.clock, Location: "westus2", Size: 128 * tintype.GiB, SKU: tintype.StandardLRS,
		State: tintype.Unattached, Provisioning: tintype.StateSucceeded, Store: uuid.New(),
	}
	y.store.add(v.Store, int64(10+y.next%50)*tintype.GiB)
	return v
}

func (y *year) snapshot(of tintype.Volume) tintype.Volume {
	y.next++
	v := y.volume(tintype.KindSnapshot, fmt.Sprintf("snap%07d", y.next))
	v.Creation = tintype.Creation{Option: tintype.CreateCopy, Source: of.ID.String(), SourceUniqueID: of.UniqueID}
	return v
}

// churn deletes the oldest snapshots and makes as many new ones.
func (y *year) churn(b *testing.B, n int) {
	b.Helper()
	y.update(b, func(tx *catalog.Tx) error {
		for _, old := range y.snaps[:n] {
			if err := tx.DeleteVolume(old.ID.Key()); err != nil {
				return err
			}
			y.store.remove(old.Store)
			v := y.snapshot(old)
			v.Creation.Source = old.Creation.Source
			if err := tx.PutVolume(v); err != nil {
				return err
			}
			y.snaps = append(y.snaps, v)
		}
		y.snaps = y.snaps[n:]
		return nil
	})
}

// report writes October as CSV.
func (y *year) report(b *testing.B) (rows int64, size int64) {
	b.Helper()
	f, err := os.Create(filepath.Join(y.dir, "october.csv"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	q := Query{Scope: Scope{Subscription: testSub}, From: day(2026, 10, 1), To: day(2026, 11, 1)}
	if rows, err = y.meter.WriteCSV(b.Context(), q, CSVOptions{Subscription: "bench"}, out); err != nil {
		b.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return rows, info.Size()
}

// sizes lists volumes and what they use.
type sizes struct {
	all   []block.Info
	at    map[block.ID]int
	wrote int
}

func (s *sizes) add(id block.ID, used int64) {
	s.at[id] = len(s.all)
	s.all = append(s.all, block.Info{ID: id, Size: 128 * tintype.GiB, Used: used})
}

func (s *sizes) remove(id block.ID) {
	i, last := s.at[id], len(s.all)-1
	s.all[i] = s.all[last]
	s.at[s.all[i].ID] = i
	s.all = s.all[:last]
	delete(s.at, id)
}

// write lets n disks grow by a block.
func (s *sizes) write(n int) {
	for range n {
		s.wrote = (s.wrote + 101) % len(s.all)
		s.all[s.wrote].Used += blockSize
	}
}

func (s *sizes) List() []block.Info { return append([]block.Info(nil), s.all...) }

func (s *sizes) Sizes(id block.ID) (block.Sizes, error) {
	i, ok := s.at[id]
	if !ok {
		return block.Sizes{}, block.ErrNotFound
	}
	return block.Sizes{Used: s.all[i].Used, Provisioned: s.all[i].Size}, nil
}

func (s *sizes) Share(block.ID) (block.Share, error) { return block.Share{Exclusive: blockSize}, nil }

func (s *sizes) Diff(_, _ block.ID, _, _ int64, _ func(block.Extent) bool) error { return nil }

func (s *sizes) Freed(...block.ID) (int64, error) { return 0, nil }

// BenchmarkMonthReport writes a month of 100,000 snapshots as CSV.
func BenchmarkMonthReport(b *testing.B) {
	y := newYear(b, 1000, 100)
	y.clock = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if err := y.meter.Tick(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		rows, size := y.report(b)
		b.ReportMetric(float64(rows), "rows")
		b.ReportMetric(float64(size)/(1<<20), "MiB-csv")
	}
}
