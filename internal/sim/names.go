package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// most volumes a history keeps, so that checks stay quick.
const mostVolumes = 24

func (s *sim) create() error {
	if len(s.volumes) >= mostVolumes {
		return s.delete()
	}
	v := newVolume(s.newID(), s.size(), nil)
	v.now, v.durable = state{}, state{}
	s.volumes[v.id] = v
	if err := s.store.Create(v.id, v.size); err != nil || s.redundancy() == block.Local {
		return err
	}
	return s.store.SetRedundancy(v.id, block.Zonal)
}

// snapshot cuts one to three volumes at once.
func (s *sim) snapshot() error {
	if len(s.volumes) >= mostVolumes {
		return s.delete()
	}
	var cuts []block.Cut
	for range 1 + s.rng.IntN(6)/4 {
		v := s.pick(any1)
		if v == nil {
			return nil
		}
		cuts = append(cuts, block.Cut{Source: v.id, Snapshot: s.newID(), Redundancy: s.redundancy()})
	}
	points := map[block.ID]*point{}
	for _, c := range cuts {
		from := s.volumes[c.Source]
		snap := newVolume(c.Snapshot, from.size, from.now)
		snap.snapshot, snap.root = true, from.root
		snap.key, snap.keyWas = from.key, from.key
		if !from.snapshot && points[from.id] == nil {
			points[from.id] = from.cut()
		}
		snap.line = slices.Clone(from.line)
		here := snap.line[len(snap.line)-1]
		here.snapshots = append(here.snapshots, snap.id)
		s.volumes[snap.id] = snap
	}
	if err := s.store.Snapshot(cuts...); err != nil {
		return err
	}
	for _, c := range cuts {
		s.volumes[c.Source].flushed()
	}
	return nil
}

// cut ends an epoch of a disk.
func (v *volume) cut() *point {
	p := &point{held: maps.Clone(v.now)}
	v.line = append(v.line, p)
	return p
}

func (s *sim) clone() error {
	from := s.pick(any1)
	if from == nil || len(s.volumes) >= mostVolumes {
		return s.delete()
	}
	size := from.size
	if s.rng.IntN(3) == 0 {
		size += s.rng.Int64N(1000) * block.SectorSize
	}
	v := newVolume(s.newID(), size, from.now)
	if !from.snapshot {
		from.cut()
	}
	v.root, v.line = from.root, slices.Clone(from.line)
	v.key, v.keyWas = from.key, from.key
	s.branched[v.root] = true
	s.volumes[v.id] = v
	if err := s.store.Clone(v.id, from.id, size); err != nil {
		return err
	}
	if r := s.redundancy(); r != block.Local {
		if err := s.store.SetRedundancy(v.id, r); err != nil {
			return err
		}
	}
	from.flushed()
	return nil
}

func (s *sim) delete() error {
	v := s.pickAny(any1)
	if v == nil {
		return nil
	}
	if h := s.handles[v.id]; h != nil {
		if err := s.store.Delete(v.id); !errors.Is(err, block.ErrInUse) {
			return fmt.Errorf("delete of an open volume: %w", err)
		}
		if err := h.Close(); err != nil {
			return err
		}
		delete(s.handles, v.id)
	}
	delete(s.volumes, v.id)
	return s.store.Delete(v.id)
}

func (s *sim) resize() error {
	v := s.pick(isDisk)
	if v == nil {
		return nil
	}
	v.size += s.rng.Int64N(5000) * block.SectorSize
	return s.store.Resize(v.id, v.size)
}

// reopen stops and starts in an orderly way; then nothing may be lost, flushed or not.
func (s *sim) reopen() error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(s.fs.disk.Restart()); err != nil {
		return err
	}
	return s.verify()
}

