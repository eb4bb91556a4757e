package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
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

// options are those of the next start: with the customers' keys that are there.
func (s *sim) options() lsd.Options {
	opt := s.opt
	if opt.Keys == nil {
		return opt
	}
	ring := *opt.Keys
	ring.Customers = nil
	for _, k := range s.customers {
		if k.ID() != s.away {
			ring.Customers = append(ring.Customers, k)
		}
	}
	opt.Keys = &ring
	return opt
}

func (s *sim) locked(v *volume) bool { return s.away != "" && v.key == s.away }

// changeKey puts one to three volumes under a key: a customer's, new or not, or the platform's. Where bits flip it does not: while
// a key is away nobody can tell a bad copy from a good one, and a zone that is caught up may get it.
func (s *sim) changeKey() error {
	if s.opt.Keys == nil || s.zones.flips {
		return nil
	}
	key := ""
	switch n := len(s.customers); {
	case n < 3 && s.rng.IntN(2) == 0:
		k := s.newKey()
		s.customers = append(s.customers, k)
		if err := s.store.GiveKey(k); err != nil {
			return err
		}
		key = k.ID()
	case n > 0 && s.rng.IntN(4) > 0:
		key = s.customers[s.rng.IntN(n)].ID()
	}
	if key == s.away {
		key = ""
	}
	var ids []block.ID
	for range 1 + s.rng.IntN(3) {
		if v := s.pick(func(v *volume) bool { return !slices.Contains(ids, v.id) }); v != nil {
			ids = append(ids, v.id)
			v.under(key)
		}
	}
	return s.store.SetKey(key, ids...)
}

// turnKey takes a customer's key away, or brings it back.
func (s *sim) turnKey() error {
	if s.opt.Keys == nil || len(s.customers) == 0 {
		return nil
	}
	if s.away != "" {
		return s.keyBack()
	}
	s.away = s.customers[s.rng.IntN(len(s.customers))].ID()
	for _, v := range s.volumes {
		if s.locked(v) {
			v.flushed()
		}
	}
	if err := s.store.TakeKey(s.away); err != nil {
		return err
	}
	return s.verify()
}

// keyBack gives the key that is away: what was locked is there again, as a crash may have left it.
func (s *sim) keyBack() error {
	for _, k := range s.customers {
		if k.ID() != s.away {
			continue
		}
		if err := s.store.GiveKey(k); err != nil {
			return err
		}
		s.away = ""
		for _, v := range s.volumes {
			if !v.unsettled {
				continue
			}
			if err := s.recoverOne(v); err != nil {
				return err
			}
		}
	}
	return s.verify()
}

// verifyLocked tries to get at a volume whose key is away.
func (s *sim) verifyLocked(v *volume) error {
	if h, err := s.store.OpenVolume(v.id); !errors.Is(err, block.ErrLocked) {
		if err == nil {
			_ = h.Close()
		}
		return fmt.Errorf("volume %s opens without its key: %w", v.id, err)
	}
	h := s.handles[v.id]
	if h == nil {
		return nil
	}
	buf := make([]byte, min(v.size, block.BlockSize))
	_, read := h.ReadAt(buf, 0)
	_, write := h.WriteAt(buf, 0)
	if !errors.Is(read, block.ErrLocked) || !v.snapshot && !errors.Is(write, block.ErrLocked) {
		return fmt.Errorf("volume %s without its key: read says %w, write %w", v.id, read, write)
	}
	return nil
}

// recoverKeys decides under which key a volume is whose key was being changed.
func (s *sim) recoverKeys() error {
	for _, i := range s.store.List() {
		v := s.volumes[i.ID]
		switch {
		case v == nil || i.Key == v.key:
		case i.Key == v.keyWas:
			v.key = i.Key
		default:
			return fmt.Errorf("volume %s is under key %q, not %q or %q", v.id, i.Key, v.key, v.keyWas)
		}
	}
	return nil
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
//
// At times a customer's key is away from here on.
func (s *sim) chooseRing(interrupted bool) {
	if s.away == "" && len(s.customers) > 0 && s.rng.IntN(4) == 0 {
		s.away = s.customers[s.rng.IntN(len(s.customers))].ID()
	}
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
		one := p[i:min(i+block.BlockSize, len(p))]
		sum := maphash.Bytes(b.seed, one)
		was, ok := b.seen[name]
		if !ok && !slices.ContainsFunc(one, func(c byte) bool { return c != 0 }) {
			continue // a slot that waits, written ahead
		}
		if ok && was != sum {
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
