package sim

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

// drawRing gives most histories a key from the start; the others begin without encryption.
func (s *sim) drawRing() {
	if s.rng.IntN(8) > 0 {
		s.opt.Keys = &lsd.KeyRing{Current: s.newKey()}
	}
}

func (s *sim) newKey() (k lsd.Key) {
	for i := 0; i < len(k); i += 8 {
		binary.LittleEndian.PutUint64(k[i:], s.rng.Uint64())
	}
	return k
}

// rotate changes the key that wraps the others. Once that is done the old one must not be needed any more.
func (s *sim) rotate() error {
	if s.opt.Keys == nil {
		return nil
	}
	s.retired = []lsd.Key{s.opt.Keys.Current}
	s.opt.Keys = &lsd.KeyRing{Current: s.newKey()}
	return s.store.Rewrap(*s.opt.Keys)
}

// chooseRing says which keys the next start has: after an operation that was interrupted also the one before, or that one
// for good. A history without keys gets one at some restart.
func (s *sim) chooseRing(interrupted bool) {
	switch r := s.opt.Keys; {
	case r == nil && s.rng.IntN(3) == 0:
		s.opt.Keys = &lsd.KeyRing{Current: s.newKey()}
	case r != nil && interrupted && len(s.retired) > 0:
		if s.opt.Keys = (&lsd.KeyRing{Current: r.Current, Others: s.retired}); s.rng.IntN(2) == 0 {
			s.opt.Keys = &lsd.KeyRing{Current: s.retired[0], Others: []lsd.Key{r.Current}}
		}
	}
}

// opened forgets the other keys after a start: it must have wrapped everything by the current one.
func (s *sim) opened(err error) {
	if err == nil && s.opt.Keys != nil {
		s.opt.Keys = &lsd.KeyRing{Current: s.opt.Keys.Current}
		s.retired = nil
	}
}

// slotBook notes what was ever written to each slot of each incarnation of a segment, over all crashes of a history:
// encryption rests on no slot being written twice with different bytes. The zero value is ready.
type slotBook struct {
	mu    sync.Mutex
	seen  map[slotName]uint64
	seed  maphash.Seed
	wrong error
}

type slotName struct {
	number      uint32
	incarnation uint64
	slot        int64
}

// note is told of a write before it is made. The segment's own header is no part of it.
func (b *slotBook) note(f vfs.File, p []byte, off int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen, b.seed = map[slotName]uint64{}, maphash.MakeSeed()
	}
	if off == 0 {
		if len(p) > block.BlockSize {
			b.wrong = fmt.Errorf("a segment's header is written with %d bytes", len(p))
		}
		return
	}
	var header [24]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		b.wrong = fmt.Errorf("a segment is written that has no header: %w", err)
		return
	}
	name := slotName{number: binary.LittleEndian.Uint32(header[8:]), incarnation: binary.LittleEndian.Uint64(header[16:])}
	for i := 0; i < len(p); i += block.BlockSize {
		name.slot = (off + int64(i)) / block.BlockSize
		sum := maphash.Bytes(b.seed, p[i:min(i+block.BlockSize, len(p))])
		if was, ok := b.seen[name]; ok && was != sum {
			b.wrong = fmt.Errorf("segment %d, incarnation %x: slot %d is written again with other bytes", name.number, name.incarnation, name.slot)
		}
		b.seen[name] = sum
	}
}

func (b *slotBook) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wrong
}
