package compute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// A copy from another server goes on behind its PUT, from where it was last put on record, whatever is restarted. The snapshot is
// written into a disk (seal.go): the one into which the snapshot before it was copied, if that is a copy of an older snapshot of the same
// disk, or else a clone of that snapshot; then only what changed is asked for. So copies of one disk follow one another.

const (
	// copyBatch is how much is copied between two records of the position, in bytes and in requests.
	copyBatch    = 32 << 20
	copyRequests = 1024
	// copyPiece is how much one request asks for, and copyParallel how many are under way.
	copyPiece    = 4 << 20
	copyParallel = 8
	// copyAccess is how long the other server is asked to give access.
	copyAccess = 24 * time.Hour
	// copyPatience is how long nothing may be got from the other server before the copy fails.
	copyPatience = 24 * time.Hour
	// copyBases bounds how many older copies are considered.
	copyBases = 8
	// copiesAtOnce bounds how many copies go on at a time; the others wait.
	copiesAtOnce = 4
	// copyRest is how long a copy that has to wait rests at least. When it fails it rests for twice as long as the last time, up to
	// copyLongestRest.
	copyRest        = sweepEvery - time.Second
	copyLongestRest = 10 * time.Minute
)

// errLater says that a copy has to wait.
var errLater = errors.New("the copy has to wait")

// later takes a snapshot that is gone for one that the next look will find gone.
func later(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return errLater
	}
	return err
}

// rest is what keeps a copy from being tried again.
type rest struct {
	until   time.Time
	last    time.Duration // 0: the last try did not fail
	trouble time.Time     // when the first of the tries failed that nothing came of, zero: none
}

// startCopies carries on with every copy that is not under way and does not rest.
func (s *Service) startCopies(ctx context.Context) error {
	if s.opt.Peers == nil {
		return nil
	}
	var all []catalog.Copy
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		all, err = tx.Copies()
		return err
	})
	for _, c := range all {
		s.startCopy(c)
	}
	return errors.Join(err, s.dropMirrors(ctx))
}

// startCopy carries on with a copy, unless that is under way. The caller may have seen it before it ended, or before it came further: what
// counts is what is on record once no other can be at it.
func (s *Service) startCopy(seen catalog.Copy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copying[seen.Volume] || s.ctx.Err() != nil || s.now().Before(s.resting[seen.Volume].until) {
		return
	}
	s.copying[seen.Volume] = true
	s.done.Go(func() {
		from := s.now()
		select {
		case s.copySlots <- struct{}{}:
			defer func() { <-s.copySlots }()
		case <-s.ctx.Done():
		}
		s.mu.Lock()
		if r := s.resting[seen.Volume]; !r.trouble.IsZero() { // nothing was tried while it waited
			r.trouble = r.trouble.Add(s.now().Sub(from))
			s.resting[seen.Volume] = r
		}
		s.mu.Unlock()
		was, open, err := s.recordedCopy(seen.Volume)
		c := was
		if open {
			err = s.carryOn(s.ctx, &c)
		}
		s.mu.Lock()
		delete(s.copying, seen.Volume)
		news := s.restCopy(seen.Volume, err, c.Position > was.Position || c.Prepared != was.Prepared)
		s.mu.Unlock()
		if news && s.ctx.Err() == nil {
			s.opt.Log.Warn("a copy from another server will be tried again", "snapshot", seen.Key, "source", seen.Source, "error", err)
		}
	})
}

// recordedCopy gives the copy into the snapshot of the unique id; open tells whether there is one.
func (s *Service) recordedCopy(volume uuid.UUID) (c catalog.Copy, open bool, err error) {
	err = s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		c, err = tx.Copy(volume)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return c, false, nil
	}
	return c, err == nil, err
}

// restCopy has a copy rest for as long as its last try asks for, and tells whether an operator should hear of it, which is so until the
// rests grow no more. The caller holds mu.
func (s *Service) restCopy(volume uuid.UUID, err error, progress bool) (news bool) {
	r := s.resting[volume]
	if progress {
		r = rest{}
	}
	switch {
	case err == nil:
		delete(s.resting, volume)
		return false
	case errors.Is(err, errLater):
		s.resting[volume] = rest{until: s.now().Add(copyRest)}
		return false
	}
	news = r.last < copyLongestRest
	r.last = min(max(copyRest, 2*r.last), copyLongestRest)
	r.until = s.now().Add(r.last)
	s.resting[volume] = r
	return news
}

