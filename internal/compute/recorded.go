package compute

import (
	"context"

	"github.com/google/uuid"

	"tintype/internal/catalog"
)

// Recorded gives every volume of the store that is on record: a resource's, one of an operation in progress, one asked
// for and not accepted, one to be deleted. At any moment, also right after a crash, the store has no other, so a check
// can take what it finds beyond these for lost space.
func Recorded(ctx context.Context, c *catalog.Catalog) (map[uuid.UUID]bool, error) {
	known := map[uuid.UUID]bool{}
	err := c.View(ctx, func(tx *catalog.Tx) error {
		for _, list := range []func() ([]uuid.UUID, error){tx.Stores, tx.Mirrors, tx.Intents, tx.Drops} {
			ids, err := list()
			if err != nil {
				return err
			}
			for _, id := range ids {
				known[id] = true
			}
		}
		open, err := tx.OpenOperations("")
		if err != nil {
			return err
		}
		for _, op := range open {
			p, err := planOf(op)
			if err != nil {
				return err
			}
			for _, id := range []uuid.UUID{p.Store, p.Temp, p.Old} {
				if id != uuid.Nil {
					known[id] = true
				}
			}
		}
		return nil
	})
	return known, err
}
