package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs/crashfs"
)

// RunRot plays the history of a seed to an orderly stop. Then bits flip in the files that it has left, several times over, each
// time from the same beginning. Whatever is read afterwards is what was written or an error that says damage; the check and the
// scrub name every block that cannot be read; and the store goes on with what is left.
func RunRot(seed uint64, cfg Config) error {
	s := newSim(seed, cfg)
	s.zones.dirs, s.opt.Zones = nil, nil // copies would heal
	if err := s.start(crashfs.New(seed)); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	for s.step = range cfg.Steps {
		if err := s.one(); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s: %w", s.step, s.doing, err), s.stop())
		}
	}
	if err := errors.Join(s.keyBack(), s.verify(), s.stop()); err != nil {
		return err
	}
	left := s.fs.disk
	for round := range 3 {
		again := &sim{rng: s.rng, opt: s.options(), volumes: maps.Clone(s.volumes), hash: s.hash}
		r := &rot{sim: again, disk: left.AfterRestart()}
		r.disk.SetFree(1 << 40) // where the history filled it
		if err := r.run(); err != nil {
			return fmt.Errorf("rot %d, %q: %w", round, r.hurt, err)
		}
	}
	return nil
}

// rot is a store whose files have been hurt.
type rot struct {
	*sim
	disk *crashfs.FS
	hurt []string
	bad  map[block.ID][]uint64 // blocks that cannot be read
	shut map[block.ID]bool     // volumes that do not open
}

func (r *rot) run() error {
	if err := r.flip(); err != nil {
		return err
	}
	var err error
	if r.store, err = lsd.Open(r.disk, "engine", r.opt); err != nil {
		if !errors.Is(err, block.ErrDamaged) {
			return fmt.Errorf("open: %w", err)
		}
		return r.salvage()
	}
	for _, do := range []func() error{r.verifyList, r.readAll, r.named, r.salvage, r.goOn, r.readAll, r.end} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		_ = r.store.Close() // it has failed before
	}
	return err
}

// flip changes one to three bytes somewhere in the segments or in Pebble's files.
func (r *rot) flip() error {
	for range 1 + r.rng.IntN(3) {
		dir := []string{"engine/segments", "engine/meta"}[r.rng.IntN(2)]
		names, err := r.disk.List(dir)
		if err != nil || len(names) == 0 {
			return err
		}
		name := path.Join(dir, names[r.rng.IntN(len(names))])
		info, err := r.disk.Stat(name)
		if err != nil || info.Size == 0 {
			continue
		}
		off := r.rng.Int64N(info.Size)
		if err := r.disk.Flip(name, off); err != nil {
			return err
		}
		r.hurt = append(r.hurt, fmt.Sprintf("%s at %d", name, off))
	}
	return nil
}

