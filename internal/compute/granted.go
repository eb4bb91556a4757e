package compute

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// maxFamilyGrants bounds how many incremental snapshots of one disk can be under a grant at a time. Source: Azure's page on
// incremental snapshots, restrictions.
const maxFamilyGrants = 5

// checkFamilyGrants refuses one more grant on the incremental snapshots of a disk.
func (s *Service) checkFamilyGrants(tx *catalog.Tx, v tintype.Volume) error {
	if v.Family == uuid.Nil {
		return nil
	}
	have, err := tx.GrantsOfFamily(v.Family, s.now())
	if err == nil && have >= maxFamilyGrants {
		err = tintype.NotAllowed("Access to %s %s is not permitted because %d incremental snapshots of the same disk already have an active "+
			"shared access signature. Call EndGetAccess on one of them first.", v.ID.Kind.Noun(), v.ID.Short(), have)
	}
	return err
}

// use is what was done under a grant since it was last put on record.
type use struct {
	read, written int64
	at            time.Time
}

// CountUse adds to what was done under the grant. It costs no more than a few sums; the record follows within seconds.
func (s *Service) CountUse(grant uuid.UUID, read, written int64) {
	at := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.used[grant]
	if u == nil {
		u = &use{}
		s.used[grant] = u
	}
	u.read, u.written, u.at = u.read+read, u.written+written, at
}

// recordUse puts on record what was done under grants.
func (s *Service) recordUse(ctx context.Context) error {
	s.mu.Lock()
	used := s.used
	s.used = map[uuid.UUID]*use{}
	s.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	return s.update(ctx, func(tx *catalog.Tx) error {
		for id, u := range used {
			if err := tx.CountUse(id, u.read, u.written, u.at); err != nil {
				return err
			}
		}
		return nil
	})
}

// Grants gives a page of the subscription's grants that hold, in the order of their resources, and where the next page begins.
func (s *Service) Grants(ctx context.Context, sub tintype.SubscriptionID, after string) (all []tintype.GrantUse, next string, err error) {
	if err := s.recordUse(ctx); err != nil {
		return nil, "", edge(err)
	}
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		found, err := tx.Grants(sub, after, pageSize)
		for _, u := range found {
			if u.Active(s.opt.Now()) {
				all = append(all, u)
			}
			next = u.Resource.Key()
		}
		if len(found) < pageSize {
			next = ""
		}
		return err
	})
	return all, next, edge(err)
}
