package compute

import (
	"context"
	"errors"
	"sync"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

// moveBytes copies what is left.
func (s *Service) moveBytes(ctx context.Context, c *catalog.Copy) (err error) {
	image, err := s.openSource(ctx, c)
	if err != nil || c.Ended {
		return err
	}
	changes, err := image.Changes(ctx, c.Since)
	if err != nil {
		return s.revoked(ctx, c, err)
	}
	var v tintype.Volume
	err = s.changeCopy(ctx, c, func(_ *catalog.Tx, now *tintype.Volume) error {
		v = *now
		c.Total, c.Done, c.Moved = 0, 0, s.now()
		for _, x := range changes {
			if n := min(x.Start+x.Length, v.Size) - x.Start; x.Data && n > 0 {
				c.Total += n
				c.Done += min(n, max(0, c.Position-x.Start))
			}
		}
		return nil
	})
	if err != nil || c.Ended {
		return err
	}
	if image.Size() != v.Size+vhd.FooterSize {
		return &copyFailure{copyGone, "The source snapshot has another size than when its copy began.", nil}
	}
	dev, err := s.volumes.OpenVolume(v.Store)
	if err != nil {
		return storeFailure(err)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	for len(changes) > 0 && !c.Ended {
		var now []PeerChange
		now, changes = nextBatch(changes, c.Position, v.Size)
		if len(now) == 0 {
			break
		}
		if err := copyAll(ctx, image, dev, now); err != nil {
			return s.revoked(ctx, c, err)
		}
		if err := dev.Flush(); err != nil {
			return storeFailure(err)
		}
		err := s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			for _, x := range now {
				c.Position, c.Moved = x.Start+x.Length, s.now()
				if x.Data {
					c.Done += x.Length
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ownTrouble is an error of this server alone. It says nothing of the other one, so it does not unwrap to a refusal, and the copy waits
// for as long as it lasts.
type ownTrouble struct{ cause error }

func (t *ownTrouble) Error() string { return t.cause.Error() }

// storeFailure ends a copy when there is no room for it. What else this server lacks may pass.
func storeFailure(err error) error {
	var failure *copyFailure
	switch {
	case err == nil, errors.Is(err, errLater), errors.Is(err, block.ErrClosed), errors.As(err, &failure):
		return err
	case errors.Is(err, block.ErrNoSpace), errors.Is(err, block.ErrLocked):
		refusal := storeError(err)
		return &copyFailure{refusal.Code, refusal.Message, err}
	}
	return &ownTrouble{err}
}

// openSource opens the source, with access that it asks for unless it has it.
func (s *Service) openSource(ctx context.Context, c *catalog.Copy) (PeerImage, error) {
	if c.URL != "" && !s.now().Before(c.Expires) {
		err := s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			c.URL, c.Asked = "", false
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if c.URL == "" && !c.Ended {
		if err := s.askAccess(ctx, c); err != nil {
			return nil, err
		}
	}
	if c.Ended {
		return nil, nil
	}
	image, err := s.opt.Peers.Open(ctx, c.Source, c.URL)
	if err != nil {
		return nil, s.revoked(ctx, c, err)
	}
	return image, nil
}

// askAccess asks for access to the source. When that was done before and the answer is not known, there may be access already, which is
// ended only if it is in the way: somebody else may have it.
func (s *Service) askAccess(ctx context.Context, c *catalog.Copy) error {
	before := c.Asked
	err := s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
		c.Asked, c.Expires = true, s.now().Add(copyAccess)
		return nil
	})
	if err != nil || c.Ended {
		return err
	}
	url, err := s.opt.Peers.Grant(ctx, c.Source, copyAccess)
	var refusal *tintype.Error
	if before && errors.As(err, &refusal) && refusal.Kind == tintype.KindConflict {
		if err := s.opt.Peers.Release(ctx, c.Source); err != nil {
			return err
		}
		before = false
		url, err = s.opt.Peers.Grant(ctx, c.Source, copyAccess)
	}
	switch {
	case err == nil:
		c.Moved = s.now()
		return s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			c.URL = url
			return nil
		})
	case !before && errors.As(err, &refusal): // what was refused was not given
		return errors.Join(err, s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			c.Asked = false
			return nil
		}))
	}
	return err
}

// revoked words what it means that a signed URL opens nothing: that its time is over, after which the next run asks for access
// again, that the source is gone, or that somebody ended the access.
func (s *Service) revoked(ctx context.Context, c *catalog.Copy, err error) error {
	var refusal *tintype.Error
	if !errors.As(err, &refusal) || refusal.Kind != tintype.KindForbidden {
		return err
	}
	if !s.now().Before(c.Expires) {
		return errLater
	}
	source, gone := s.opt.Peers.Snapshot(ctx, c.Source)
	if gone == nil && source.UniqueID != c.SourceID {
		gone = c.Source.NotFound()
	}
	if gone != nil {
		return gone
	}
	return &copyFailure{copyDenied, "The access to the source snapshot was ended at the server that has it.", err}
}

// nextBatch takes from the changes behind the position what is copied at once, in pieces that one request takes, and gives what is
// left behind it. Nothing at or beyond size is copied: that is a VHD's footer.
func nextBatch(changes []PeerChange, position, size int64) (now, left []PeerChange) {
	bytes := int64(0)
	for len(changes) > 0 && bytes < copyBatch && len(now) < copyRequests {
		x := changes[0]
		end := min(x.Start+x.Length, size)
		x.Start = max(x.Start, position)
		x.Length = end - x.Start
		if x.Length <= 0 {
			changes = changes[1:]
			continue
		}
		if x.Data {
			x.Length = min(x.Length, copyPiece)
			bytes += x.Length
		}
		position = x.Start + x.Length
		now = append(now, x)
	}
	return now, changes
}

// copyAll copies a batch, several pieces at a time.
func copyAll(ctx context.Context, image PeerImage, dev block.Device, batch []PeerChange) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan PeerChange)
	var group sync.WaitGroup
	for range min(copyParallel, len(batch)) {
		group.Go(func() {
			var buf []byte
			for x := range work {
				if err := copyPart(ctx, image, dev, x, &buf); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, x := range batch {
		if ctx.Err() != nil {
			break
		}
		work <- x
	}
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

func copyPart(ctx context.Context, image PeerImage, dev block.Device, x PeerChange, buf *[]byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !x.Data {
		return storeFailure(dev.WriteZeroes(x.Start, x.Length))
	}
	if int64(cap(*buf)) < x.Length {
		*buf = make([]byte, x.Length)
	}
	p := (*buf)[:x.Length]
	if err := image.ReadAt(ctx, p, x.Start); err != nil {
		return err
	}
	_, err := block.WriteBulk(dev, p, x.Start)
	return storeFailure(err)
}