// readAll reads every block that has data, and one that has none.
func (r *rot) readAll() error {
	r.bad, r.shut = map[block.ID][]uint64{}, map[block.ID]bool{}
	for id, v := range r.volumes {
		d, err := r.store.OpenVolume(id)
		if err != nil {
			if !errors.Is(err, block.ErrDamaged) {
				return fmt.Errorf("open %s: %w", id, err)
			}
			r.shut[id] = true
			continue
		}
		lbas := slices.Sorted(maps.Keys(v.now))
		lbas = append(lbas, uint64(r.rng.Int64N((v.size+block.BlockSize-1)/block.BlockSize)))
		for _, lba := range lbas {
			if err := r.read(v, d, lba); err != nil {
				return errors.Join(err, d.Close())
			}
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	return nil
}

// read reads one block: it is right, or damaged.
func (r *rot) read(v *volume, d block.Device, lba uint64) error {
	off := int64(lba) * block.BlockSize
	got := make([]byte, min(block.BlockSize, v.size-off))
	if _, err := d.ReadAt(got, off); err != nil {
		if !errors.Is(err, block.ErrDamaged) {
			return fmt.Errorf("volume %s block %d: %w", v.id, lba, err)
		}
		r.bad[v.id] = append(r.bad[v.id], lba)
		return nil
	}
	if !v.holds(lba, got) {
		return fmt.Errorf("volume %s (snapshot: %t): block %d reads other data", v.id, v.snapshot, lba)
	}
	return nil
}

// holds tells whether a block is as the model has it.
func (v *volume) holds(lba uint64, got []byte) bool {
	want := make([]byte, block.BlockSize)
	if c := v.now[lba]; c != nil {
		want = c.data
	}
	return bytes.Equal(got, want[:len(got)])
}

// named checks that check and scrub name every block that cannot be read.
func (r *rot) named() error {
	report, err := r.store.Check(context.Background())
	if err == nil {
		err = r.store.Scrub(context.Background())
	}
	if err != nil {
		return fmt.Errorf("check and scrub: %w", err)
	}
	for what, all := range map[string][]lsd.Damage{"check": report.Damages, "scrub": r.store.ScrubReport().Damages} {
		for id, lbas := range r.bad {
			for _, lba := range lbas {
				if !names(all, id, lba) {
					return fmt.Errorf("the %s does not name block %d of %s: %+v %q", what, lba, id, all, report.Problems)
				}
			}
		}
		for id := range r.shut {
			if r.volumes[id].size > 0 && !names(all, id, 0) {
				return fmt.Errorf("the %s does not name %s, which does not open: %+v", what, id, all)
			}
		}
	}
	if len(r.bad)+len(r.shut) > 0 && report.Clean() {
		return errors.New("the check finds nothing")
	}
	return nil
}

func names(all []lsd.Damage, id block.ID, lba uint64) bool {
	return slices.ContainsFunc(all, func(d lsd.Damage) bool {
		return lba >= d.Block && lba < d.Block+d.Blocks && slices.Contains(d.Volumes, id)
	})
}

// salvage gets everything out. By the metadata it is right or told as lost; without, nothing is promised but an end.
func (r *rot) salvage() error {
	v, err := lsd.OpenSalvage(r.disk, "engine", r.opt)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	for _, one := range v.Volumes() {
		model := r.volumes[one.ID]
		promised := model != nil && len(v.Notes()) == 0 && len(one.Notes) == 0
		got := map[uint64]bool{}
		var wrong error
		lost, err := v.Extract(context.Background(), one, func(p []byte, off int64) error {
			lba := uint64(off / block.BlockSize)
			if got[lba] = true; promised && !model.holds(lba, p) {
				wrong = fmt.Errorf("salvage: volume %s block %d is other data", one.ID, lba)
			}
			return nil
		})
		if err = errors.Join(err, wrong); err != nil {
			return errors.Join(err, v.Close())
		}
		for _, l := range lost {
			for off := l.Offset; off < l.Offset+l.Bytes; off += block.BlockSize {
				got[uint64(off/block.BlockSize)] = true
			}
		}
		for lba := range model.blocks(promised) {
			if !got[lba] {
				return errors.Join(fmt.Errorf("salvage: volume %s block %d is neither there nor lost", one.ID, lba), v.Close())
			}
		}
	}
	return v.Close()
}

// blocks are those that have data; none of a volume of which nothing is promised.
func (v *volume) blocks(promised bool) state {
	if !promised {
		return nil
	}
	return v.now
}

// goOn writes, cuts, compacts, puts in order and checkpoints. What fails has to say damage.
func (r *rot) goOn() error {
	damaged := func(err error) bool { return errors.Is(err, block.ErrDamaged) || errors.Is(err, block.ErrFailed) }
	for id, v := range r.volumes {
		if v.snapshot || r.shut[id] {
			continue
		}
		d, err := r.store.OpenVolume(id)
		if err != nil {
			return err
		}
		off := r.rng.Int64N(v.size)
		p := make([]byte, min(v.size-off, 20000))
		r.fill(p)
		// A write that fails half-way has written a part: the model forgets the disk.
		_, err = d.WriteAt(p, off)
		if err = errors.Join(err, d.Flush(), d.Close()); err != nil && !damaged(err) {
			return fmt.Errorf("write %s: %w", id, err)
		}
		now := maps.Clone(v.now)
		r.volumes[id] = &volume{id: id, size: v.size, now: now}
		if err == nil {
			r.applyWrite(r.volumes[id], off, p)
			continue
		}
		delete(r.volumes, id)
	}
	for _, err := range []error{r.store.Checkpoint(), r.compactAll(), r.orderAll(), r.punchAll(), r.store.Reclaim()} {
		if err != nil && !damaged(err) {
			return fmt.Errorf("going on: %w", err)
		}
	}
	return nil
}

func (r *rot) compactAll() error {
	_, err := r.store.Compact(0.05)
	return err
}

func (r *rot) orderAll() error {
	_, err := r.store.Order(1000)
	return err
}

func (r *rot) punchAll() error {
	_, err := r.store.Punch(0)
	return err
}

// end deletes all and stops.
func (r *rot) end() error {
	for _, i := range r.store.List() {
		if err := r.store.Delete(i.ID); err != nil {
			return fmt.Errorf("delete %s: %w", i.ID, err)
		}
	}
	for _, err := range []error{r.store.Reclaim(), r.store.Close()} {
		if err != nil && !errors.Is(err, block.ErrDamaged) && !errors.Is(err, block.ErrFailed) {
			return fmt.Errorf("the end: %w", err)
		}
	}
	return nil
}
