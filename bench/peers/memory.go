package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

const (
	memoryRow   = "memory of the map"
	memoryNote  = "a disk of 1 TiB on the machine that this ran on would need 1 TiB of room: what is written is said, and the bound does not depend on the size"
	leafMost    = 840 // bytes of a page's map in memory, when all 64 blocks of the page are mapped
	memoryGiB   = 8
	memoryPages = memoryGiB << 30 / pageBytes
)

// memoryTrial writes a part of a disk of 1 TiB in order, and then a smaller one at random with a map that has room for an eighth.
func memoryTrial(ctx context.Context, c config, r *results) error {
	if err := inOrder(c, r); err != nil {
		return err
	}
	whole, err := randomRate(ctx, c, "whole", lsd.Options{})
	if err != nil {
		return err
	}
	// What --map-memory 1024 is to the map of 1 TiB fully mapped, this is to the map of this disk.
	scaled := int64(1<<30) * memoryGiB / 1024
	part, err := randomRate(ctx, c, "part", lsd.Options{MapMemory: scaled})
	if err != nil {
		return err
	}
	kind := fmt.Sprintf("%d GiB, every block mapped: %d MiB of map at %d bytes a page", memoryGiB, memoryPages*leafMost>>20, leafMost)
	r.add(figure{Row: memoryRow, Name: "4k random writes QD32, all of the map in memory", Unit: "k/s", Values: []float64{whole.rate}, Note: kind})
	r.add(figure{
		Row: memoryRow, Name: "the same, map bounded to " + strconv.FormatInt(scaled>>20, 10) + " MiB", Unit: "k/s", Values: []float64{part.rate},
		Note: "as --map-memory 1024 is to 1 TiB fully mapped, whose map is 3.4 GiB",
	})
	r.add(figure{Row: memoryRow, Name: "most that the map took then", Unit: "MiB", Values: []float64{float64(part.most) / (1 << 20)}, Target: float64(scaled >> 20), AtMost: true})
	r.add(figure{Row: memoryRow, Name: "speed that is left", Unit: "×", Values: []float64{part.rate / whole.rate}})
	return nil
}

// inOrder writes the front of a disk of 1 TiB from front to back.
func inOrder(c config, r *results) (err error) {
	const gib = 12
	s, err := newStand(filepath.Join(c.dir, "order"), lsd.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	_, dev, err := s.disk(1 << 40)
	if err != nil {
		return err
	}
	p := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{9}).Read(p)
	var most int64
	for off := int64(0); off < gib<<30; off += int64(len(p)) {
		if _, err := dev.WriteAt(p, off); err != nil {
			return err
		}
		if off%(64<<20) == 0 {
			most = max(most, s.store.Stats().Map)
		}
	}
	r.add(figure{
		Row: memoryRow, Name: "most, while a disk of 1 TiB is written in order", Unit: "MiB", Values: []float64{float64(most) / (1 << 20)}, Target: 64, AtMost: true,
		Note: fmt.Sprintf("its first %d GiB: it grows up to each checkpoint, of which there were %d, and is given back by it. %s", gib, gib/2, memoryNote),
	})
	return nil
}

// rated is how fast writes were, and what the map took at most.
type rated struct {
	rate float64 // thousands a second
	most int64
}

func randomRate(ctx context.Context, c config, name string, opt lsd.Options) (got rated, err error) {
	s, err := newStand(filepath.Join(c.dir, name), opt)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	_, dev, err := s.disk(memoryGiB << 30)
	if err != nil {
		return got, err
	}
	if err := write(dev, memoryGiB<<30/block.BlockSize, func(i int64, _ *rand.Rand) int64 { return i * block.BlockSize }); err != nil {
		return got, err
	}
	if err := s.store.Checkpoint(); err != nil {
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
