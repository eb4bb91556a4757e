package compute

import (
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// A snapshot whose bytes come from outside is written into a disk of the store, which its resource names as Store until all is
// there. Sealing cuts that disk: from then on the resource names the cut, which nothing changes any more.

// sealing plans to seal a snapshot; nothing of a disk.
func sealing(v tintype.Volume) plan {
	if v.ID.Kind != tintype.KindSnapshot {
		return plan{}
	}
	return plan{Step: stepSeal, Temp: v.Store, Store: uuid.New(), Redundancy: redundancyOf(v.SKU)}
}

// seal cuts what was written, which must be durable, and puts it under its key. It may have been done before.
func (s *Service) seal(op catalog.Operation, p plan) error {
	if p.Step != stepSeal {
		return nil
	}
	if err := s.cutTemp(p, nil); err != nil {
		return err
	}
	var v tintype.Volume
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		v, err = tx.Volume(op.Key)
		return err
	})
	if err != nil {
		return err
	}
	return s.applyKey(v, p.Store)
}

// sealed has the resource name the cut. When the key of its set was replaced since the cut was put under it, the operation runs again.
func (s *Service) sealed(tx *catalog.Tx, p plan, v *tintype.Volume) error {
	if p.Step != stepSeal {
		return nil
	}
	if err := s.underKey(tx, *v, p.Store); err != nil {
		return err
	}
	v.Store = p.Store
	return tx.AddDrop(p.Temp)
}

// unsealed takes back a cut that may have been made.
func (p plan) unsealed(tx *catalog.Tx) error {
	if p.Step != stepSeal {
		return nil
	}
	return tx.AddDrop(p.Store)
}
