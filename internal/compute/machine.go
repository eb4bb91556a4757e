package compute

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// PutMachine makes the record of a virtual machine, or changes it; with patch only what want says. Its disks must exist in the
// machine's region and belong to no other. created tells whether it is new.
func (s *Service) PutMachine(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, m tintype.MachineRequest, patch bool,
) (op tintype.Operation, created bool, err error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return op, false, err
	}
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		created = errors.Is(err, catalog.ErrNotFound)
		if err == nil || created {
			if err := m.CheckConditions(c.Machine); err != nil {
				return err
			}
		}
		switch {
		case created && patch:
			return id.NotFound()
		case created:
			c, err = tintype.NewCompanion(id, want, s.now(), uuid.Nil)
			c.Machine = &tintype.Machine{VMID: uuid.New()}
		case err == nil:
			c = c.Clone()
			err = c.Apply(want, !patch, s.now())
		}
		if err != nil {
			return err
		}
		c.Machine.Revision++
		before := c.Machine.Disks()
		if err := errors.Join(c.Machine.Apply(m), s.placeDisks(tx, c, before)); err != nil {
			return err
		}
		op = s.ended(tintype.OpPutCompanion, c)
		op.Companion = &c
		return errors.Join(tx.PutCompanion(c), putEnded(tx, op, c))
	})
	return op, created, err
}

// placeDisks records on the machine's disks that they belong to it, and on those that it had before that they no longer do.
func (s *Service) placeDisks(tx *catalog.Tx, c tintype.Companion, before []tintype.MachineDisk) error {
	now := map[string]bool{}
	for _, d := range c.Machine.Disks() {
		if now[d.ID.Key()] {
			return tintype.InvalidParameter("storageProfile", "The disk %s is named twice.", d.ID.Name)
		}
		now[d.ID.Key()] = true
		if err := s.placeDisk(tx, c, d); err != nil {
			return err
		}
	}
	for _, d := range before {
		if now[d.ID.Key()] {
			continue
		}
		v, err := s.writable(tx, d.ID)
		if err != nil {
			return err
		}
		if v.HeldFor(c.ID.String()) {
			return tintype.NotAllowed("Disk %s cannot be taken from VM %s while it is attached to host %s. Detach it there first.",
				v.ID.Name, c.ID.Name, v.HeldBy)
		}
		leave(&v, c)
		if err := tx.PutVolume(v); err != nil {
			return err
		}
	}
	return nil
}

// leave forgets on a disk that it belongs to the machine.
func leave(v *tintype.Volume, c tintype.Companion) {
	if v.Shared() {
		v.UnshareWith(c.ID.String())
		return
	}
	v.Machine = ""
}

func (s *Service) placeDisk(tx *catalog.Tx, c tintype.Companion, d tintype.MachineDisk) error {
	v, err := s.writable(tx, d.ID)
	switch {
	case errors.Is(err, catalog.ErrNotFound) || err == nil && (v.Location != c.Location || v.ID.Subscription != c.ID.Subscription):
		return sourceNotFound(d.ID.Name)
	case err != nil:
		return err
	case v.Shared():
		return s.placeShared(tx, c, d, v)
	case strings.EqualFold(v.Machine, c.ID.String()):
		return nil
	case v.Machine != "", v.State == tintype.Attached && !strings.EqualFold(v.HeldBy, tintype.HostID(c.ID.Subscription, c.ID.Name)):
		return heldByOther(v, c.ID.Name)
	case v.State != tintype.Attached && v.State != tintype.Unattached:
		return tintype.NotAllowed("Cannot attach disk %s to VM %s because it is in state %s.", v.ID.Name, c.ID.Name, v.State)
	}
	v.Machine = c.ID.String()
	return tx.PutVolume(v)
}

// placeShared gives a shared disk to the machine, beside those that have it.
func (s *Service) placeShared(tx *catalog.Tx, c tintype.Companion, d tintype.MachineDisk, v tintype.Volume) error {
	system := c.Machine.OS != nil && c.Machine.OS.ID.Key() == d.ID.Key()
	if err := v.CheckSharedPlace(d, system); err != nil {
		return err
	}
	if v.State != tintype.Attached && v.State != tintype.Unattached {
		return tintype.NotAllowed("Cannot attach disk %s to VM %s because it is in state %s.", v.ID.Name, c.ID.Name, v.State)
	}
	if err := v.ShareWith(c.ID.String()); err != nil {
		return err
	}
	return tx.PutVolume(v)
}

// DeleteMachine deletes the machine's record, and those of its disks that are to go with it. It is refused while a host has one
// of them attached. ok is false when it does not exist in its group, which is no error (204).
func (s *Service) DeleteMachine(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		if ok = err == nil; errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		gone := c.Clone()
		gone.Machine = &tintype.Machine{}
		if err := s.placeDisks(tx, gone, c.Machine.Disks()); err != nil {
			return err
		}
		for _, d := range c.Machine.Disks() {
			if !d.Delete {
				continue
			}
			v, err := s.writable(tx, d.ID)
			if err == nil {
				err = s.deletable(tx, v)
			}
			if err != nil {
				return err
			}
			if err := dropVolume(tx, v); err != nil {
				return err
			}
		}
		op = s.ended(tintype.OpDeleteCompanion, c)
		return errors.Join(tx.DeleteCompanion(id.Key()), putEnded(tx, op, c))
	})
	if err == nil && ok {
		s.forgetDeleted()
	}
	return op, ok, err
}

// Generalize notes that an image may be made of the machine. It is refused while a host has one of its disks attached.
func (s *Service) Generalize(ctx context.Context, id tintype.ResourceID) error {
	return s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		if err != nil {
			return absent(err, id.NotFound())
		}
		for _, d := range c.Machine.Disks() {
			v, err := s.settled(tx, d.ID)
			if err != nil {
				return err
			}
			if v.HeldFor(c.ID.String()) {
				return tintype.NotAllowed("Operation 'generalize' is not allowed on VM '%s' since the VM is running.", c.ID.Name)
			}
		}
		c = c.Clone()
		c.Machine.Generalized = true
		c.Machine.Revision++
		return tx.PutCompanion(c)
	})
}

// MachineDisks gives the disks of a machine, in their order. One that is gone is left out.
func (s *Service) MachineDisks(ctx context.Context, m tintype.Machine) (all map[string]tintype.Volume, err error) {
	all = map[string]tintype.Volume{}
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		for _, d := range m.Disks() {
			v, err := tx.Volume(d.ID.Key())
			if errors.Is(err, catalog.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			all[d.ID.Key()] = v
		}
		return nil
	})
	return all, edge(err)
}

// leaveMachine forgets, on disks of other groups, the machine whose group is going.
func leaveMachine(tx *catalog.Tx, c tintype.Companion) error {
	if c.Machine == nil {
		return nil
	}
	for _, d := range c.Machine.Disks() {
		v, err := tx.Volume(d.ID.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		leave(&v, c)
		if err := tx.PutVolume(v); err != nil {
			return err
		}
	}
	return nil
}
