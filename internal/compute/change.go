package compute

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Patch changes what want says and leaves the rest.
func (s *Service) Patch(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error) {
	var a tintype.Accepted
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		a, err = s.change(tx, v, want, false)
		return err
	})
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(a.Operation.ID)
	return a, nil
}

// change records the update of an existing resource. Its uniqueId, timeCreated and creation never change.
func (s *Service) change(tx *catalog.Tx, v tintype.Volume, want tintype.Desired, replace bool) (tintype.Accepted, error) {
	prior, err := catalog.EncodeVolume(v)
	if err != nil {
		return tintype.Accepted{}, err
	}
	if err := checkFixed(v, want, replace); err != nil {
		return tintype.Accepted{}, err
	}
	region, err := tintype.CheckLocation(v.ID.Kind.Type(), v.Location)
	if err != nil {
		return tintype.Accepted{}, err
	}
	if v.Incremental {
		if err := tintype.CheckIncrementalSKU(want.SKU); err != nil {
			return tintype.Accepted{}, err
		}
	}
	was := v.SKU
	v = v.Clone()
	if err := v.Apply(s.Sold(region), want, replace); err != nil {
		return tintype.Accepted{}, err
	}
	if len(v.Zones) > 0 && v.SKU.Zoned() {
		return tintype.Accepted{}, tintype.InvalidParameter("sku", "A disk in a zone cannot change to SKU %s.", v.SKU)
	}
	if v.SKU != was {
		if err := s.checkQuota(tx, v.ID, v.Location, v.SKU); err != nil {
			return tintype.Accepted{}, err
		}
	}
	if err := checkCompanions(tx, v); err != nil {
		return tintype.Accepted{}, err
	}
	p, err := grow(&v, want.SizeGB)
	if err == nil {
		err = checkSharing(prior, v, want)
	}
	if err != nil {
		return tintype.Accepted{}, err
	}
	if p.Step == stepGrowSnapshot && v.Immutable.Holds(s.now()) {
		return tintype.Accepted{}, tintype.Immutable(v, "resized")
	}
	p.Prior = prior
	v.Provisioning = tintype.StateUpdating
	if err := errors.Join(tx.PutVolume(v), followOwner(tx, v)); err != nil {
		return tintype.Accepted{}, err
	}
	op, err := s.start(tx, tintype.OpPut, v, p, nil)
	return tintype.Accepted{Operation: op, Volume: v}, err
}

// checkSharing refuses more sharers than a disk may have, and another number of them while someone has it.
func checkSharing(prior []byte, v tintype.Volume, want tintype.Desired) error {
	if v.ID.Kind != tintype.KindDisk {
		return nil
	}
	was, err := catalog.DecodeVolume(prior)
	if err != nil {
		return err
	}
	if max(was.Settings.MaxShares, 1) != max(v.Settings.MaxShares, 1) && (was.State == tintype.Attached || was.Machine != "") {
		_, by := was.Shown()
		return tintype.NotAllowed("Cannot change maxShares of disk %s while it is attached to VM %s. Detach it first.", v.ID.Name, by)
	}
	return v.CheckShares(want.MaxShares)
}

// checkFixed refuses a request that would change what is fixed at creation.
func checkFixed(v tintype.Volume, want tintype.Desired, replace bool) error {
	if want.Location != "" {
		r, err := tintype.CheckLocation(v.ID.Kind.Type(), want.Location)
		if err != nil {
			return err
		}
		if r.Name != v.Location {
			return tintype.LocationIsFixed(v.ID, v.Location, r)
		}
	} else if replace {
		return tintype.LocationRequired()
	}
	if want.Creation == nil && replace {
		return tintype.MissingParameter("creationData")
	}
	if want.Creation != nil {
		if property, same := v.Creation.Same(*want.Creation); !same {
			return tintype.ChangeNotAllowed(property, v.ID)
		}
	}
	if len(want.Zones) > 0 && !slices.Equal(want.Zones, v.Zones) {
		return tintype.ChangeNotAllowed("zones", v.ID)
	}
	if want.Incremental != nil && *want.Incremental != v.Incremental {
		return tintype.ChangeNotAllowed("incremental", v.ID)
	}
	return nil
}

// grow changes the size when another is asked for, and says what the store must do for it.
func grow(v *tintype.Volume, gb *int64) (plan, error) {
	if gb == nil {
		return plan{}, nil
	}
	if err := v.SKU.CheckSizeGB(*gb); err != nil {
		return plan{}, err
	}
	switch {
	case *gb == v.SizeGB():
		return plan{}, nil
	case *gb < v.SizeGB():
		return plan{}, tintype.CannotShrink(v.ID)
	case v.Uploading() || v.State == tintype.ActiveSAS:
		return plan{}, tintype.NotAllowed("Cannot resize %s %s while it is in state %s.", v.ID.Kind.Noun(), v.ID.Name, v.State)
	}
	if err := v.Whole(); err != nil {
		return plan{}, err
	}
	if v.Shared() && v.State == tintype.Attached {
		return plan{}, tintype.NotAllowed("Cannot resize shared disk %s while it is attached to VM %s. Detach it first.", v.ID.Name, v.HeldBy)
	}
	v.Size = *gb * tintype.GiB
	if v.ID.Kind == tintype.KindDisk {
		return plan{Step: stepResize, Store: v.Store, Size: v.Size}, nil
	}
	if v.State == tintype.Attached {
		return plan{}, tintype.NotAllowed("Cannot resize snapshot %s while it is attached to %s.", v.ID.Name, v.HeldBy)
	}
	return plan{Step: stepGrowSnapshot, Old: v.Store, Temp: uuid.New(), Store: uuid.New(), Size: v.Size}, nil
}
