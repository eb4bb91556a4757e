package compute

import (
	"context"
	"errors"
	"strings"
	"time"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Power starts, stops, restarts or deallocates a machine. What that means here: while the machine is not running, no host can attach its disks, and
// when it stops being so, or is restarted, its host loses those that it has, as soon as no request touches them, all that was answered durable.
// The operation ends then.
func (s *Service) Power(ctx context.Context, id tintype.ResourceID, action tintype.PowerAction) (op tintype.Operation, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		if err := s.free(tx, id.Key()); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		if err != nil {
			return absent(err, id.NotFound())
		}
		c = c.Clone()
		detach, err := c.Machine.Turn(action, c.ID.Name)
		if err != nil {
			return err
		}
		c.Machine.Revision++
		op = s.ended(tintype.OpPower, c)
		if detach {
			op.State, op.Ended = tintype.InProgress, time.Time{}
		}
		return errors.Join(tx.PutCompanion(c), putEnded(tx, op, c))
	})
	if err == nil {
		s.kick(op.ID)
	}
	return op, err
}

// finishPower takes the machine's disks from its host.
func (s *Service) finishPower(op catalog.Operation) error {
	held := map[tintype.ResourceID]string{}
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
		c, err := tx.Companion(op.Key)
		if err != nil {
			return err
		}
		for _, d := range c.Machine.Disks() {
			v, err := tx.Volume(d.ID.Key())
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if host := v.HostFor(c.ID.String()); err == nil && host != "" {
				held[v.ID] = host
			}
		}
		return nil
	})
	if errors.Is(err, catalog.ErrNotFound) {
		err = nil // deleted meanwhile, which takes that no host has its disks
	}
	for id, host := range held {
		err = errors.Join(err, s.detach(s.ctx, id, host, true))
	}
	if errors.Is(err, block.ErrClosed) || s.ctx.Err() != nil {
		return errors.Join(err, s.ctx.Err()) // the next start goes on
	}
	return s.end(op, func(_ *catalog.Tx, o *catalog.Operation) error {
		if err != nil {
			o.State, o.Failure = tintype.Failed, storeError(err)
		}
		return nil
	})
}

// checkPower refuses a disk of a machine that is not running to its host, and has whoever comes behind a stop or a restart wait for its end.
func (s *Service) checkPower(tx *catalog.Tx, v tintype.Volume, host string) error {
	for _, by := range append(v.SharedBy(), v.Machine) {
		id, ok := tintype.ParseResourceID(by)
		if !ok || id.Kind != tintype.KindMachine || !strings.EqualFold(id.Name, host) {
			continue
		}
		c, err := tx.Companion(id.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err == nil {
			err = c.Machine.Refuse(c.ID.Name, v.ID)
		}
		if err == nil {
			err = s.free(tx, id.Key())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
