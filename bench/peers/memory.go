package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

const (
	memoryRow   = "memory of the map"
	memoryGiB   = 16
	memoryPages = memoryGiB << 30 / pageBytes
	leafMost    = 840 // bytes of a page's map in memory, when all 64 blocks of the page are mapped
)

// memoryTrial writes the front of a disk of 1 TiB in order, and then at random, once with all of its map in memory and once with as small
// a part of it as 1 GiB is of the map of 1 TiB.
func memoryTrial(ctx context.Context, c config, r *results) error {
	id, err := inOrder(c, r)
	if err != nil {
		return err
	}
	whole, err := randomRate(ctx, c, id, lsd.Options{})
	if err != nil {
		return err
	}
	const scaled = 1 << 30 / (1024 / memoryGiB)
	part, err := randomRate(ctx, c, id, lsd.Options{MapMemory: scaled})
	if err != nil {
		return err
	}
	r.add(figure{
		Row: memoryRow, Name: "4k random writes QD32, all of the map in memory", Unit: "k/s", Values: []float64{whole.rate},
		Note: fmt.Sprintf("%d GiB of the disk, every block mapped: %d MiB of map at %d bytes a page; 1 TiB has 3.3 GiB of it", memoryGiB, memoryPages*leafMost>>20, leafMost),
	})
	r.add(figure{
		Row: memoryRow, Name: fmt.Sprintf("the same, map bounded to %d MiB", scaled>>20), Unit: "k/s", Values: []float64{part.rate},
		Note: "as --map-memory 1024 is to 1 TiB; checkpoints are as much smaller, and so more often, than there",
	})
	r.add(figure{Row: memoryRow, Name: "most that the map took then", Unit: "MiB", Values: []float64{float64(part.most) / (1 << 20)}, Target: scaled >> 20, AtMost: true})
	r.add(figure{Row: memoryRow, Name: "speed that is left", Unit: "×", Values: []float64{part.rate / whole.rate}})
	return nil
}

// inOrder writes the front of a disk of 1 TiB from front to back.
func inOrder(c config, r *results) (id block.ID, err error) {
	s, err := newStand(filepath.Join(c.dir, "store"), lsd.Options{})
	if err != nil {
		return id, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	id, dev, err := s.disk(1 << 40)
	if err != nil {
		return id, err
	}
	p := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{9}).Read(p)
	var most int64
	for off := int64(0); off < memoryGiB<<30; off += int64(len(p)) {
		if _, err := dev.WriteAt(p, off); err != nil {
			return id, err
		}
		if off%(64<<20) == 0 {
			most = max(most, s.store.Stats().Map)
		}
	}
	r.add(figure{
		Row: memoryRow, Name: "most, while a disk of 1 TiB is written in order", Unit: "MiB", Values: []float64{float64(most) / (1 << 20)}, Target: 64, AtMost: true,
		Note: fmt.Sprintf("its first %d GiB: it grows up to each checkpoint, after 2 GiB at most, and is given back by it; so the rest of the disk adds nothing", memoryGiB),
	})
	return id, nil
}

// rated is how fast writes were, and what the map took at most.
type rated struct {
	rate float64 // thousands a second
	most int64
}

func randomRate(ctx context.Context, c config, id block.ID, opt lsd.Options) (got rated, err error) {
	s, err := newStand(filepath.Join(c.dir, "store"), opt)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	dev, err := s.device(id)
	if err != nil {
		return got, err
	}
	uri, err := s.export("disk", dev)
	if err != nil {
		return got, err
	}
	args := append([]string{fmt.Sprintf("--size=%dg", memoryGiB)}, writeQD32...)
	if _, err := begin(ctx, uri, c.seconds, args...).wait(); err != nil { // until it is as it stays
		return got, err
	}
	l := begin(ctx, uri, 2*c.seconds, args...)
	for end := time.Now().Add(time.Duration(2*c.seconds) * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got.most = max(got.most, s.store.Stats().Map)
	}
	m, err := l.wait()
	got.rate = m.IOPS / 1000
	return got, err
}
