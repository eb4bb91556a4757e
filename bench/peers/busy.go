package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"

	"tintype/internal/lsd"
)

const busyRow = "4k random writes QD32 while a checkpoint or compaction runs"

// busyTrial compares how long writes take while checkpoints follow one another, and while compaction has work, with how long they take
// when the engine does neither.
func busyTrial(ctx context.Context, c config, r *results) error {
	const gib = 4
	s, err := newStand(filepath.Join(c.dir, "store"), lsd.Options{Overhead: 4})
	if err != nil {
		return err
	}
	return errors.Join(busyOn(ctx, c, s, gib, r), s.close())
}

func busyOn(ctx context.Context, c config, s *stand, gib int64, r *results) error {
	_, dev, err := s.disk(gib << 30)
	if err != nil {
		return err
	}
	u := &subject{gib: gib}
	if u.uri, err = s.export("disk", dev); err != nil {
		return err
	}
	if err := randomly(dev, gib<<30/4096); err != nil {
		return err
	}
	if err := s.store.Checkpoint(); err != nil {
		return err
	}
	args := append([]string{u.span()}, writeQD32...)
	seconds := max(c.seconds, 3)
	var idle, busy, ratios, worst, compacting, compactRatios, compactWorst []float64
	for range min(c.rounds, 3) {
		calm, err := begin(ctx, u.uri, seconds, args...).wait()
		if err != nil {
			return err
		}
		check, err := during(s.store.Checkpoint, func() (measurement, error) { return begin(ctx, u.uri, seconds, args...).wait() })
		if err != nil {
			return err
		}
		compact, err := during(s.store.Tighten, func() (measurement, error) { return begin(ctx, u.uri, seconds, args...).wait() })
		if err != nil {
			return err
		}
		idle, busy, compacting = append(idle, 1000*calm.P999), append(busy, 1000*check.P999), append(compacting, 1000*compact.P999)
		ratios, compactRatios = append(ratios, check.P999/calm.P999), append(compactRatios, compact.P999/calm.P999)
		worst, compactWorst = append(worst, 1000*check.Worst), append(compactWorst, 1000*compact.Worst)
	}
	note := "a disk of 4 GiB, all of it mapped at random; checkpoints one after another, then all the compaction that there is, one pass after another"
	r.add(figure{Row: busyRow, Name: "p99.9, neither", Unit: "ms", Values: idle, Note: note})
	r.add(figure{Row: busyRow, Name: "p99.9, checkpoints", Unit: "ms", Values: busy})
	r.add(figure{Row: busyRow, Name: "of neither", Unit: "×", Values: ratios, Target: 3, AtMost: true})
	r.add(figure{Row: busyRow, Name: "longest, checkpoints", Unit: "ms", Values: worst, Target: 50, AtMost: true})
	r.add(figure{Row: busyRow, Name: "p99.9, compaction", Unit: "ms", Values: compacting})
	r.add(figure{Row: busyRow, Name: "of neither", Unit: "×", Values: compactRatios, Target: 3, AtMost: true})
	r.add(figure{Row: busyRow, Name: "longest, compaction", Unit: "ms", Values: compactWorst, Target: 50, AtMost: true})
	return nil
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
