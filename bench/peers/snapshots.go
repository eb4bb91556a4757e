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
	"tintype/internal/nbd/nbdclient"
)

// sizes of the disks whose snapshots are compared.
var sizes = []diskSize{{"16 GiB", 16, 0.95}, {"256 GiB", 256, 0.9}, {"1 TiB", 1024, 0.9}}

type diskSize struct {
	name string
	gib  int64
	kept float64 // what is wanted of the speed of writes after a snapshot, of that before
}

// subject is a disk of some size with a block in each of its pages, and what was found of it.
type subject struct {
	name   string
	gib    int64
	id     block.ID
	uri    string
	calls  []time.Duration // snapshots taken under writes
	ratios []float64       // writes a second after one, of before
}

const snapshotRow = "snapshot, durable, under QD32 random writes"

// snapshotTrial takes durable snapshots of a disk of some size while fio writes to it.
func snapshotTrial(size diskSize) trial {
	return trial{"snapshot under writes, " + size.name, func(ctx context.Context, c config, r *results) error {
		s, err := newStand(filepath.Join(c.dir, "store"), lsd.Options{})
		if err != nil {
			return err
		}
		return errors.Join(snapshotsOn(ctx, c, s, size, r), s.close())
	}}
}

func snapshotsOn(ctx context.Context, c config, s *stand, size diskSize, r *results) error {
	began := time.Now()
	u := &subject{name: size.name, gib: size.gib}
	if err := u.prepare(s); err != nil {
		return err
	}
	say("%s mapped in %v", u.name, time.Since(began).Round(time.Millisecond))
	if err := u.cutUnderWrites(ctx, s, 3*c.rounds); err != nil { // checkpoints fall into some of the windows
		return err
	}
	r.add(figure{
		Row: snapshotRow, Name: u.name, Unit: "ms", Values: milliseconds(u.calls), Target: 3, AtMost: true,
		Note: fmt.Sprintf("the disk maps %d blocks, one in each page of 256 KiB: all pages of the map, not all bytes; writes go anywhere", u.gib<<30/pageBytes),
	})
	if ratio, ok := r.ratio(snapshotRow, "1 TiB", "16 GiB"); ok {
		r.add(figure{Row: snapshotRow, Name: "1 TiB by 16 GiB", Unit: "×", Values: []float64{ratio}, Target: 2, AtMost: true})
	}
	r.add(figure{Row: snapshotRow, Name: "writes in the 2 s after it, of the 2 s before, " + u.name, Unit: "×", Values: u.ratios, Target: size.kept})
	if err := u.firstByte(ctx, s, c.rounds, r); err != nil {
		return err
	}
	return u.everySecond(ctx, c, s, r)
}

// prepare makes the disk and its map.
func (u *subject) prepare(s *stand) error {
	id, dev, err := s.disk(u.gib << 30)
	if err != nil {
		return err
	}
	if err := scatter(dev, u.gib<<30, 1); err != nil {
		return err
	}
	if err := s.store.Checkpoint(); err != nil {
		return err
	}
	u.id = id
	u.uri, err = s.export(fmt.Sprintf("disk-%d", u.gib), dev)
	return err
}

var writeQD32 = []string{"--rw=randwrite", "--bs=4k", "--iodepth=32"}

func (u *subject) span() string { return fmt.Sprintf("--size=%d", u.gib<<30) }

func (u *subject) snapshot(s *stand) (time.Duration, error) {
	began := time.Now()
	err := s.store.Snapshot(block.Cut{Source: u.id, Snapshot: uuid.New()})
	return time.Since(began), err
}

// cutUnderWrites compares the writes of the two seconds after each snapshot with those of the two before.
func (u *subject) cutUnderWrites(ctx context.Context, s *stand, rounds int) error {
	const window = 2 * time.Second
	l := begin(ctx, u.uri, 600, append([]string{u.span()}, writeQD32...)...)
	defer l.stop()
	written := func(during time.Duration) float64 {
		was := s.store.Stats().Written
		time.Sleep(during)
		return float64(s.store.Stats().Written - was)
	}
	written(window) // to get going
	for range rounds {
		written(window / 2)
		before := written(window)
		took, err := u.snapshot(s)
		if err != nil {
			return err
		}
		u.calls = append(u.calls, took)
		if before == 0 {
			return errors.Join(errors.New("nothing was written"), l.ending())
		}
		u.ratios = append(u.ratios, written(window)/before)
	}
	return l.ending()
}

// everySecond compares how long writes take with a snapshot each second with how long without.
func (u *subject) everySecond(ctx context.Context, c config, s *stand, r *results) error {
	var rates, ratios, without, with []float64
	var calls []time.Duration
	seconds := max(c.seconds, 4)
	args := append([]string{u.span()}, writeQD32...)
	for range min(c.rounds, 3) {
		m, err := begin(ctx, u.uri, seconds, args...).wait()
		if err != nil {
			return err
		}
		l := begin(ctx, u.uri, seconds, args...)
		for range seconds - 1 {
			time.Sleep(time.Second)
			took, err := u.snapshot(s)
			if err != nil {
				return errors.Join(err, l.err)
			}
			calls = append(calls, took)
		}
		n, err := l.wait()
		if err != nil {
			return err
		}
		rates = append(rates, m.IOPS/1000)
		without, with, ratios = append(without, 1000*m.P999), append(with, 1000*n.P999), append(ratios, n.P999/m.P999)
	}
	r.add(figure{Row: snapshotRow, Name: "writes, none taken, " + u.name, Unit: "k/s", Values: rates})
	r.add(figure{Row: snapshotRow, Name: "p99.9 of writes, none taken, " + u.name, Unit: "ms", Values: without})
	r.add(figure{Row: snapshotRow, Name: "p99.9 of writes, one each second, " + u.name, Unit: "ms", Values: with})
	r.add(figure{Row: snapshotRow, Name: "the second by the first, " + u.name, Unit: "×", Values: ratios, Target: 3, AtMost: true})
	r.add(figure{Row: snapshotRow, Name: "one each second, " + u.name, Unit: "ms", Values: milliseconds(calls), Target: 3, AtMost: true})
	return nil
}

// firstByte times the way from a snapshot to the first byte read over NBD of a disk made of it.
func (u *subject) firstByte(ctx context.Context, s *stand, rounds int, r *results) error {
	snap := uuid.New()
	if err := s.store.Snapshot(block.Cut{Source: u.id, Snapshot: snap}); err != nil {
		return err
	}
	var took []time.Duration
	for i := range 2 * rounds {
		began := time.Now()
		id := uuid.New()
		if err := s.store.Clone(id, snap, u.gib<<30); err != nil {
			return err
		}
		dev, err := s.device(id)
		if err != nil {
			return err
		}
		uri, err := s.export(fmt.Sprintf("clone-%d-%d", u.gib, i), dev)
		if err != nil {
			return err
		}
		if err := readOne(ctx, uri, int64(i)*(u.gib<<30)/int64(2*rounds)); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	r.add(figure{
		Row: "a disk from a snapshot, to its first byte read over NBD", Name: "engine and door, " + u.name, Unit: "ms",
		Values: milliseconds(took), Target: 20, AtMost: true,
	})
	return nil
}

func readOne(ctx context.Context, uri string, at int64) error {
	client, err := nbdclient.Dial(ctx, uri)
	if err != nil {
		return err
	}
	_, err = client.ReadAt(make([]byte, 512), at)
	return errors.Join(err, client.Close())
}
