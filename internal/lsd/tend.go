package lsd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// tender looks after the zones in the background.
type tender struct {
	bell chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

// tendEvery is how often it looks whether zones are there.
const tendEvery = 2 * time.Second

func (t *tender) start(s *Store) {
	if s.zones == nil || s.opt.Manual {
		return
	}
	t.bell, t.quit, t.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(t.done)
		tick := time.NewTicker(tendEvery)
		defer tick.Stop()
		for {
			s.troubles.set("zones", s.TendZones())
			select {
			case <-t.quit:
				return
			case <-tick.C:
			case <-t.bell:
			}
		}
	}()
}

func (t *tender) stop() {
	if t.quit == nil {
		return
	}
	t.once.Do(func() { close(t.quit) })
	<-t.done
}

// stopping tells that the store is being closed.
func (t *tender) stopping() bool {
	select {
	case <-t.quit:
		return true
	default:
		return false
	}
}

// wakeZones asks for a round at once.
func (s *Store) wakeZones() {
	select {
	case s.tender.bell <- struct{}{}:
	default:
	}
}

// openZones works out what is to be zonal, and which segments a zone that is not there can have missed something of.
func (s *Store) openZones() {
	if s.zones == nil {
		return
	}
	s.mu.Lock()
	s.spreadZones()
	s.mu.Unlock()
	replay := s.replayStarts()
	t := s.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	floor, filling := t.next, uint32(0)
	for n, seg := range t.segs {
		if replay.needs(seg) {
			floor = min(floor, n)
		}
		if seg.kind == kindMoved {
			filling = max(filling, n)
		}
	}
	if filling > 0 { // the last one may have been open
		floor = min(floor, filling)
	}
	s.zones.setFloor(floor)
}

// startZones ends the start: everything that was read is in the zones that are in.
func (s *Store) startZones() error {
	if s.zones == nil {
		return nil
	}
	s.zones.started()
	return s.zones.save()
}

// TendZones does one round of what keeps the zones alike: it finds out which are there, copies to one that is back what it
// has missed, and to all of them what has become zonal. Without a manual store nobody needs to call it.
func (s *Store) TendZones() error {
	if s.zones == nil {
		return nil
	}
	var err error
	for i, z := range s.zones.all {
		if s.hangsStill(z) {
			continue
		}
		if z.in() {
			s.zones.probe(z)
		} else {
			err = errors.Join(err, s.zones.comeBack(z))
		}
		if !z.in() {
			err = errors.Join(err, s.detach(i))
		}
	}
	for i, z := range s.zones.all {
		if z.in() {
			err = errors.Join(err, s.catchUp(i))
		}
	}
	return errors.Join(err, s.zones.save(), s.retireLocal())
}

// numbers lists the segments that have files, in order.
func (t *segmentTable) numbers() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []uint32
	for n, s := range t.segs {
		if s.file != nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// eachSegment does something for every segment that is still there, until it fails or the store is closed. Only that one is pinned: the
// others can be punched, and it may take hours.
func (s *Store) eachSegment(do func(*segment) error) error {
	for _, n := range s.segments.numbers() {
		if s.tender.stopping() {
			return nil
		}
		seg, err := s.segments.pin(n)
		if errors.Is(err, errSegmentGone) {
			continue
		}
		if err := errors.Join(do(seg), s.segments.unpin(seg)); err != nil {
			return err
		}
	}
	return nil
}

// detach closes the files in a zone that is out, so that its disk can be taken away.
func (s *Store) detach(i int) error {
	s.mirror.detach(i)
	return s.eachSegment(func(seg *segment) error {
		s.segments.file(seg).detach(i)
		return nil
	})
}

func (c *copies) detach(i int) {
	c.mu.Lock()
	f := c.zonal[i].file
	if f != nil && c.usable(i) {
		f = nil
	}
	if f != nil {
		c.zonal[i] = zoneCopy{}
	}
	c.mu.Unlock()
	if f != nil {
		_ = f.Close() // it is of a zone that is out: what it had counts for nothing
	}
}

// catchUp copies to a zone what it lacks. When a round finds nothing that is lacking the zone has caught up.
func (s *Store) catchUp(i int) error {
	z := s.zones.all[i]
	life := z.life.Load()
	if err := s.mirror.attach(i); err != nil || !z.usable(life) {
		return err
	}
	lacking := false
	err := s.eachSegment(func(seg *segment) error {
		c := s.segments.file(seg)
		if c.has(i) || !s.wantsZones(seg) {
			return nil
		}
		lacking = true
		return s.bring(seg, c, i)
	})
	if err != nil || lacking || s.tender.stopping() || !s.zones.isBehind(z) {
		return err
	}
	if err := s.sweep(i); err != nil {
		s.zones.fail(z, life, err)
		return err
	}
	return s.zones.caughtUp(z, life)
}

// has tells whether there is a whole copy in a zone.
func (c *copies) has(i int) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.usable(i) && c.zonal[i].whole
}

