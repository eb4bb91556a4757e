package lsd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"tintype/internal/block"
)

// keySet is which keys the volumes are under that read a lineage: ids of customers' keys, and "" for the platform's.
type keySet map[string]struct{}

func (s keySet) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// keyWants tells under which keys each lineage has to be: those of all volumes that read it, by way of clones too.
func (s *Store) keyWants() map[uint64]keySet {
	s.mu.Lock()
	defer s.mu.Unlock()
	wants := map[uint64]keySet{}
	for _, v := range s.volumes {
		for l := v.lin; l != nil; l = l.parent {
			if wants[l.id] == nil {
				wants[l.id] = keySet{}
			}
			wants[l.id][v.key] = struct{}{}
		}
	}
	return wants
}

// wantsOf is keyWants of one lineage. One that no volume reads, such as that of a disk that was just deleted, is the
// platform's.
func (s *Store) wantsOf(lineage uint64) keySet {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := keySet{}
	for _, v := range s.volumes {
		for l := v.lin; l != nil; l = l.parent {
			if l.id == lineage {
				want[v.key] = struct{}{}
				break
			}
		}
	}
	if len(want) == 0 {
		want[""] = struct{}{}
	}
	return want
}

// wrapFor makes a lineage's lines from those that it has, for volumes under the keys of want. Where nothing says what is
// wanted, and where a key that is wanted is not there, no line is dropped. The caller holds t.mu.
func (t *keyTable) wrapFor(ring *KeyRing, lineage uint64, have []keyLine, want keySet, key *dataKey) ([]keyLine, error) {
	var lines []keyLine
	missing := len(want) == 0
	add := func(l keyLine, k Key, ok bool) error {
		if at := slices.IndexFunc(have, func(h keyLine) bool { return h.customer == l.customer && h.id == l.id }); at >= 0 {
			lines = append(lines, have[at])
			return nil
		}
		if !ok {
			missing = true
			return nil
		}
		made, err := newKeyLine(k, lineage, l.customer, key)
		lines = append(lines, made)
		return err
	}
	for _, id := range want.sorted() {
		k, ok := t.customers[id]
		l := keyLine{customer: true, id: id}
		if id == "" {
			k, ok, l = ring.Current, true, keyLine{id: ring.Current.ID()}
		}
		if err := add(l, k, ok); err != nil {
			return nil, err
		}
	}
	for _, h := range have {
		l, k := h, ring.Current
		if !h.customer {
			l.id = k.ID()
		}
		is := func(x keyLine) bool { return x.customer == l.customer && x.id == l.id }
		if !missing || slices.ContainsFunc(lines, is) {
			continue
		}
		if err := add(l, k, !h.customer); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(lines, compareLines)
	return lines, nil
}

// rewrap brings lines under ring's current key, and under those that are wanted. The lines of a lineage whose key is not there
// stay. The caller holds t.file.
func (t *keyTable) rewrap(ring KeyRing, lines map[uint64][]keyLine, wants map[uint64]keySet) error {
	t.mu.Lock()
	keys, next, changed := map[uint64]dataKey{}, map[uint64][]keyLine{}, t.stale || len(lines) != len(t.lines)
	for lineage, have := range lines {
		next[lineage] = have
		key, ok := t.keys[lineage]
		if !ok {
			continue
		}
		keys[lineage] = key
		made, err := t.wrapFor(&ring, lineage, have, wants[lineage], &key)
		if err != nil {
			t.mu.Unlock()
			return err
		}
		next[lineage] = made
		changed = changed || !slices.EqualFunc(have, made, func(a, b keyLine) bool { return a.id == b.id && a.customer == b.customer })
	}
	t.mu.Unlock()
	if changed {
		if err := t.rewrite(next); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring, t.keys, t.lines = &ring, keys, next
	return nil
}

// arrange is rewrap of all that there is.
func (t *keyTable) arrange(wants map[uint64]keySet) error {
	t.mu.Lock()
	ring, lines := t.ring, maps.Clone(t.lines)
	t.mu.Unlock()
	if len(lines) == 0 {
		return nil // there need be no file
	}
	return t.rewrap(KeyRing{Current: ring.Current}, lines, wants)
}

const keyTrouble = "files of keys"

// tidyKeys brings the files of keys up to date. A store that has lost both is not opened: it would seem to be damaged all over.
func (s *Store) tidyKeys() error {
	sealed, needed := map[uint64]bool{}, 0
	for _, seg := range s.segments.segs {
		if seg.scheme == schemeNone || sealed[seg.lineage] {
			continue
		}
		sealed[seg.lineage] = true
		if s.lineages[seg.lineage] != nil { // a zone that was away may have kept segments of others
			needed++
		}
	}
	if needed > 0 && len(s.keys.lines) == 0 {
		return fmt.Errorf("%s and %s are missing, and %d disks are encrypted: %w", keyFileName, keyFileCopy, needed, block.ErrDamaged)
	}
	err := s.keys.tidy(func(lineage uint64) bool { return sealed[lineage] || s.lineages[lineage] != nil }, s.keyWants())
	if errors.Is(err, syscall.ENOSPC) { // a full store has to open, so that something can be deleted
		s.troubles.set(keyTrouble, spaceError(err))
		return nil
	}
	return err
}

// tidy brings the files up to date at a start: damaged lines are written again from the other file, keys of lineages that
// nothing needs are dropped, and so are lines under keys that no volume is under any more; what another key of the platform
// wrapped is wrapped by the current one.
func (t *keyTable) tidy(needed func(lineage uint64) bool, wants map[uint64]keySet) error {
	t.file.Lock()
	defer t.file.Unlock()
	if len(t.lines) == 0 {
		return nil
	}
	lines := maps.Clone(t.lines)
	maps.DeleteFunc(lines, func(lineage uint64, _ []keyLine) bool { return !needed(lineage) })
	return t.rewrap(KeyRing{Current: t.ring.Current}, lines, wants)
}

var errPlainStore = errors.New("the store was opened without keys")

// Rewrap wraps the key of every disk that is under the platform's key by the current key of a ring; no block is written again.
// When it returns nil the store needs no other key of the platform any more. After an error, or a crash, it may need the keys
// that it was opened with or the new one: keep both until Rewrap has succeeded. Open does the same of itself, but does not fail
// where only space is missing.
func (s *Store) Rewrap(ring KeyRing) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.names.Lock() // what is wanted stays
	defer s.names.Unlock()
	t := s.keys
	t.file.Lock()
	defer t.file.Unlock()
	if !t.encrypts() {
		return errPlainStore
	}
	wants := s.keyWants()
	t.mu.Lock()
	lines := maps.Clone(t.lines)
	if len(lines) == 0 { // there need be no file
		t.ring = &KeyRing{Current: ring.Current}
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	if err := t.rewrap(KeyRing{Current: ring.Current}, lines, wants); err != nil {
		return spaceError(err)
	}
	s.troubles.set(keyTrouble, nil)
	return nil
}
