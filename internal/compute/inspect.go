package compute

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Health is what a store tells of its own soundness.
type Health interface {
	// Scrub tells what the scrub does.
	Scrub() tintype.Scrub
	// StartScrub begins a pass, unless one is under way.
	StartScrub()
	// Damages lists what is known to be damaged, by volume, without resources.
	Damages() []tintype.Damage
}

// errNoHealth refuses questions about a store that cannot tell.
func errNoHealth() error {
	return tintype.NotAllowed("The store of this server tells nothing of itself.")
}

// StoreStats tells what the store as a whole holds and does now, in the engine's own words: which fields there are is the
// engine's to say.
func (s *Service) StoreStats(context.Context) (any, error) {
	if s.opt.StoreStats == nil {
		return nil, errNoHealth()
	}
	return s.opt.StoreStats(), nil
}

// RotateKey has the store protect the keys of all disks by a new key, and tells the ids of both. When it returns, the one
// before is needed no more. It is a conflict where the key is not the store's own to change.
func (s *Service) RotateKey(ctx context.Context) (was, is string, err error) {
	if s.opt.RotateKey == nil {
		return "", "", tintype.NotAllowed("The key of this server comes from outside of it. " +
			"Start the server with the new key, and the present one as --old-key-file.")
	}
	return s.opt.RotateKey(ctx)
}

// Scrub tells what the scrub does; start begins a pass first.
func (s *Service) Scrub(_ context.Context, start bool) (tintype.Scrub, error) {
	if s.opt.Health == nil {
		return tintype.Scrub{}, errNoHealth()
	}
	if start {
		s.opt.Health.StartScrub()
	}
	return s.opt.Health.Scrub(), nil
}

// maxDamages bounds a list of damage.
const maxDamages = 10_000

// Damages lists what is known to be damaged of the disk or snapshot, or of everything when id is nil, by name and place. A
// block that several volumes share is listed for each of them. more tells that there are more than the list has.
func (s *Service) Damages(ctx context.Context, id *tintype.ResourceID) (all []tintype.Damage, more bool, err error) {
	if s.opt.Health == nil {
		return nil, false, errNoHealth()
	}
	var only uuid.UUID
	if id != nil {
		v, err := s.Get(ctx, *id)
		if err != nil {
			return nil, false, err
		}
		only = v.Store
	}
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		names := map[uuid.UUID]tintype.ResourceID{}
		for _, d := range s.opt.Health.Damages() {
			if id != nil && d.Volume != only {
				continue
			}
			name, known := names[d.Volume]
			if !known {
				v, err := tx.VolumeByStore(d.Volume)
				if err != nil && !errors.Is(err, catalog.ErrNotFound) {
					return err
				}
				name = v.ID
				names[d.Volume] = name
			}
			d.Resource = name
			all = append(all, d)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b tintype.Damage) int {
		return cmp.Or(strings.Compare(a.Resource.Key(), b.Resource.Key()), strings.Compare(a.Volume.String(), b.Volume.String()), cmp.Compare(a.Off, b.Off))
	})
	if more = len(all) > maxDamages; more {
		all = all[:maxDamages]
	}
	return all, more, edge(err)
}