// inTrouble gives since when nothing came from the other server although it was asked, the present failure included. What it had been asked in
// vain before a restart counts, the time in which this server was down does not.
func (s *Service) inTrouble(c *catalog.Copy) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.resting[c.Volume]
	if r.trouble.IsZero() {
		r.trouble = s.now().Add(-c.Tried)
		s.resting[c.Volume] = r
	}
	if c.Moved.After(r.trouble) {
		return c.Moved
	}
	return r.trouble
}

// dropMirrors lets go of disks whose last cut was deleted.
func (s *Service) dropMirrors(ctx context.Context) error {
	var stale []uuid.UUID
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		stale, err = tx.StaleMirrors()
		return err
	})
	if err != nil || len(stale) == 0 {
		return err
	}
	return s.update(ctx, func(tx *catalog.Tx) error {
		stale, err := tx.StaleMirrors()
		for _, family := range stale {
			err = errors.Join(err, tx.DropMirror(family))
		}
		return err
	})
}

// carryOn does what is left of the copy, or as much as can be done now.
func (s *Service) carryOn(ctx context.Context, c *catalog.Copy) error {
	err := s.changeCopy(ctx, c, nil)
	if err == nil && !c.Ended && !c.Prepared {
		err = s.prepareCopy(ctx, c)
	}
	if err == nil && !c.Ended && !c.Whole {
		err = s.moveBytes(ctx, c)
	}
	if err == nil && !c.Ended {
		err = s.leaveSource(ctx, c)
	}
	if err == nil && !c.Ended {
		err = s.endCopy(ctx, c)
	}
	if err != nil && !c.Ended {
		err = s.copyTrouble(ctx, c, err)
	}
	if err != nil || !c.Ended {
		return err
	}
	return s.releaseCopy(ctx, *c)
}

// changeCopy does fn with the snapshot that is being copied into, and records the copy with what fn made of it. When the snapshot is
// gone, or no copy any more, the copy has ended.
func (s *Service) changeCopy(ctx context.Context, c *catalog.Copy, fn func(*catalog.Tx, *tintype.Volume) error) error {
	was := *c
	return s.update(ctx, func(tx *catalog.Tx) error {
		*c = was
		if c.Ended {
			return nil
		}
		id, ok := tintype.ParseResourceID(c.Key)
		if !ok {
			return fmt.Errorf("catalog holds a bad resource id %q", c.Key)
		}
		v, err := s.settled(tx, id)
		var wait *busy
		var refusal *tintype.Error
		switch {
		case errors.As(err, &wait), errors.As(err, &refusal) && refusal.Kind == tintype.KindConflict:
			return errLater // something else is done with the snapshot, or its group
		case errors.Is(err, catalog.ErrNotFound), refusal != nil && refusal.Kind == tintype.KindNotFound:
			c.Ended = true
			return tx.PutCopy(*c)
		case err != nil:
			return err
		case v.UniqueID != c.Volume, v.Copy == nil, v.Copy.Code != "":
			c.Ended = true
			return tx.PutCopy(*c)
		}
		if fn != nil {
			if err := fn(tx, &v); err != nil {
				return err
			}
		}
		return tx.PutCopy(*c)
	})
}

// copyFailure ends a copy for good.
type copyFailure struct {
	code, message string
	cause         error
}

func (f *copyFailure) Error() string { return f.code + ": " + f.message }
func (f *copyFailure) Unwrap() error { return f.cause }

// copyTrouble fails the copy if the error is none that passes.
func (s *Service) copyTrouble(ctx context.Context, c *catalog.Copy, err error) error {
	if ctx.Err() != nil || errors.Is(err, errLater) || errors.Is(err, block.ErrClosed) {
		return err
	}
	var failure *copyFailure
	var refusal *tintype.Error
	var own *ownTrouble
	switch {
	case errors.As(err, &failure):
	case errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound:
		failure = &copyFailure{copyGone, "The source snapshot " + c.Source.String() + " was deleted while the copy was in progress.", err}
	case errors.As(err, &refusal) && refusal.Kind == tintype.KindForbidden:
		failure = &copyFailure{copyDenied, "The server that has the source snapshot does not let this server read it any more.", err}
	case errors.As(err, &own):
		return err
	case s.now().Sub(s.inTrouble(c)) > copyPatience:
		failure = &copyFailure{copyUnreachable, fmt.Sprintf("Nothing could be read from the server that has the source snapshot for %v.", copyPatience), err}
	default:
		return errors.Join(err, s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			c.Tried = s.now().Sub(s.inTrouble(c))
			return nil
		}))
	}
	s.opt.Log.Error("a copy from another server failed", "snapshot", c.Key, "source", c.Source, "error", err)
	return s.changeCopy(ctx, c, func(tx *catalog.Tx, v *tintype.Volume) error {
		c.Ended = true
		v.Copy = &tintype.BackgroundCopy{Code: failure.code, Message: failure.message}
		return tx.PutVolume(*v)
	})
}

