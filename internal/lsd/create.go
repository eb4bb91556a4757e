package lsd

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

func checkSize(size int64) error {
	if size <= 0 || size > block.MaxSize || size%block.SectorSize != 0 {
		return fmt.Errorf("%w: %d", block.ErrBadSize, size)
	}
	return nil
}

// Create makes an empty disk of size bytes. It is durable when Create returns nil. ErrExists says that the id is taken.
func (s *Store) Create(id block.ID, size int64) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	if err := checkSize(size); err != nil {
		return err
	}
	v, err := s.claim(id, block.KindDisk)
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	l := s.newLineage(nil, 0, id, size)
	s.begins(v, l, nil)
	return s.settle([]*volume{v}, func(b *pebble.Batch) error { return s.putDisk(b, v, l) })
}

// putDisk adds a new disk's records to a batch.
func (s *Store) putDisk(b *pebble.Batch, v *volume, l *lineage) error {
	return errors.Join(
		putRecord(b, idKey(keyLineage, l.id), l.record()),
		putVolume(b, v),
		putRecord(b, idKey(keyCheckpoint, l.id), l.disk.Load().checkpointed),
		s.putStore(b),
	)
}

// begins attaches a new disk's lineage to its name, and puts it under the key of its source, if it has one. The caller holds
// s.names.
func (s *Store) begins(v *volume, l *lineage, from *volume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.lin = l
	if from != nil {
		v.inheritKey(from)
	}
}

func (l *lineage) record() lineageRecord {
	r := lineageRecord{V: recordVersion, Base: l.base, Head: l.head, Drained: l.drained, Size: l.size}
	if l.parent != nil {
		r.Parent, r.ParentEpoch = l.parent.id, l.parentEpoch
	}
	return r
}

// newLineage begins a disk's history. The caller holds s.names.
func (s *Store) newLineage(parent *lineage, epoch uint64, id block.ID, size int64) *lineage {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &lineage{
		id: s.nextLineage.Add(1) - 1, parent: parent, parentEpoch: epoch, base: s.segments.horizon(),
		head: true, headID: id, size: size,
	}
	d := newDisk(s, l, size)
	d.checkpointed = checkpointRecord{V: recordVersion, Pos: l.base, NextSeq: 1, Epoch: 1}
	l.disk.Store(d)
	return l
}

// horizon is before every position in segments not made yet and after all in those that exist.
func (t *segmentTable) horizon() position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return at(t.next, 0)
}

// claim takes an id for a volume that is being made.
func (s *Store) claim(id block.ID, kind block.Kind) (*volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claimLocked(id, kind)
}

func (s *Store) claimLocked(id block.ID, kind block.Kind) (*volume, error) {
	if s.closed {
		return nil, block.ErrClosed
	}
	if s.volumes[id] != nil {
		return nil, fmt.Errorf("%w: %s", block.ErrExists, id)
	}
	v := &volume{id: id, kind: kind, pending: true}
	s.volumes[id] = v
	return v, nil
}

// settle commits what makes claimed volumes real, or gives their ids back. The caller holds s.names.
func (s *Store) settle(claimed []*volume, fill func(*pebble.Batch) error) error {
	s.record.Lock()
	b := s.db.NewBatch()
	err := fill(b)
	if err == nil {
		err = s.commit(b)
	}
	s.record.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range claimed {
		if err != nil {
			delete(s.volumes, v.id)
			continue
		}
		v.pending = false
		if v.redundancy == block.Zonal {
			defer s.wakeZones()
			defer s.spreadZones()
		}
		if v.kind == block.KindDisk {
			s.lineages[v.lin.id] = v.lin
			if p := v.lin.parent; p != nil {
				p.children = append(p.children, v.lin)
			}
		}
	}
	return err
}

// Resize sets a disk's size; it may only grow. It is durable when Resize returns nil.
func (s *Store) Resize(id block.ID, size int64) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	if err := checkSize(size); err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	v, err := s.hold(id)
	if err != nil {
		return err
	}
	defer s.letGo(v)
	if v.kind != block.KindDisk {
		return fmt.Errorf("resize %s: %w", id, block.ErrReadOnly)
	}
	s.mu.Lock()
	was, r := v.lin.size, v.lin.record()
	s.mu.Unlock()
	if size < was {
		return fmt.Errorf("%w: %d, it is %d", block.ErrBadSize, size, was)
	}
	r.Size = size
	b := s.db.NewBatch()
	if err := putRecord(b, idKey(keyLineage, v.lin.id), r); err != nil {
		return err
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.mu.Lock()
	v.lin.size = size
	s.mu.Unlock()
	d := v.lin.disk.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = size
	d.leaves.resize(pagesOf(size))
	return nil
}

// hold finds a volume and keeps it from being deleted until letGo.
func (s *Store) hold(id block.ID) (*volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holdLocked(id)
}

func (s *Store) holdLocked(id block.ID) (*volume, error) {
	v := s.volumes[id]
	if s.closed {
		return nil, block.ErrClosed
	}
	if v == nil || v.pending {
		return nil, fmt.Errorf("%w: %s", block.ErrNotFound, id)
	}
	v.open++
	return v, nil
}

// holdOpen is hold of a volume whose key is there.
func (s *Store) holdOpen(id block.ID) (*volume, error) {
	v, err := s.hold(id)
	if err == nil && v.locked.Load() {
		s.letGo(v)
		return nil, fmt.Errorf("volume %s: %w", id, block.ErrLocked)
	}
	return v, err
}

func (s *Store) letGo(v *volume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.open--
}

// Delete removes a volume's name. It is gone, durably, when Delete returns nil; the space that only it held comes back
// behind. Other volumes are not touched. ErrInUse says that it is open.
func (s *Store) Delete(id block.ID) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	v, err := s.hide(id)
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	err = b.Delete(volumeKey(id), nil)
	if v.kind == block.KindDisk {
		s.mu.Lock()
		r := v.lin.record()
		s.mu.Unlock()
		r.Head = false
		err = errors.Join(err, putRecord(b, idKey(keyLineage, v.lin.id), r))
	}
	if err == nil {
		err = s.commit(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		v.pending = false
		return err
	}
	delete(s.volumes, id)
	s.changes.Add(1)
	if v.kind == block.KindDisk {
		v.lin.head = false
		s.dying[v.lin] = struct{}{}
	} else {
		v.node.names--
		s.suspects[v.node] = struct{}{}
	}
	s.wake(nil)
	return nil
}

func (s *Store) hide(id block.ID) (*volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.holdLocked(id)
	if err != nil {
		return nil, err
	}
	v.open--
	if v.open > 0 {
		return nil, fmt.Errorf("delete %s: %w", id, block.ErrInUse)
	}
	v.pending = true
	return v, nil
}
