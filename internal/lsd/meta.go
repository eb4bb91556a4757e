package lsd

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"tintype/internal/block"
)

// loadMeta reads everything but page versions, and begins a new incarnation.
func (s *Store) loadMeta() error {
	b := s.db.NewBatch()
	var r storeRecord
	if err := s.get([]byte{keyStore}, &r); err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	s.incarnation = drawIncarnation()
	s.nextLineage.Store(max(r.NextLineage, 1))
	s.segments.next = max(s.segments.next, r.NextSegment, 1)
	s.segments.limit = s.segments.next
	s.nextSegment = s.segments.limit
	records := map[uint64]lineageRecord{}
	for _, load := range []func() error{
		func() error { return s.loadLineages(records) },
		s.loadEpochs,
		s.loadVolumes,
		s.loadCounts,
		s.loadBirths,
		func() error { return s.loadHoles(b) },
		func() error { return s.putStore(b) },
		func() error { return s.commit(b) },
	} {
		if err := load(); err != nil {
			return err
		}
	}
	return nil
}

// drawIncarnation names this opening of the store. It is a secret from guests: what one of them stores can never look like a
// chunk of the log that keeps it.
func drawIncarnation() uint64 {
	id := uuid.New()
	return binary.LittleEndian.Uint64(id[8:]) | 1
}

func (s *Store) get(key []byte, record any) error {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return metaError(err)
	}
	return errors.Join(parseRecord(key, value, record), closer.Close())
}

// iterate goes over the records with a prefix, as they are at the time of the call.
func (s *Store) iterate(prefix byte) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
}

// each calls f for every record with a prefix.
func (s *Store) each(prefix byte, f func(key, value []byte) error) error {
	it, err := s.iterate(prefix)
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = f(it.Key(), value)
		}
	}
	return metaError(errors.Join(err, it.Error(), it.Close()))
}

func (s *Store) loadLineages(records map[uint64]lineageRecord) error {
	err := s.each(keyLineage, func(key, value []byte) error {
		var r lineageRecord
		if err := parseRecord(key, value, &r); err != nil {
			return err
		}
		id := binary.BigEndian.Uint64(key[1:])
		records[id] = r
		s.lineages[id] = &lineage{id: id, parentEpoch: r.ParentEpoch, base: r.Base, head: r.Head, drained: r.Drained, size: r.Size}
		s.nextLineage.Store(max(s.nextLineage.Load(), id+1))
		return nil
	})
	for id, r := range records {
		l := s.lineages[id]
		if r.Parent != 0 {
			if l.parent = s.lineages[r.Parent]; l.parent == nil {
				return errors.Join(err, fmt.Errorf("lineage %d: parent %d is missing: %w", id, r.Parent, block.ErrDamaged))
			}
			l.parent.children = append(l.parent.children, l)
		}
		if r.Drained {
			continue
		}
		if !r.Head {
			s.dying[l] = struct{}{}
		}
		d := newDisk(s, l, r.Size)
		if err := s.get(idKey(keyCheckpoint, id), &d.checkpointed); err != nil {
			return fmt.Errorf("lineage %d: checkpoint: %w", id, err)
		}
		l.disk.Store(d)
	}
	return err
}

func (s *Store) loadEpochs() error {
	return s.each(keyEpoch, func(key, value []byte) error {
		var r epochRecord
		if err := parseRecord(key, value, &r); err != nil {
			return err
		}
		l := s.lineages[binary.BigEndian.Uint64(key[1:])]
		if l == nil {
			return fmt.Errorf("record %q: no lineage: %w", key, block.ErrDamaged)
		}
		n := &node{lin: l, epoch: binary.BigEndian.Uint64(key[9:]), cut: r.Cut, seq: r.Seq, size: r.Size, used: r.Used, known: true}
		l.nodes = append(l.nodes, n)
		s.suspects[n] = struct{}{}
		return nil
	})
}

func (s *Store) loadVolumes() error {
	return s.each(keyVolume, func(key, value []byte) error {
		var r volumeRecord
		if err := parseRecord(key, value, &r); err != nil {
			return err
		}
		id, err := uuid.FromBytes(key[1:])
		if err != nil {
			return fmt.Errorf("record %q: %w: %w", key, err, block.ErrDamaged)
		}
		v := &volume{id: id, kind: r.Kind, lin: s.lineages[r.Lineage], key: r.Key}
		if r.Zonal {
			v.redundancy = block.Zonal
		}
		if v.lin == nil {
			return fmt.Errorf("volume %s: lineage %d is missing: %w", id, r.Lineage, block.ErrDamaged)
		}
		if r.Kind == block.KindDisk {
			v.lin.headID = id
		} else if v.node = v.lin.nodeAt(r.Epoch); v.node == nil {
			return fmt.Errorf("snapshot %s: epoch %d of lineage %d is missing: %w", id, r.Epoch, r.Lineage, block.ErrDamaged)
		} else {
			v.node.names++
		}
		s.volumes[id] = v
		return nil
	})
}

func (s *Store) loadCounts() error {
	return s.each(keySegment, func(key, value []byte) error {
		if len(key) != 5 || len(value) != 4 {
			return fmt.Errorf("record %q: %w", key, block.ErrDamaged)
		}
		n, live := binary.BigEndian.Uint32(key[1:]), segmentCount(value)
		seg := s.segments.segs[n]
		if seg == nil {
			if live == 0 {
				return nil
			}
			seg = &segment{segmentHeader: segmentHeader{number: n}} // a file that is missing: its blocks are damaged
			s.segments.segs[n] = seg
		}
		seg.live = live
		return nil
	})
}

// resumeReclaim finishes what a crash interrupted half-way.
func (s *Store) resumeReclaim() error {
	var r reclaimRecord
	if err := s.get([]byte{keyReclaim}, &r); err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		return err
	}
	l := s.lineages[r.Lineage]
	if l == nil {
		return fmt.Errorf("reclaiming lineage %d, which is missing: %w", r.Lineage, block.ErrDamaged)
	}
	n := l.headNode()
	if r.Epoch != headEpoch {
		if n = l.nodeAt(r.Epoch); n == nil { // nothing but memory knew it
			n = &node{lin: l, epoch: r.Epoch}
			l.addNode(n)
		}
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	s.reclaiming = s.newReclaimer(n)
	s.reclaiming.marked = true
	return s.endReclaiming()
}
