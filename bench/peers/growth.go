package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

// growthTrial shows how what things cost grows with the size of a disk, the depth of clones, the number of snapshots and that of disks:
// a durable snapshot, a clone, and the first read of a clone, each with writes before it.
func growthTrial(_ context.Context, c config, r *results) error {
	by := []struct {
		chart *chart
		play  func(config, *chart) error
	}{
		{&chart{File: "growth-size", Title: "by the size of the disk, a block in each 256 KiB", Axis: "GiB", Unit: "ms"}, growBySize},
		{&chart{File: "growth-depth", Title: "by the depth of clones of clones", Axis: "clones deep", Unit: "ms"}, growByDepth},
		{&chart{File: "growth-snapshots", Title: "by the number of snapshots of the disk", Axis: "snapshots", Unit: "ms"}, growBySnapshots},
		{&chart{File: "growth-disks", Title: "by the number of disks in the store", Axis: "disks", Unit: "ms"}, growByDisks},
	}
	for i, g := range by {
		part := c
		part.dir = filepath.Join(c.dir, fmt.Sprint(i))
		if err := g.play(part, g.chart); err != nil {
			return fmt.Errorf("%s: %w", g.chart.File, err)
		}
		r.charts = append(r.charts, *g.chart)
	}
	return nil
}

// costs measures a volume: each figure is the middle of several.
func (s *stand) costs(id block.ID, dev block.Device, at float64, to *chart) error {
	const times = 7
	var snapshots, clones, reads, writes []time.Duration
	timed := func(all *[]time.Duration, do func() error) error {
		began := time.Now()
		err := do()
		*all = append(*all, time.Since(began))
		return err
	}
	p := make([]byte, block.BlockSize)
	for i := range times {
		if err := randomly(dev, 200); err != nil {
			return err
		}
		snap, clone := uuid.New(), uuid.New()
		var copied block.Device
		err := timed(&snapshots, func() error { return s.store.Snapshot(block.Cut{Source: id, Snapshot: snap}) })
		if err == nil {
			err = timed(&clones, func() error { return s.store.Clone(clone, snap, dev.Size()) })
		}
		if err == nil {
			copied, err = s.store.OpenVolume(clone)
		}
		if err != nil {
			return err
		}
		off := dev.Size() / times * int64(i) / pageBytes * pageBytes
		err = timed(&reads, func() error {
			_, err := copied.ReadAt(p, off)
			return err
		})
		if err == nil {
			err = timed(&writes, func() error {
				_, err := dev.WriteAt(p, off)
				return err
			})
		}
		if err := errors.Join(err, copied.Close(), s.store.Delete(clone), s.store.Delete(snap)); err != nil {
			return err
		}
	}
	middle := func(all []time.Duration) float64 { return float64(quantile(all, 0.5).Nanoseconds()) / 1e6 }
	to.add("durable snapshot", at, middle(snapshots))
	to.add("clone", at, middle(clones))
	to.add("first read of the clone", at, middle(reads))
	to.add("write after the snapshot", at, middle(writes))
	return nil
}

func growBySize(c config, to *chart) error {
	for _, gib := range []int64{1, 4, 16, 64, 256} {
		err := withStand(c, fmt.Sprint(gib), func(s *stand) error {
			id, dev, err := s.disk(gib << 30)
			if err == nil {
				err = scatter(dev, gib<<30, 1)
			}
			if err == nil {
				err = s.store.Checkpoint()
			}
			if err != nil {
				return err
			}
			return s.costs(id, dev, float64(gib), to)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scattered makes a disk of so many bytes that was written here and there.
func (s *stand) scattered(size int64) (block.ID, block.Device, error) {
	id, dev, err := s.disk(size)
	if err == nil {
		err = scatter(dev, size, 1)
	}
	return id, dev, err
}

func growByDepth(c config, to *chart) error {
	return withStand(c, "depth", func(s *stand) error {
		const gib = 1
		id, dev, err := s.scattered(gib << 30)
		if err != nil {
			return err
		}
		for depth := 1; depth <= 256; depth++ {
			next := uuid.New()
			if err := s.store.Clone(next, id, gib<<30); err != nil {
				return err
			}
			if id = next; depth&(depth-1) != 0 {
				continue
			}
			if dev, err = s.device(id); err != nil {
				return err
			}
			if err := s.costs(id, dev, float64(depth), to); err != nil {
				return err
			}
		}
		return nil
	})
}

func growBySnapshots(c config, to *chart) error {
	return withStand(c, "snapshots", func(s *stand) error {
		const gib = 1
		id, dev, err := s.scattered(gib << 30)
		if err != nil {
			return err
		}
		made := 0
		for _, n := range []int{1, 10, 100, 1000, 10_000} {
			for ; made < n; made++ {
				if made%10 == 0 || n <= 1000 { // of the many, some share what they hold
					if err := randomly(dev, 10); err != nil {
						return err
					}
				}
				if err := s.store.Snapshot(block.Cut{Source: id, Snapshot: uuid.New()}); err != nil {
					return err
				}
			}
			if err := s.costs(id, dev, float64(n), to); err != nil {
				return err
			}
		}
		return nil
	})
}

func growByDisks(c config, to *chart) error {
	return withStand(c, "disks", func(s *stand) error {
		const gib = 1
		var id block.ID
		var dev block.Device
		made := 0
		for _, n := range []int{1, 10, 100, 1000} {
			for ; made < n; made++ {
				var err error
				if id, dev, err = s.disk(gib << 30); err != nil {
					return err
				}
				if err := randomly(dev, 10); err != nil {
					return err
				}
			}
			if err := s.costs(id, dev, float64(n), to); err != nil {
				return err
			}
		}
		return nil
	})
}

func withStand(c config, name string, do func(*stand) error) error {
	s, err := newStand(filepath.Join(c.dir, name), lsd.Options{})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.close())
}
