package lsd

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"tintype/internal/block"
)

// SetKey puts volumes under the customer's key with an id, which was given before, or with "" under the platform's. No block is
// written again: what changes is under which keys the keys of their lineages are wrapped. A lineage that volumes share is
// wrapped under the keys of all of them, so each can still read it. When SetKey returns nil that is durable, and the keys that
// the volumes were under before are of no use for them any more. After an error, or a crash, some of the volumes may be under
// both: repeat it. block.ErrLocked says that a key is not there.
func (s *Store) SetKey(key string, ids ...block.ID) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	if !s.keys.encrypts() {
		return errPlainStore
	}
	if key != "" && !s.keys.has(key) {
		return fmt.Errorf("key %s: %w", key, block.ErrLocked)
	}
	var all []*volume
	defer func() {
		for _, v := range all {
			s.letGo(v)
		}
	}()
	for _, id := range ids {
		v, err := s.hold(id)
		if err != nil {
			return err
		}
		all = append(all, v)
		if v.locked.Load() {
			return fmt.Errorf("volume %s: %w", id, block.ErrLocked)
		}
	}
	s.keys.file.Lock()
	defer s.keys.file.Unlock()
	return spaceError(s.changeKey(all, key))
}

// changeKey is SetKey of volumes that are held. The order keeps it safe: the new lines before the records that need them, the
// old ones dropped after. The caller holds names and t.file.
func (s *Store) changeKey(all []*volume, key string) error {
	wants := s.keyWants()
	for _, v := range all {
		for l := v.lin; l != nil; l = l.parent {
			wants[l.id][key] = struct{}{}
		}
	}
	if err := s.keys.arrange(wants); err != nil {
		return err
	}
	b := s.db.NewBatch()
	for _, v := range all {
		r := v.record(v.redundancy)
		r.Key = key
		if err := putRecord(b, volumeKey(v.id), r); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.mu.Lock()
	for _, v := range all {
		v.key = key
	}
	s.mu.Unlock()
	return s.keys.arrange(s.keyWants())
}

// GiveKey makes a customer's key known until the store is closed or the key is taken away. Volumes under it that were locked
// can be opened when it returns nil, and what was open goes on.
func (s *Store) GiveKey(k Key) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	t := s.keys
	if !t.encrypts() {
		return errPlainStore
	}
	t.file.Lock()
	err := t.give(k)
	wants := s.keyWants()
	if err == nil {
		err = spaceError(t.arrange(wants)) // a disk may have got its key while this one was away
	}
	t.file.Unlock()
	if err != nil {
		return err
	}
	for _, d := range s.disks() {
		if !t.closed(d.lin.id, wants[d.lin.id]) {
			err = errors.Join(err, d.unlock())
		}
	}
	s.lockVolumes()
	return err
}

// TakeKey forgets a customer's key. When it returns, whatever its error, nothing of the volumes under it can be read or
// written, and the keys of lineages that only they read are not in memory; what was acknowledged and not flushed is durable, if
// the error is nil. Other volumes go on.
func (s *Store) TakeKey(id string) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	t := s.keys
	was, known := t.suspend(id)
	if !known {
		return nil
	}
	s.lockVolumes()
	wants := s.keyWants()
	disks := s.disks()
	disks = slices.DeleteFunc(disks, func(d *disk) bool { return !t.closed(d.lin.id, wants[d.lin.id]) })
	t.resume(was) // what they were given is still to be encrypted
	var err error
	for _, d := range disks {
		err = errors.Join(err, d.stopLocked())
	}
	for _, d := range s.headsUnder(id) { // of lineages that others can read
		err = errors.Join(err, d.flushUnlessStopped())
	}
	t.suspend(id)
	s.commits.Lock()
	defer s.commits.Unlock()
	gone := t.forget(wants)
	if m := &s.mover; m.from != nil && (gone[m.from.lineage] || t.closed(m.from.lineage, wants[m.from.lineage])) {
		err = errors.Join(err, s.endVictim())
	}
	if m := &s.mover; m.to != nil && gone[m.to.lineage] {
		err = errors.Join(err, s.closeOutput())
	}
	s.segments.dropCiphers(gone)
	return err
}

// KeyOf is the id of the customer's key that a volume is under, or nothing.
func (s *Store) KeyOf(id block.ID) (string, error) {
	v, err := s.hold(id)
	if err != nil {
		return "", err
	}
	defer s.letGo(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	return v.key, nil
}

// Under lists the volumes that are under the customer's key with an id. Once it lists none, others come to be under that key by
// SetKey alone: a copy is under the key of its source.
func (s *Store) Under(key string) (ids []block.ID, err error) {
	if err := s.requests.enter(); err != nil {
		return nil, err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, v := range s.volumes {
		if v.key == key && !v.pending {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Locked tells whether the key is missing that a volume is under.
func (s *Store) Locked(id block.ID) (bool, error) {
	v, err := s.hold(id)
	if err != nil {
		return false, err
	}
	defer s.letGo(v)
	return v.locked.Load(), nil
}

// lockVolumes locks the volumes whose keys are not there, and no others.
func (s *Store) lockVolumes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.volumes {
		v.locked.Store(v.key != "" && !s.keys.has(v.key))
	}
}

// stopLocked flushes a disk whose key is about to go and lets no write in any more. What it has of its map is checkpointed, so
// that a start without the key finds nothing that it would need it for.
func (d *disk) stopLocked() error {
	d.mu.Lock()
	err := d.flushLocked()
	for err == nil && (d.log.tail != nil || len(d.log.flying) > 0 || d.log.syncing) {
		err = d.flushLocked()
	}
	if d.failed == nil {
		d.failed = errLocked
		d.rotate = d.rotate || d.log.seg != nil
	}
	d.cond.Broadcast()
	d.mu.Unlock()
	return errors.Join(err, d.store.checkpoint(d))
}

func (d *disk) flushUnlessStopped() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.failed, block.ErrLocked) {
		return nil
	}
	return d.flushLocked()
}

// headsUnder lists the disks that are under a customer's key.
func (s *Store) headsUnder(id string) (disks []*disk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.volumes {
		if v.key == id && v.kind == block.KindDisk && v.lin != nil {
			disks = append(disks, v.lin.disk.Load())
		}
	}
	return disks
}

// errLocked is how a disk fails whose key is away.
var errLocked = fmt.Errorf("%w: %w", block.ErrFailed, block.ErrLocked)

// unlock has a disk go on whose key is there again. One that was opened without it is brought to the end of its log first.
func (d *disk) unlock() error {
	if errors.Is(d.damagedNow(), block.ErrLocked) {
		d.reset()
		err := d.recover()
		if errors.Is(err, block.ErrDamaged) {
			d.clearFailed()
			d.setDamaged(err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("recover lineage %d: %w", d.lin.id, err)
		}
	}
	d.clearFailed()
	return nil
}

// reset forgets what an earlier recovery, which failed, has put into the map.
func (d *disk) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaves = leafSet{}
	d.leaves.resize(pagesOf(d.size))
	d.frozen, d.froze = map[uint32][]*frozen{}, map[uint64][]*frozen{}
	d.nfrozen, d.changed = 0, nil
}

func (d *disk) clearFailed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.failed, block.ErrLocked) {
		d.failed = nil
	}
	d.cond.Broadcast()
}

