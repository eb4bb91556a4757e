package compute

import (
	"context"
	"errors"

	"tintype"
	"tintype/internal/catalog"
)

// SetImmutability gives the snapshot an immutability policy, or changes the one that it has. The operation has ended.
func (s *Service) SetImmutability(ctx context.Context, id tintype.ResourceID, want tintype.ImmutabilityRequest) (a tintype.Accepted, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		v = v.Clone()
		if v.Immutable, err = want.Next(v.Immutable, s.now()); err != nil {
			return err
		}
		op := s.ended(tintype.OpPut, tintype.Companion{ID: v.ID, Location: v.Location})
		op.Output = &v
		a = tintype.Accepted{Operation: op, Volume: v}
		return errors.Join(tx.PutVolume(v), putEnded(tx, op, tintype.Companion{ID: v.ID}))
	})
	return a, err
}
