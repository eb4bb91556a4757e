package lsd

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// copies are the open files that keep one segment: a local one, or one in each zone. While a segment goes from local to
// zonal it has both, and the local one is what counts.
type copies struct {
	shelf  *shelf
	number uint32

	mu    sync.RWMutex // held for writing when files come, go, or are caught up
	local vfs.File
	zonal [zoneCount]zoneCopy
}

// zoneCopy is the file in one zone.
type zoneCopy struct {
	file  vfs.File
	life  uint64 // of the zone, when the file was opened
	whole bool   // it has all that the segment has
}

// usable tells whether there is a file in a zone that is in. The caller holds mu, here and below.
func (c *copies) usable(i int) bool {
	return c.zonal[i].file != nil && c.shelf.zones.all[i].usable(c.zonal[i].life)
}

// alone tells that the segment is in no zone.
func (c *copies) alone() bool {
	for i := range c.zonal {
		if c.zonal[i].file != nil {
			return false
		}
	}
	return c.local != nil
}

// none tells that no copy is within reach.
func (c *copies) none() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.sources()) == 0
}

// isLocal tells that the segment is in no zone, not in part either.
func (c *copies) isLocal() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.alone()
}

// isZonal tells that the segment is kept in the zones only.
func (c *copies) isZonal() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.local == nil
}

// change does something to every copy. It succeeds when the local copy, or enough whole ones, have it. A zone in which it
// fails is out; one that only has no space is not, where that may be said to the caller.
func (c *copies) change(mayBeFull bool, op func(vfs.File) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.alone() {
		return op(c.local)
	}
	var errs [zoneCount]error
	var local error
	var wg sync.WaitGroup
	run := func(f vfs.File, err *error) {
		if c.shelf.serial {
			*err = op(f)
		} else {
			wg.Go(func() { *err = op(f) })
		}
	}
	for i := range c.zonal {
		if errs[i] = errZoneOut; c.usable(i) {
			run(c.zonal[i].file, &errs[i])
		}
	}
	if c.local != nil {
		run(c.local, &local)
	}
	wg.Wait()
	return c.outcome(mayBeFull, local, errs)
}

func (c *copies) outcome(mayBeFull bool, local error, errs [zoneCount]error) error {
	done := 0
	var full error
	for i, err := range errs {
		switch {
		case err == nil && c.zonal[i].whole:
			done++
		case mayBeFull && errors.Is(err, syscall.ENOSPC):
			full = err
		case err != nil && !errors.Is(err, errZoneOut):
			c.shelf.zones.fail(c.shelf.zones.all[i], c.zonal[i].life, err)
		}
	}
	if full != nil || local != nil {
		return errors.Join(full, local)
	}
	if c.local == nil && done < enough {
		return fmt.Errorf("%d copies of segment %d, %d are needed: %w", done, c.number, enough, errors.Join(errs[:]...))
	}
	return nil
}