// setLocked lets no write in at a start without the disk's key. lost tells that the key is needed to find the end of its log.
func (d *disk) setLocked(lost bool) {
	d.mu.Lock()
	d.failed = errLocked
	d.mu.Unlock()
	if lost {
		d.setDamage(errLocked)
	}
}

// damagedNow is why the disk is not what it was at its end, or nil.
func (d *disk) damagedNow() error {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return d.damaged
}

// setDamage says why the disk is not what it was at its end, or with nil that it is.
func (d *disk) setDamage(err error) {
	d.store.commits.Lock()
	defer d.store.commits.Unlock()
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	d.damaged = err
}

func (t *keyTable) has(customer string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.customers[customer]
	return ok
}

// give makes a key known and unwraps what only it opens.
func (t *keyTable) give(k Key) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for lineage, lines := range t.lines {
		at := slices.IndexFunc(lines, func(l keyLine) bool { return l.customer && l.id == k.ID() })
		if _, ok := t.keys[lineage]; ok || at < 0 {
			continue
		}
		key, err := k.unwrap(lineage, lines[at].wrapped)
		if err != nil {
			return fmt.Errorf("lineage %d: %w: %w", lineage, err, block.ErrDamaged)
		}
		t.keys[lineage] = key
	}
	t.customers[k.ID()] = k
	return nil
}

// suspend takes a key from those that are there; resume puts it back.
func (t *keyTable) suspend(id string) (k Key, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok = t.customers[id]
	delete(t.customers, id)
	return k, ok
}

func (t *keyTable) resume(k Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.customers[k.ID()] = k
}

// closed tells whether nothing is there that opens a lineage's key, or where it has none yet, that one could be wrapped with.
func (t *keyTable) closed(lineage uint64, want keySet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closedLocked(lineage, want)
}

func (t *keyTable) closedLocked(lineage uint64, want keySet) bool {
	if lines := t.lines[lineage]; len(lines) > 0 {
		return !slices.ContainsFunc(lines, func(l keyLine) bool {
			_, ok := t.find(l)
			return ok || !l.customer
		})
	}
	for id := range want {
		if _, ok := t.customers[id]; ok || id == "" {
			return false
		}
	}
	return len(want) > 0
}

// forget drops the keys that nothing opens any more, and lists their lineages.
func (t *keyTable) forget(wants map[uint64]keySet) map[uint64]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := map[uint64]bool{}
	for lineage := range t.keys {
		if t.closedLocked(lineage, wants[lineage]) {
			gone[lineage] = true
		}
	}
	maps.DeleteFunc(t.keys, func(lineage uint64, _ dataKey) bool { return gone[lineage] })
	return gone
}

// locked lists the lineages that have a key which is not there.
func (t *keyTable) locked() map[uint64]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == len(t.lines) {
		return nil
	}
	all := map[uint64]bool{}
	for lineage := range t.lines {
		if _, ok := t.keys[lineage]; !ok {
			all[lineage] = true
		}
	}
	return all
}

// shut lists the lineages of which no block can be moved: their key is away, or they have none yet and all that it could be
// wrapped with is away.
func (s *Store) shut() map[uint64]bool {
	all := s.keys.locked()
	plain := s.segments.plain()
	if !s.keys.encrypts() || len(plain) == 0 {
		return all
	}
	wants := s.keyWants()
	for id := range plain {
		if s.keys.closed(id, wants[id]) {
			if all == nil {
				all = map[uint64]bool{}
			}
			all[id] = true
		}
	}
	return all
}

// plain lists the lineages that have segments from before the store was encrypted.
func (t *segmentTable) plain() map[uint64]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[uint64]bool{}
	for _, seg := range t.segs {
		if seg.scheme == schemeNone {
			all[seg.lineage] = true
		}
	}
	return all
}

// isLocked tells whether a lineage has a key that is not there.
func (t *keyTable) isLocked(lineage uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.keys[lineage]
	return !ok && len(t.lines[lineage]) > 0
}

// dropCiphers forgets the keys of the segments of lineages.
func (t *segmentTable) dropCiphers(lineages map[uint64]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seg := range t.segs {
		if lineages[seg.lineage] {
			seg.cipher.Store(nil)
		}
	}
}
