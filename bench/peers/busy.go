package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

const busyRow = "4k random writes QD32 while a checkpoint or compaction runs"

// busyTrial compares how long writes take while checkpoints follow one another, and while compaction has work, with how long they take
// when the engine does neither.
func busyTrial(ctx context.Context, c config, r *results) error {
	const gib = 4
	b := &busy{dir: filepath.Join(c.dir, "store"), size: gib << 30, seconds: max(c.seconds, 3)}
	var calm, checked, compacted []measurement
	for range min(c.rounds, 3) {
		// Overwrites leave dead blocks: four times the live ones are left alone, a quarter of them is not.
		for _, part := range []struct {
			to   *[]measurement
			opt  lsd.Options
			work bool
		}{{&calm, lsd.Options{Overhead: 4}, false}, {&checked, lsd.Options{Overhead: 4}, true}, {&compacted, lsd.Options{Overhead: 0.25}, false}} {
			m, err := b.play(ctx, part.opt, part.work)
			if err != nil {
				return err
			}
			*part.to = append(*part.to, m)
		}
	}
	each := func(all []measurement, value func(int, measurement) float64) (out []float64) {
		for i, m := range all {
			out = append(out, value(i, m))
		}
		return out
	}
	p999 := func(_ int, m measurement) float64 { return 1000 * m.P999 }
	worst := func(_ int, m measurement) float64 { return 1000 * m.Worst }
	ofCalm := func(i int, m measurement) float64 { return m.P999 / calm[i].P999 }
	note := "a disk of 4 GiB, all of it mapped at random; checkpoints one after another; compaction of what overwrites leave dead"
	r.add(figure{Row: busyRow, Name: "p99.9, neither", Unit: "ms", Values: each(calm, p999), Note: note})
	r.add(figure{Row: busyRow, Name: "longest, neither", Unit: "ms", Values: each(calm, worst)})
	for _, kind := range []struct {
		name string
		all  []measurement
	}{{"checkpoints", checked}, {"compaction", compacted}} {
		r.add(figure{Row: busyRow, Name: "p99.9, " + kind.name, Unit: "ms", Values: each(kind.all, p999)})
		r.add(figure{Row: busyRow, Name: kind.name + ": of neither", Unit: "×", Values: each(kind.all, ofCalm), Target: 3, AtMost: true})
		r.add(figure{Row: busyRow, Name: "longest, " + kind.name, Unit: "ms", Values: each(kind.all, worst), Target: 50, AtMost: true})
	}
	return nil
}

// busy is a store that is opened again for each part.
type busy struct {
	dir     string
	size    int64
	seconds int
	id      block.ID // zero until the disk is made
}

func (b *busy) play(ctx context.Context, opt lsd.Options, checkpoints bool) (m measurement, err error) {
	s, err := newStand(b.dir, opt)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var dev block.Device
	if b.id == (block.ID{}) {
		if b.id, dev, err = s.disk(b.size); err == nil {
			err = randomly(dev, b.size/block.BlockSize)
		}
	} else {
		dev, err = s.device(b.id)
	}
	if err != nil {
		return m, err
	}
	uri, err := s.export("disk", dev)
	if err != nil {
		return m, err
	}
	args := append([]string{fmt.Sprintf("--size=%d", b.size)}, writeQD32...)
	if _, err := begin(ctx, uri, 1, args...).wait(); err != nil { // until the map is in memory
		return m, err
	}
	measure := func() (measurement, error) { return begin(ctx, uri, b.seconds, args...).wait() }
	if checkpoints {
		return during(s.store.Checkpoint, measure)
	}
	return measure()
}

// during repeats work in the background while something is measured.
func during(work func() error, measure func() (measurement, error)) (measurement, error) {
	var stop atomic.Bool
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() {
		for !stop.Load() && failed == nil {
			failed = work()
		}
	})
	m, err := measure()
	stop.Store(true)
	wait.Wait()
	return m, errors.Join(err, failed)
}