// bringAll makes sure, at the start, that segments which were written to last are in all zones that are in, their own headers as
// well, which no replay reads: a power cut may have left them in some.
func (s *Store) bringAll(segs []*segment) error {
	if s.zones == nil {
		return nil
	}
	for _, seg := range segs {
		c := s.segments.file(seg)
		if !c.isZonal() {
			continue
		}
		if err := mendHeader(seg, c); err != nil {
			return err
		}
		for i, z := range s.zones.all {
			if !z.in() || c.has(i) {
				continue
			}
			if err := s.bring(seg, c, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// bring makes the copy of a segment in a zone whole. A zone in which that fails is out.
func (s *Store) bring(seg *segment, c *copies, i int) error {
	z := s.zones.all[i]
	life := z.life.Load()
	err := s.tryBring(seg, c, i)
	switch {
	case err == nil, errors.Is(err, block.ErrNoSpace), errors.Is(err, block.ErrClosed):
		return err
	case errors.Is(err, block.ErrDamaged): // what it was to be copied from
		s.troubles.set(fmt.Sprintf("copying segment %d", seg.number), err)
		return nil
	}
	s.zones.fail(z, life, err)
	return nil
}

// tryBring does it. A file that a later start would take for whole is made under another name until it is.
func (s *Store) tryBring(seg *segment, c *copies, i int) error {
	z := s.zones.all[i]
	life := z.life.Load()
	name := segmentName(z.segments(), seg.number)
	size, err := c.Size()
	if err != nil {
		return err
	}
	if s.knows(seg.lineage) { // what is left of one that is gone, its key as well, nobody reads again
		if err := s.mend(seg, c, func(int64) error { return nil }); err != nil {
			return err
		}
	}
	trusted := s.zones.trusted(z, seg.number)
	f, err := s.fs.OpenReadWrite(name)
	if err == nil && trusted && c.isZonal() {
		has, err := f.Size()
		if err == nil && has > size && seg.usedBytes(s.segments) <= size { // it was away when the others were cut at the end of the log
			err = f.Truncate(size)
		}
		if err == nil && has >= size {
			s.segments.doubtHoles(seg) // what was punched while it was away it has still
			c.attach(i, zoneCopy{file: f, life: life, whole: true})
			return nil
		}
	}
	part := trusted || errors.Is(err, fs.ErrNotExist)
	if part {
		if err == nil {
			err = f.Close()
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			f, err = s.fs.Create(name + partSuffix)
		}
	}
	if err != nil {
		return spaceError(err)
	}
	if !c.isZonal() {
		s.zones.began(seg.number) // it may be written to while it goes over
	}
	c.attach(i, zoneCopy{file: f, life: life})
	if err := s.copyTo(c, f, i); err != nil {
		return err
	}
	if part {
		if err := s.fs.Rename(name+partSuffix, name); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(z.segments()); err != nil {
		return err
	}
	return s.finishCopy(seg, c, i)
}

// MendZones reads every copy of everything that is in the zones, makes bad ones like good ones, and returns how many bytes it
// rewrote. Reads and writes go on.
func (s *Store) MendZones() (int64, error) {
	if err := s.requests.enter(); err != nil {
		return 0, err
	}
	defer s.requests.leave()
	if s.zones == nil {
		return 0, nil
	}
	was := s.zones.mended()
	err := s.mendAll(func(int64) error { return nil }, false)
	return s.zones.mended() - was, err
}

// mendAll is MendZones with a rest after each so many bytes. With noted, what is damaged in all copies does not end it: it has been
// told of.
func (s *Store) mendAll(rest func(int64) error, noted bool) error {
	if s.zones == nil {
		return nil
	}
	replay, shut := s.replayFrom(), s.shut()
	return s.eachSegment(func(seg *segment) error {
		if s.segments.liveAfter(seg.number, 0) == 0 && !replay.needs(seg) {
			return nil // nobody reads it again
		}
		if replay.needs(seg) && shut[seg.lineage] {
			return nil // where this log ends is not known before its key comes back
		}
		c := s.segments.file(seg)
		if !c.isZonal() || !s.knows(seg.lineage) {
			return nil
		}
		err := s.mend(seg, c, rest)
		if noted && errors.Is(err, block.ErrDamaged) {
			return nil
		}
		return err
	})
}

// mend reads all that a segment has and makes every copy like the good one, so that no bad one is copied on.
func (s *Store) mend(seg *segment, c *copies, rest func(int64) error) error {
	if err := mendHeader(seg, c); err != nil {
		return err
	}
	for slot := uint32(1); slot < s.opt.SegmentSlots; slot = s.segments.over(seg, slot) {
		h, err := s.readChunk(seg, slot, func(*chunkHeader) bool { return true })
		if errors.Is(err, errNoChunk) {
			return nil
		}
		if err == nil {
			_, err = s.wholeChunk(foundChunk{h, seg, slot})
		}
		if errors.Is(err, block.ErrLocked) { // nobody can tell a good copy of its blocks from a bad one now
			err = nil
		}
		if err != nil {
			return fmt.Errorf("segment %d slot %d: %w: %w", seg.number, slot, block.ErrDamaged, err)
		}
		if s.tender.stopping() {
			return block.ErrClosed
		}
		if err := rest(int64(h.slots()) * block.BlockSize); err != nil {
			return err
		}
		slot += h.slots()
	}
	return nil
}

// mendHeader makes the segment's own header good in every copy. Where none has it, it is no more than it was: a start puts it
// together from the first chunk.
func mendHeader(seg *segment, c *copies) error {
	buf := make([]byte, block.BlockSize)
	_, err := c.readEach(buf, 0, func() error {
		_, err := decodeSegment(buf, seg.number)
		return err
	})
	if err != nil {
		return fmt.Errorf("segment %d: header: %w: %w", seg.number, block.ErrDamaged, err)
	}
	return nil
}

// finishCopy counts a copy as whole, unless its segment was removed meanwhile.
func (s *Store) finishCopy(seg *segment, c *copies, i int) error {
	c.setWhole(i)
	t := s.segments
	t.doubtHoles(seg)
	t.mu.Lock()
	gone := seg.gone
	t.mu.Unlock()
	if gone {
		return removeFile(s.fs, segmentName(s.zones.all[i].segments(), seg.number))
	}
	return nil
}

const partSuffix = ".part"

func (c *copies) attach(i int, to zoneCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.zonal[i].file; f != nil {
		_ = f.Close() // of an earlier life of the zone, or not whole
	}
	c.zonal[i] = to
}

func (c *copies) setWhole(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.usable(i) {
		c.zonal[i].whole = true
	}
}

// pieceSize is how much of a segment is copied while its writers wait, and syncPieces how many of them are synced at once: one
// sync of all might take a slow disk longer than a zone may take to answer.
const (
	pieceSize  = 256 << 10
	syncPieces = 32
)

// copyTo makes a copy like the best one, and durable. What is written meanwhile goes to both.
func (s *Store) copyTo(c *copies, f vfs.File, i int) error {
	size, err := c.Size()
	if err != nil {
		return err
	}
	if err := f.Allocate(0, size); err != nil {
		return spaceError(err)
	}
	buf, old := make([]byte, pieceSize), make([]byte, pieceSize)
	for off := int64(0); ; off += pieceSize {
		begin := s.opt.Now()
		more, err := c.copyPiece(i, off, buf, old)
		if err != nil {
			return spaceError(err)
		}
		if !more {
			break
		}
		if off/pieceSize%syncPieces == syncPieces-1 {
			if err := f.SyncData(); err != nil {
				return err
			}
		}
		if s.tender.stopping() {
			return block.ErrClosed
		}
		if !s.opt.Manual {
			time.Sleep(s.opt.Now().Sub(begin)) // half of what the disks can do is for others
		}
	}
	return f.SyncData()
}

// copyPiece copies one piece, where it differs, and cuts the copy to size behind the last.
func (c *copies) copyPiece(i int, off int64, buf, old []byte) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.usable(i) {
		return false, errZoneOut
	}
	from := slices.DeleteFunc(c.sources(), func(s source) bool { return s.zone == i })
	if len(from) == 0 {
		return false, fmt.Errorf("segment %d: %w: %w", c.number, errSegmentGone, block.ErrDamaged)
	}
	n := 0
	for _, s := range from {
		if n, err = s.file.ReadAt(buf, off); err == nil || errors.Is(err, io.EOF) {
			break
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	to := c.zonal[i].file
	if n > 0 {
		has, failed := to.ReadAt(old[:n], off)
		if failed != nil || has < n || string(old[:n]) != string(buf[:n]) {
			if _, err := to.WriteAt(buf[:n], off); err != nil {
				return false, err
			}
		}
	}
	if err == nil {
		return true, nil
	}
	return false, to.Truncate(off + int64(n))
}

// sweep removes from a zone what it kept of segments that are gone.
func (s *Store) sweep(i int) error {
	t := s.segments
	t.mu.Lock() // nothing is made or removed meanwhile
	defer t.mu.Unlock()
	dir := s.zones.all[i].segments()
	all, err := listSegments(s.fs, dir)
	if err != nil {
		return err
	}
	for _, n := range all {
		if t.segs[n] == nil {
			if err := removeFile(s.fs, segmentName(dir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// replayFrom is replayStarts for who does not hold s.commits.
func (s *Store) replayFrom() replayStarts {
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.replayStarts()
}

// retireLocal removes the local copies of segments that are in the zones.
func (s *Store) retireLocal() error {
	if s.zones == nil {
		return nil
	}
	replay := s.replayFrom()
	return s.eachSegment(func(seg *segment) error {
		c := s.segments.file(seg)
		if c.isZonal() {
			return nil
		}
		err := c.retireLocal()
		if err == nil && c.isZonal() && !replay.needs(seg) {
			c.complete()
		}
		return err
	})
}

// retireLocal removes the local copy if enough zones, and all that are in, have a whole one. Its name is gone, durably,
// before anything is written that it does not have: a start takes a local copy for the best.
func (c *copies) retireLocal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := 0
	for i, z := range c.shelf.zones.all {
		if c.usable(i) && c.zonal[i].whole {
			whole++
		} else if z.in() {
			return nil
		}
	}
	if whole < enough || c.local == nil {
		return nil
	}
	name := segmentName(c.shelf.dir, c.number)
	if err := errors.Join(removeFile(c.shelf.fs, name), c.shelf.fs.SyncDir(c.shelf.dir)); err != nil {
		return err
	}
	err := c.local.Close()
	c.local = nil
	return err
}

// ZoneStats is how one zone is.
type ZoneStats struct {
	Zone   string `json:"zone"`
	State  string `json:"state"` // whole; behind: it gets what is new, and is being given the rest; out
	Behind int64  `json:"behindBytes"`
	Reason string `json:"reason,omitempty"` // why it is out
}

func (s *Store) zoneStats() []ZoneStats {
	if s.zones == nil {
		return nil
	}
	stats := make([]ZoneStats, zoneCount)
	t := s.segments
	for _, n := range t.numbers() {
		seg, err := t.pin(n)
		if err != nil {
			continue // it is gone since
		}
		c := t.file(seg)
		wanted := s.wantsZones(seg)
		for i := range stats {
			if wanted && !c.has(i) {
				size, err := c.Size()
				if err == nil {
					stats[i].Behind += size
				}
			}
		}
		_ = t.unpin(seg) // closing a file that is gone: nothing is lost by it
	}
	s.zones.mu.Lock()
	defer s.zones.mu.Unlock()
	for i, z := range s.zones.all {
		stats[i].Zone = z.name
		switch {
		case !z.in():
			stats[i].State = "out"
			if z.reason != nil {
				stats[i].Reason = z.reason.Error()
			}
		case !z.whole || stats[i].Behind > 0 || !s.mirror.has(i):
			stats[i].State = "behind"
		default:
			stats[i].State = "whole"
		}
	}
	return stats
}

// findMeta makes sure that there is metadata to begin with, from a zone if need be, and has the zones follow its changes.
func (s *Store) findMeta(dir string) error {
	names, err := listMeta(s.fs, dir)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(names, isMarker) {
		if err := s.mirror.restore(); err != nil && !errors.Is(err, errNoCopy) {
			return err
		}
	}
	s.mirror.resume()
	return nil
}
