package lsd

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// SetRedundancy says where a volume's data is to be kept. What is written from here on follows at once; what is there already
// is copied behind, and nothing that is zonal is ever made local. It is durable when SetRedundancy returns nil.
// block.ErrNoZones says that the store has none.
func (s *Store) SetRedundancy(id block.ID, r block.Redundancy) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	if r == block.Zonal && s.zones == nil {
		return fmt.Errorf("volume %s: %w", id, block.ErrNoZones)
	}
	s.names.Lock()
	defer s.names.Unlock()
	v, err := s.hold(id)
	if err != nil {
		return err
	}
	defer s.letGo(v)
	if v.redundancy == r {
		return nil
	}
	b := s.db.NewBatch()
	if err := putRecord(b, volumeKey(id), v.record(r)); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.mu.Lock()
	v.redundancy = r
	s.spreadZones()
	s.mu.Unlock()
	s.wakeZones()
	return nil
}

// record is what the metadata says of a volume, with a redundancy.
func (v *volume) record(r block.Redundancy) volumeRecord {
	rec := volumeRecord{V: recordVersion, Kind: v.kind, Lineage: v.lin.id, Zonal: r == block.Zonal, Key: v.key}
	if v.node != nil {
		rec.Epoch = v.node.epoch
	}
	return rec
}

// spreadZones works out up to where each lineage has to be zonal: a zonal disk all of it, a zonal snapshot what is before its
// cut, and both whatever they read through. The caller holds s.mu.
func (s *Store) spreadZones() {
	if s.zones == nil {
		return
	}
	for _, l := range s.lineages {
		l.zonalTo = 0
		l.zonal.Store(false)
	}
	for _, v := range s.volumes {
		if v.redundancy != block.Zonal || v.lin == nil {
			continue
		}
		to := never
		if v.kind == block.KindSnapshot {
			to = v.node.cut
		} else {
			v.lin.zonal.Store(true)
		}
		v.lin.spread(to)
	}
}

// spread makes a lineage zonal up to a position, and those that it continues up to where it does.
func (l *lineage) spread(to position) {
	for ; l != nil; l = l.parent {
		l.zonalTo = max(l.zonalTo, to)
		to = l.base
		if l.parent == nil {
			return
		}
		if n := l.parent.nodeAt(l.parentEpoch); n != nil {
			to = min(to, n.cut)
		}
	}
}

// isZonal tells whether what a lineage wrote at a position has to be in the zones.
func (s *Store) isZonal(lineage uint64, at position) bool {
	if s.zones == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lineages[lineage]
	return l != nil && at < l.zonalTo
}

// wantsZones tells whether a segment has to be in the zones: one that is there stays, though its lineage be gone, as long as
// it is there.
func (s *Store) wantsZones(seg *segment) bool {
	if s.segments.file(seg).isZonal() {
		return true
	}
	first := at(seg.number, 0)
	if seg.kind == kindMoved {
		first = s.segments.firstBirth(seg)
	}
	return s.isZonal(seg.lineage, first)
}

// putVolume adds a volume's record to a batch.
func putVolume(b *pebble.Batch, v *volume) error {
	return putRecord(b, volumeKey(v.id), v.record(v.redundancy))
}

// firstBirth is before everything in a segment of moved blocks.
func (t *segmentTable) firstBirth(seg *segment) position {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := never
	for _, b := range seg.births {
		first = min(first, b.pos)
	}
	return first
}
