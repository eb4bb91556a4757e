package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// run finishes an accepted operation; one that has ended is left alone. An error means that it could not be finished
// now and stays in progress: a failure of the operation itself is recorded with it and is no error here.
func (s *Service) run(id uuid.UUID) error {
	defer s.running.lock(id.String())()
	var op catalog.Operation
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		op, err = tx.Operation(id)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) || err == nil && op.State != tintype.InProgress {
		return nil
	}
	if err != nil {
		return err
	}
	switch op.Kind {
	case tintype.OpPut:
		if p, err := planOf(op); err == nil && p.Step == stepImport {
			s.runImport(op) // it may last: nothing waits for it
			return nil
		}
		return s.finishPut(op)
	case tintype.OpDelete:
		return s.finishDelete(op)
	case tintype.OpRevoke:
		return s.finishRevoke(op)
	case tintype.OpPutImage:
		return s.finishImage(op)
	case tintype.OpPower:
		return s.finishPower(op)
	case tintype.OpDeleteGroup:
		return s.finishDeleteGroup(op)
	}
	return s.end(op, nil) // a grant was complete when it was accepted
}

// runAll finishes every operation in progress.
func (s *Service) runAll(ctx context.Context) error {
	var open []catalog.Operation
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		open, err = tx.OpenOperations("")
		return err
	})
	for _, op := range open {
		err = errors.Join(err, s.run(op.ID))
	}
	return err
}

// end records that the operation succeeded, in one transaction with what fn does.
func (s *Service) end(op catalog.Operation, fn func(*catalog.Tx, *catalog.Operation) error) error {
	var o catalog.Operation
	err := s.update(s.ctx, func(tx *catalog.Tx) error {
		o = op
		o.State, o.Ended = tintype.Succeeded, s.now()
		if fn != nil {
			if err := fn(tx, &o); err != nil {
				return err
			}
		}
		return tx.PutOperation(o)
	})
	if err == nil {
		if s.opt.Ended != nil {
			s.opt.Ended(o.Operation)
		}
		s.opt.Log.Debug("operation ended", "operation", o.ID, "kind", o.Kind, "resource", o.Resource, "state", o.State)
	}
	return err
}

// finishPut makes or grows the bytes and shows the resource as ready.
func (s *Service) finishPut(op catalog.Operation) error {
	p, err := planOf(op)
	if err != nil {
		return err
	}
	err = s.build(op.ID, p)
	if err == nil {
		err = s.buildGuest(op, p)
	}
	if err == nil {
		err = s.encrypt(op, p)
	}
	if err == nil && p.Step == stepResize {
		err = s.volumes.Resize(p.Store, p.Size) // last: nothing takes it back when another step fails
	}
	if err != nil {
		if errors.Is(err, block.ErrClosed) || errors.Is(err, errUnrecorded) {
			return err // the server is stopping, or hindered; the next start, or sweep, goes on
		}
		s.opt.Log.Error("operation failed", "operation", op.ID, "resource", op.Resource, "error", err)
		if undo := s.undoUpdate(p); undo != nil {
			s.opt.Log.Error("a failed update could not be taken back in the store", "resource", op.Resource, "error", undo)
		}
		return s.failPut(op, p, putError(err))
	}
	return s.end(op, func(tx *catalog.Tx, o *catalog.Operation) error {
		v, err := tx.Volume(op.Key)
		if err != nil {
			return err
		}
		v.Provisioning = tintype.StateSucceeded
		for _, gone := range []uuid.UUID{p.Temp, p.Old} {
			if gone != uuid.Nil {
				if err := tx.AddDrop(gone); err != nil {
					return err
				}
			}
		}
		if p.Step == stepGrowSnapshot {
			v.Store = p.Store
		}
		o.Output = &v
		return tx.PutVolume(v)
	})
}

// encrypt puts what was built under its key, and brings the guest state after it.
func (s *Service) encrypt(op catalog.Operation, p plan) error {
	var v tintype.Volume
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		v, err = tx.Volume(op.Key)
		return err
	})
	if err != nil {
		return err
	}
	store := v.Store
	if p.Step == stepGrowSnapshot {
		store = p.Store
	}
	return errors.Join(s.applyKey(v, store), s.settleGuestBytes(v))
}

// putError words why an accepted PUT came to nothing.
func putError(err error) *tintype.Error {
	var image *importFailure
	var refusal *tintype.Error
	if errors.As(err, &image) && errors.As(importError(image.cause, image.uri), &refusal) {
		return refusal
	}
	return storeError(err)
}

// build does the plan's work in the store. Every call in it may have been done before.
func (s *Service) build(op uuid.UUID, p plan) error {
	if err := s.buildStep(op, p); err != nil || p.Volume == uuid.Nil {
		return err
	}
	return s.volumes.SetRedundancy(p.Volume, p.Redundancy)
}

func (s *Service) buildStep(op uuid.UUID, p plan) error {
	switch p.Step {
	case stepCreate:
		return made(s.volumes.Create(p.Store, p.Size))
	case stepEmptySnapshot:
		return s.cutTemp(p, made(s.volumes.Create(p.Temp, p.Size)))
	case stepImport:
		return s.copyImage(op, p)
	case stepGrowSnapshot:
		return s.cutTemp(p, made(s.volumes.Clone(p.Temp, p.Old, p.Size)))
	}
	return nil
}

func (s *Service) cutTemp(p plan, err error) error {
	if err != nil {
		return err
	}
	return made(s.volumes.Snapshot(block.Cut{Source: p.Temp, Snapshot: p.Store, Redundancy: p.Redundancy}))
}

// undoUpdate keeps a volume, and its guest state, again as redundantly and under the key as before an update that failed.
func (s *Service) undoUpdate(p plan) error {
	if p.Prior == nil {
		return nil
	}
	v, err := catalog.DecodeVolume(p.Prior)
	if err != nil {
		return err
	}
	err = errors.Join(s.volumes.SetRedundancy(v.Store, redundancyOf(v.SKU)), s.applyKey(v, v.Store))
	if !v.Guest {
		return err
	}
	var g tintype.Volume
	failed := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		g, err = guestOf(tx, v)
		return err
	})
	if failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, s.volumes.SetRedundancy(g.Store, redundancyOf(v.SKU)), s.applyKey(v, g.Store))
}

// failPut takes the PUT back: a new resource disappears, an updated one is as it was. Nothing half-made stays.
func (s *Service) failPut(op catalog.Operation, p plan, why *tintype.Error) error {
	return s.end(op, func(tx *catalog.Tx, o *catalog.Operation) error {
		o.State, o.Failure = tintype.Failed, why
		for _, id := range p.extra() {
			if err := tx.AddDrop(id); err != nil {
				return err
			}
		}
		if p.Prior == nil {
			v, err := tx.Volume(op.Key)
			if err != nil {
				return err
			}
			return dropVolume(tx, v)
		}
		v, err := catalog.DecodeVolume(p.Prior)
		if err != nil {
			return err
		}
		now, err := tx.Volume(op.Key)
		if err != nil {
			return err
		}
		v.Provisioning = tintype.StateSucceeded
		v.State, v.HeldBy, v.Machine, v.Sharers = now.State, now.HeldBy, now.Machine, now.Sharers // who had it may have left meanwhile
		return errors.Join(followOwner(tx, v), tx.PutVolume(v))
	})
}