// WriteAt writes to every copy.
func (c *copies) WriteAt(p []byte, off int64) (int, error) {
	err := c.change(false, func(f vfs.File) error {
		_, err := f.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// beginWrite has n bytes from off on, or with 0 all from there on, on their way to the media.
func (c *copies) beginWrite(off, n int64) {
	c.eachLazy(func(f vfs.Lazy) { f.BeginWrite(off, n) })
}

// forget gives back the memory that keeps n bytes from off on, as far as they are on the media.
func (c *copies) forget(off, n int64) {
	c.eachLazy(func(f vfs.Lazy) { f.Forget(off, n) })
}

func (c *copies) eachLazy(do func(vfs.Lazy)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.sources() {
		if f, ok := s.file.(vfs.Lazy); ok {
			do(f)
		}
	}
}

// Allocate reserves room in every copy.
func (c *copies) Allocate(off, n int64) error {
	return c.change(true, func(f vfs.File) error { return f.Allocate(off, n) })
}

// Truncate cuts every copy.
func (c *copies) Truncate(size int64) error {
	return c.change(false, func(f vfs.File) error { return f.Truncate(size) })
}

// Sync makes every copy durable, and which zones have none.
func (c *copies) Sync() error {
	return errors.Join(c.change(false, vfs.File.Sync), c.shelf.zones.save())
}

// SyncData is Sync without metadata that reading does not need.
func (c *copies) SyncData() error {
	return errors.Join(c.change(false, vfs.File.SyncData), c.shelf.zones.save())
}

// complete says that nothing more will be appended.
func (c *copies) complete() {
	if c.shelf.zones != nil {
		c.shelf.zones.completed(c.number)
	}
}

// source is a copy to read from.
type source struct {
	file vfs.File
	zone int // -1: the local one
}

// sources lists the copies, the best first. One that is not whole comes last: what it has may be as good.
func (c *copies) sources() []source {
	var best, rest []source
	if c.local != nil {
		best = append(best, source{c.local, -1})
	}
	for i := range c.zonal {
		switch {
		case !c.usable(i):
		case c.zonal[i].whole:
			best = append(best, source{c.zonal[i].file, i})
		default:
			rest = append(rest, source{c.zonal[i].file, i})
		}
	}
	return append(best, rest...)
}

// Size is that of the longest whole copy.
func (c *copies) Size() (int64, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var most int64
	for _, s := range c.sources() {
		if n, err := s.file.Size(); err != nil {
			return 0, err
		} else if s.zone < 0 || c.zonal[s.zone].whole || most == 0 {
			most = max(most, n)
		}
	}
	return most, nil
}

// readGood fills p from a copy that check is content with; check looks at p, may change it, and may be called again for another copy.
// Copies that were tried before are made good. Of several errors those of all copies are returned.
func (c *copies) readGood(p []byte, off int64, check func() error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.alone() {
		if _, err := c.local.ReadAt(p, off); err != nil {
			return err
		}
		return check()
	}
	failed := fmt.Errorf("segment %d: %w: %w", c.number, errSegmentGone, block.ErrDamaged)
	var bad []source
	for _, s := range c.sources() {
		_, err := s.file.ReadAt(p, off)
		if err == nil {
			err = check()
		}
		if err == nil {
			c.heal(bad, s, off, len(p))
			return nil
		}
		if len(bad) == 0 {
			failed = err
		} else {
			failed = errors.Join(failed, err)
		}
		bad = append(bad, s)
	}
	return failed
}

// readEach calls check with what each copy has at off, and makes those that it does not like like one that it does. It tells
// whether there is one. A copy that ends before is one that it does not like.
func (c *copies) readEach(p []byte, off int64, check func() error) (bool, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var bad, good []source
	var failed error
	for _, s := range c.sources() {
		_, err := s.file.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) {
			failed = errors.Join(failed, err)
		}
		if err == nil {
			err = check()
		}
		if err != nil {
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	if len(good) == 0 {
		return false, failed
	}
	c.heal(bad, good[0], off, len(p))
	return true, nil
}

// heal rewrites a range in bad copies from a good one: a position is written once, so this is what was to be there. A zone
// that does not take it is out.
func (c *copies) heal(bad []source, good source, off int64, n int) {
	if len(bad) == 0 {
		return
	}
	p := make([]byte, n) // check may have changed the caller's
	if _, err := good.file.ReadAt(p, off); err != nil {
		c.shelf.cannotHeal(c.number, err)
		return
	}
	for _, b := range bad {
		_, err := b.file.WriteAt(p, off)
		switch {
		case err == nil:
			c.shelf.zones.noteHealed(n)
		case b.zone < 0:
			c.shelf.cannotHeal(c.number, err)
		default:
			c.shelf.zones.fail(c.shelf.zones.all[b.zone], c.zonal[b.zone].life, err)
		}
	}
}

// eachCopy does something with every copy that can be read, for who wants to know all there is. A zone whose copy cannot be read
// while another can is out, as it is for a read: whatever is durable is in all that are in.
func (c *copies) eachCopy(do func(io.ReaderAt) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := c.sources()
	if len(list) == 0 {
		return fmt.Errorf("segment %d: %w: %w", c.number, errSegmentGone, block.ErrDamaged)
	}
	failed := map[int]error{}
	var all error
	for _, s := range list {
		if err := do(s.file); err != nil {
			failed[s.zone], all = err, errors.Join(all, err)
		}
	}
	if _, local := failed[-1]; local || len(failed) == len(list) {
		return all
	}
	for i, err := range failed {
		c.shelf.zones.fail(c.shelf.zones.all[i], c.zonal[i].life, err)
	}
	return nil
}

// Close closes all files.
func (c *copies) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.local != nil {
		err = c.local.Close()
		c.local = nil
	}
	for i := range c.zonal {
		if f := c.zonal[i].file; f != nil {
			if failed := f.Close(); failed != nil && c.usable(i) {
				err = errors.Join(err, failed)
			}
			c.zonal[i] = zoneCopy{}
		}
	}
	return err
}