// crashIn kills the process or cuts the power at a random file operation of do, or between operations when do is nil or
// comes to its end before. Afterwards every volume must be as the interrupted operation found it or as it leaves it.
func (s *sim) crashIn(do func() error) error {
	was, whole := s.remember(), s.zonesWhole()
	power := s.rng.IntN(3) > 0
	s.retired = nil
	if do != nil {
		s.fs.arm(1+s.rng.IntN(12), power)
		if err := do(); err != nil {
			return err
		}
	}
	whole = whole && s.zonesWhole()
	picture := s.fs.taken()
	if picture == nil {
		was = nil
		s.fs.arm(1, power)
		s.fs.step()
		picture = s.fs.taken()
	}
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.beforeStart(picture, whole); err != nil {
		return err
	}
	return s.restart(picture, was, power)
}

// restart goes on from a picture. Where was is not nil, an operation was interrupted that began in that state.
func (s *sim) restart(picture *crashfs.FS, was *memory, power bool) error {
	s.chooseRing(was != nil)
	if err := s.start(picture); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if was != nil {
		if err := s.choose(was); err != nil {
			return err
		}
	}
	for _, v := range s.volumes {
		if power {
			v.settled = 0 // also for one whose key is away, which is settled at a later start
		} else {
			v.survived()
		}
	}
	return s.recovered()
}

// memory is what the model was before an operation.
type memory struct {
	volumes map[block.ID]*volume
	sizes   map[block.ID]int64
	durable map[block.ID]*volume
}

func (s *sim) remember() *memory {
	m := &memory{volumes: maps.Clone(s.volumes), sizes: map[block.ID]int64{}, durable: s.durables()}
	for id, v := range s.volumes {
		m.sizes[id] = v.size
	}
	return m
}

// durables remembers for each disk what was durable and what came after, since the operation may move that line.
func (s *sim) durables() map[block.ID]*volume {
	kept := map[block.ID]*volume{}
	for id, v := range s.volumes {
		kept[id] = &volume{durable: maps.Clone(v.durable), changes: append([]change(nil), v.changes...), settled: v.settled}
	}
	return kept
}

// choose decides for the volumes that the interrupted operation made, deleted or resized which of the two it is, by what
// the store lists. All or none of the cuts of one snapshot must be there.
func (s *sim) choose(was *memory) error {
	listed := map[block.ID]block.Info{}
	for _, i := range s.store.List() {
		listed[i.ID] = i
	}
	made, there := 0, 0
	for id := range s.volumes {
		if was.volumes[id] == nil {
			made++
			if _, ok := listed[id]; ok {
				there++
			} else {
				delete(s.volumes, id)
			}
		}
	}
	if there != 0 && there != made {
		return fmt.Errorf("%d of %d volumes of one operation exist", there, made)
	}
	for id, v := range was.volumes {
		i, ok := listed[id]
		if !ok {
			if s.volumes[id] != nil {
				return fmt.Errorf("volume %s is gone", id)
			}
			continue
		}
		if i.Size != v.size && i.Size != was.sizes[id] {
			return fmt.Errorf("volume %s has size %d", id, i.Size)
		}
		v.size = i.Size
		s.volumes[id] = v
		if v.snapshot {
			continue
		}
		v.rewind(was.durable[id], made > 0 && there > 0)
	}
	return nil
}

// rewind takes back that the interrupted operation made changes durable, unless it is known to have been completed.
func (v *volume) rewind(was *volume, completed bool) {
	if completed {
		return
	}
	changes := v.changes
	if len(changes) < len(was.changes) { // flushed in between: the changes are all those from before
		changes = was.changes
	}
	v.durable, v.changes, v.settled = was.durable, changes, was.settled
}

// recoverOne settles a disk, unless its key is away: then that has to wait.
func (s *sim) recoverOne(v *volume) error {
	if v.unsettled = s.locked(v) && !v.snapshot; v.snapshot || v.unsettled {
		return nil
	}
	got, err := s.scan(v)
	if err == nil {
		err = v.settle(got)
	}
	return err
}

// recovered settles every disk at a point of its history and verifies the rest.
func (s *sim) recovered() error {
	if err := s.recoverKeys(); err != nil {
		return err
	}
	for _, v := range s.volumes {
		if err := s.recoverOne(v); err != nil {
			return err
		}
	}
	return s.verify()
}