// leaveSource gives the access back before the copy is shown as whole: whoever waits for that may then do with the source as they
// like. When it fails, the copy does not wait for it. That all bytes are there is on record before, because nothing can be read after.
func (s *Service) leaveSource(ctx context.Context, c *catalog.Copy) error {
	err := s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
		c.Whole = true
		return nil
	})
	if err != nil || c.Ended {
		return err
	}
	if err := s.giveBack(ctx, *c); err != nil {
		s.opt.Log.Warn("access to a source at another server will be given back later", "source", c.Source, "error", err)
		return nil
	}
	return s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
		c.Asked, c.URL = false, "" // on record at once: what is given from now on is somebody else's
		return nil
	})
}

// giveBack ends the access to the source, if it was asked for and has not run out. A source that is gone, or that may not be asked
// for any more, needs no more than that.
func (s *Service) giveBack(ctx context.Context, c catalog.Copy) error {
	if !c.Asked || !s.now().Before(c.Expires) {
		return nil
	}
	err := s.opt.Peers.Release(ctx, c.Source)
	var refusal *tintype.Error
	if errors.As(err, &refusal) && (refusal.Kind == tintype.KindNotFound || refusal.Kind == tintype.KindForbidden) {
		return nil
	}
	return err
}

// releaseCopy gives the access back, and forgets the copy.
func (s *Service) releaseCopy(ctx context.Context, c catalog.Copy) error {
	if err := s.giveBack(ctx, c); err != nil {
		return err
	}
	return s.update(ctx, func(tx *catalog.Tx) error { return tx.DeleteCopy(c.Volume) })
}

// endCopy makes what was copied the snapshot, and keeps the disk that it was copied into for the next one.
func (s *Service) endCopy(ctx context.Context, c *catalog.Copy) error {
	cut := uuid.New()
	if err := s.update(ctx, func(tx *catalog.Tx) error { return tx.AddIntent(cut) }); err != nil {
		return err
	}
	var v tintype.Volume
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		v, err = tx.Volume(c.Key)
		return later(err)
	})
	if err == nil {
		err = s.volumes.Snapshot(block.Cut{Source: v.Store, Snapshot: cut, Redundancy: redundancyOf(v.SKU)})
	}
	if err == nil {
		err = s.applyKey(v, cut)
	}
	done := false
	if err == nil {
		was := v
		err = s.changeCopy(ctx, c, func(tx *catalog.Tx, v *tintype.Volume) error {
			if err := s.fits(tx, *v, was, cut); err != nil {
				return err
			}
			keep := func() error { return tx.PutMirror(v.Family, v.Store, cut) }
			if v.Settings.KeySet() != "" { // no rotation would find it
				keep = func() error { return tx.AddDrop(v.Store) }
			}
			err := errors.Join(tx.DropMirror(v.Family), keep(), tx.DeleteIntent(cut))
			v.Store, v.Copy, c.Ended, done = cut, nil, true, true
			return errors.Join(err, tx.PutVolume(*v))
		})
	}
	if err != nil || !done {
		err = errors.Join(storeFailure(err), s.update(s.ctx, func(tx *catalog.Tx) error { return errors.Join(tx.DeleteIntent(cut), tx.AddDrop(cut)) }))
	}
	return err
}

// fits answers errLater unless a volume that was made for a snapshot as it was is right for what that is by now.
func (s *Service) fits(tx *catalog.Tx, now, was tintype.Volume, store uuid.UUID) error {
	if now.Store != was.Store || redundancyOf(now.SKU) != redundancyOf(was.SKU) {
		return errLater
	}
	return s.underKey(tx, now, store)
}
