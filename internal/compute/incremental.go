package compute

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Limits of the incremental snapshots of one disk. Source: Azure's page on incremental snapshots, restrictions.
const (
	maxOfFamily = 500
	maxCuts     = 7
	cutsWithin  = 5 * time.Minute
)

// designSnapshot settles what only snapshots have.
func (s *Service) designSnapshot(tx *catalog.Tx, v *tintype.Volume, r tintype.Region, want tintype.Desired, source *tintype.Volume) error {
	if want.Incremental == nil || !*want.Incremental {
		if v.Creation.Option == tintype.CreateCopyStart {
			return tintype.InvalidParameter("incremental", "CopyStart is only supported for incremental snapshots: incremental must be true.")
		}
		return nil
	}
	if v.ID.Kind != tintype.KindSnapshot {
		return tintype.InvalidParameter("incremental", "The parameter 'incremental' is only supported for snapshots.")
	}
	if source == nil {
		return tintype.InvalidParameter("incremental",
			"Incremental snapshots can only be created with createOption 'Copy' from a disk or snapshot.")
	}
	v.Incremental = true
	if err := tintype.CheckIncrementalSKU(want.SKU); err != nil {
		return err
	}
	var err error
	if v.Family, err = tx.Family(chainOf(*v, *source), uuid.New()); err != nil {
		return err
	}
	if err := checkLimits(tx, *v); err != nil {
		return err
	}
	last, err := tx.NewestOfFamily(v.Family)
	switch {
	case err == nil: // "set to the same sku as the previous snapshot"
		v.SKU = last.SKU
	case !errors.Is(err, catalog.ErrNotFound):
		return err
	case r.Zones:
		v.SKU = tintype.StandardZRS
	}
	return nil
}

// checkLimits refuses one more incremental snapshot of a disk that has as many as it may, or had too many just now.
func checkLimits(tx *catalog.Tx, v tintype.Volume) error {
	if !v.Incremental {
		return nil
	}
	have, err := tx.CountFamily(v.Family)
	if err != nil {
		return err
	}
	if have >= maxOfFamily {
		return tintype.TooManySnapshots("At most %d incremental snapshots of a disk can exist at a time.", maxOfFamily)
	}
	if v.Creation.Option != tintype.CreateCopy {
		return nil // a copy of a snapshot in another region is no new moment of a disk
	}
	made, err := tx.CountCuts(v.Family, v.Created.Add(-cutsWithin), v.Created)
	if err != nil {
		return err
	}
	if made >= maxCuts {
		return tintype.TooManySnapshots("At most %d incremental snapshots of a disk can be made within %d minutes.",
			maxCuts, cutsWithin/time.Minute)
	}
	return nil
}

// countCut records that an incremental snapshot was made of what is in its region.
func countCut(tx *catalog.Tx, v tintype.Volume) error {
	if !v.Incremental || v.Creation.Option != tintype.CreateCopy {
		return nil
	}
	return tx.AddCut(v.Family, v.Created, v.Created.Add(-cutsWithin))
}

// chainOf names what the incremental snapshots of one family have in common: the volume that they are of, and of copies
// from another region the family that they are copied from and the region.
func chainOf(v, source tintype.Volume) uuid.UUID {
	if v.Creation.Option == tintype.CreateCopyStart {
		return uuid.NewSHA1(source.Family, []byte(v.Location))
	}
	return source.UniqueID
}
