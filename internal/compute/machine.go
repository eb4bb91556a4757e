package compute

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// PutMachine makes the record of a virtual machine, or changes it; with patch only what want says. Disks that it names must exist in the
// machine's region and belong to no other; those that it is to have besides, empty or of its image, are made before PutMachine returns, all
// of an image at one moment. When it fails nothing of it stays. created tells whether it is new.
func (s *Service) PutMachine(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, m tintype.MachineRequest, patch bool,
) (op tintype.Operation, created bool, err error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return op, false, err
	}
	var d machineDesign
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if d, err = s.designMachine(tx, id, want, m, patch); err != nil {
			return err
		}
		if len(d.cuts) > 0 {
			return nil
		}
		op, err = s.acceptMachine(tx, d)
		return err
	})
	if err == nil && len(d.cuts) > 0 {
		err = s.cutAndAccept(ctx, d.cuts, func(tx *catalog.Tx) (err error) {
			op, err = s.acceptMachine(tx, d)
			return err
		})
	}
	return op, d.created, err
}

// machineDesign is a machine as it is to be, and the disks that have to be made for it.
type machineDesign struct {
	machine tintype.Companion
	created bool
	before  []tintype.MachineDisk // that it had
	cuts    []cut
	sizes   map[string]int64 // that disks are to have which are there
}

// designMachine says what the machine will be, or why it can't be, and records the intents of its new disks.
func (s *Service) designMachine(
	tx *catalog.Tx, id tintype.ResourceID, want tintype.CompanionRequest, m tintype.MachineRequest, patch bool,
) (d machineDesign, err error) {
	if _, err := s.group(tx, id); err != nil {
		return d, err
	}
	if err := s.free(tx, id.Key()); err != nil {
		return d, err
	}
	c, err := tx.Companion(id.Key())
	d.created = errors.Is(err, catalog.ErrNotFound)
	if err == nil || d.created {
		if err := m.CheckConditions(c.Machine); err != nil {
			return d, err
		}
	}
	switch {
	case d.created && patch:
		return d, id.NotFound()
	case d.created:
		c, err = tintype.NewCompanion(id, want, s.now(), uuid.Nil)
		c.Machine = &tintype.Machine{VMID: uuid.New()}
	case err == nil:
		c = c.Clone()
		err = c.Apply(want, !patch, s.now())
	}
	if err != nil {
		return d, err
	}
	var image *tintype.Image
	if d.created && m.Image != nil {
		of, err := findImage(tx, *m.Image, "imageReference", id, c.Location)
		if err != nil {
			return d, err
		}
		image = of.Image
	}
	d.before = c.Machine.Disks()
	changes, err := c.Machine.Apply(id, m, d.created, image)
	if err != nil {
		return d, err
	}
	c.Machine.Revision++
	d.machine = c
	d.sizes = changes.Sizes
	for _, n := range changes.Made {
		k, err := s.newDisk(tx, c, n)
		if err != nil {
			return d, err
		}
		d.cuts = append(d.cuts, k)
	}
	return d, nil
}

// newDisk is the disk that is to be made for a machine, whose intent it records.
func (s *Service) newDisk(tx *catalog.Tx, c tintype.Companion, n tintype.NewDisk) (cut, error) {
	if _, err := s.writable(tx, n.ID); !errors.Is(err, catalog.ErrNotFound) {
		if err == nil {
			err = tintype.NotAllowed("The disk %s exists already. Attach it with createOption 'Attach', or name another.", n.ID.Name)
		}
		return cut{}, err
	}
	want := n.Want
	want.Location, want.Zones, want.Tags = c.Location, c.Machine.Zones, c.Tags
	if want.Encryption != nil {
		want.Encryption.Type = s.typeOfSet(tx, *want.Encryption)
	}
	v, source, err := s.design(tx, n.ID, want)
	if err != nil {
		return cut{}, err
	}
	v.UniqueID, v.Provisioning = n.Unique, tintype.StateSucceeded
	k := cut{volume: v, name: n.ID.Name}
	if source == nil {
		err = tx.AddIntent(v.Store)
	} else {
		k, err = s.cutOf(tx, v, *source)
	}
	k.whole = true
	return k, err
}

// acceptMachine records a machine, whose new disks are made.
func (s *Service) acceptMachine(tx *catalog.Tx, d machineDesign) (op tintype.Operation, err error) {
	c := d.machine
	have, err := tx.Companion(c.ID.Key())
	switch {
	case err != nil && !errors.Is(err, catalog.ErrNotFound):
		return op, err
	case d.created != (err != nil), err == nil && (have.Machine.VMID != c.Machine.VMID || have.Machine.Revision != c.Machine.Revision-1):
		return op, alreadyExists(c.ID) // others were faster
	}
	if _, err := s.group(tx, c.ID); err != nil {
		return op, err
	}
	for _, k := range d.cuts {
		if err := s.acceptDisk(tx, k); err != nil {
			return op, err
		}
	}
	if err := s.placeDisks(tx, c, d.before); err != nil {
		return op, err
	}
	if err := s.sizeDisks(tx, d); err != nil {
		return op, err
	}
	op = s.ended(tintype.OpPutCompanion, c)
	op.Companion = &c
	return op, errors.Join(tx.PutCompanion(c), putEnded(tx, op, c))
}

// sizeDisks grows disks that a new machine takes, and refuses any other change of a size. As in Azure: the machine's disks are resized by themselves.
func (s *Service) sizeDisks(tx *catalog.Tx, d machineDesign) error {
	for key, gb := range d.sizes {
		v, err := tx.Volume(key)
		if err != nil {
			return err
		}
		if v.SizeGB() == gb {
			continue
		}
		if !d.created || v.State != tintype.Unattached {
			return tintype.WrongSize(d.machine.ID.Name, v.ID)
		}
		if _, err := s.change(tx, v, tintype.Desired{SizeGB: &gb}, false); err != nil {
			return err
		}
	}
	return nil
}

// acceptDisk records a disk that was made whole.
func (s *Service) acceptDisk(tx *catalog.Tx, k cut) error {
	v := k.volume
	if _, err := s.writable(tx, v.ID); !errors.Is(err, catalog.ErrNotFound) {
		if err == nil {
			err = alreadyExists(v.ID)
		}
		return err
	}
	if err := s.checkQuota(tx, v.ID, v.Location, v.SKU); err != nil {
		return err
	}
	return s.acceptCuts(tx, []cut{k})
}

// placeDisks records on the machine's disks that they belong to it, and on those that it had before that they no longer do.
func (s *Service) placeDisks(tx *catalog.Tx, c tintype.Companion, before []tintype.MachineDisk) error {
	now := map[string]bool{}
	for _, d := range c.Machine.Disks() {
		if now[d.ID.Key()] {
			return tintype.NamedTwice(d.ID)
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
	if v.State == tintype.Attached {
		if err := c.Machine.Refuse(c.ID.Name, v.ID); err != nil {
			return err
		}
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
	had := v.HeldFor(c.ID.String())
	if err := v.ShareWith(c.ID.String()); err != nil {
		return err
	}
	if !had && v.HeldFor(c.ID.String()) {
		if err := c.Machine.Refuse(c.ID.Name, v.ID); err != nil {
			return err
		}
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
				err = errors.Join(s.deletable(tx, v), checkLocks(tx, id.Subscription, v.ID.String(), true))
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
