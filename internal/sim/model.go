package sim

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"tintype/internal/block"
)

// state is what a volume holds: the blocks that have data. It is never changed once it is a snapshot's.
type state map[uint64]*cell

// cell is the content of a block. Cells are compared by their sum, and by their bytes where that differs.
type cell struct {
	sum  uint64
	data []byte
}

// seed of the sums; equal within one process, which is all that is needed.
type hasher struct{ seed maphash.Seed }

func (h hasher) cell(data []byte) *cell {
	return &cell{sum: maphash.Bytes(h.seed, data), data: bytes.Clone(data)}
}

// change is one block's step in a disk's history; a nil cell unmaps.
type change struct {
	lba uint64
	to  *cell
}

// volume is the model of a disk or snapshot. For a disk, durable is what a crash must keep, and changes what came after
// it, in the order in which it was accepted.
type volume struct {
	id       block.ID
	root     block.ID // the disk with which its history began
	snapshot bool
	line     []*point // the cuts of its history, a snapshot's own one included
	size     int64
	now      state
	durable  state
	changes  []change
	settled  int // of the changes, those that the end of the process alone must not take back

	key       string // id of the customer's key that it is under
	keyWas    string // the one before, under which it is still if the change did not end
	unsettled bool   // its key was away at the last start: it is not known at which point it is
}

// point is a cut: the snapshots that it was, also those that are gone, and what they held.
type point struct {
	snapshots []block.ID
	held      state
}

// incremental counts the blocks that a volume has and the last snapshot before it, of those that exist, had not.
func (v *volume) incremental(all map[block.ID]*volume) int64 {
	line := v.line
	if v.snapshot {
		line = line[:len(line)-1]
	}
	before := state{}
	for _, p := range line {
		if slices.ContainsFunc(p.snapshots, func(id block.ID) bool { return all[id] != nil }) {
			before = p.held
		}
	}
	n := int64(0)
	for lba, c := range v.now {
		if before[lba] != c {
			n += block.BlockSize
		}
	}
	return n
}

func newVolume(id block.ID, size int64, from state) *volume {
	return &volume{id: id, root: id, size: size, now: maps.Clone(from), durable: maps.Clone(from)}
}

// under puts a volume under a key.
func (v *volume) under(key string) { v.keyWas, v.key = v.key, key }

func (v *volume) apply(lba uint64, to *cell) {
	v.changes = append(v.changes, change{lba, to})
	v.now.set(lba, to)
}

func (s state) set(lba uint64, to *cell) {
	if to == nil {
		delete(s, lba)
	} else {
		s[lba] = to
	}
}

// flushed says that everything accepted so far must survive.
func (v *volume) flushed() {
	for _, c := range v.changes {
		v.durable.set(c.lba, c.to)
	}
	v.changes, v.settled = nil, 0
}

// survived says that the process ended and the machine did not: what was settled is as good as durable.
func (v *volume) survived() {
	for _, c := range v.changes[:v.settled] {
		v.durable.set(c.lba, c.to)
	}
	v.changes, v.settled = v.changes[v.settled:], 0
}

// used is the volume's exact used size in bytes.
func (s state) used() int64 { return int64(len(s)) * block.BlockSize }

// diff names the first difference between two states, or returns nil.
func diff(got, want state) error {
	for lba, w := range want {
		g := got[lba]
		if g == nil {
			return fmt.Errorf("block %d is lost", lba)
		}
		if g.sum != w.sum {
			return fmt.Errorf("block %d has other content", lba)
		}
	}
	for lba := range got {
		if want[lba] == nil {
			return fmt.Errorf("block %d appeared", lba)
		}
	}
	return nil
}

// settle finds the point of the disk's history at which a crash left it and makes that the present. It is an error if
// there is none: then something durable was lost, or a later change survived an earlier one.
func (v *volume) settle(got state) error {
	at := maps.Clone(v.durable)
	wrong := map[uint64]struct{}{}
	check := func(lba uint64) {
		g, w := got[lba], at[lba]
		if g == w || g != nil && w != nil && g.sum == w.sum {
			delete(wrong, lba)
		} else {
			wrong[lba] = struct{}{}
		}
	}
	for lba := range at {
		check(lba)
	}
	for lba := range got {
		check(lba)
	}
	// The last matching point is as good as the first: they are equal.
	for i := 0; len(wrong) > 0; i++ {
		if i == len(v.changes) {
			return fmt.Errorf("disk %s is at no point of its history (%d blocks off at the end; against what was durable: %w)",
				v.id, len(wrong), diff(got, v.durable))
		}
		at.set(v.changes[i].lba, v.changes[i].to)
		check(v.changes[i].lba)
	}
	v.now, v.durable, v.changes, v.settled = at, maps.Clone(at), nil, 0
	return nil
}

// overlay is a block's bytes after in was written at o.
func (s state) overlay(lba uint64, o int, in []byte) []byte {
	buf := make([]byte, block.BlockSize)
	if c := s[lba]; c != nil {
		copy(buf, c.data)
	}
	copy(buf[o:], in)
	return buf
}

func newHasher() hasher { return hasher{maphash.MakeSeed()} }

// alone counts the blocks that only the volumes of a set hold.
func alone(all map[block.ID]*volume, set map[block.ID]bool) int64 {
	type place struct {
		lba uint64
		c   *cell
	}
	held := map[place]bool{}
	for id, v := range all {
		for lba, c := range v.now {
			if was, met := held[place{lba, c}]; !met || was {
				held[place{lba, c}] = set[id]
			}
		}
	}
	n := int64(0)
	for _, only := range held {
		if only {
			n += block.BlockSize
		}
	}
	return n
}
