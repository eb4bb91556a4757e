package compute

import (
	"context"

	"tintype"
	"tintype/internal/catalog"
)

// Usage is how much of a quota is used.
type Usage struct {
	tintype.Quota
	Have int64
}

// quotas are Azure's, with the limits that this server was given.
func (s *Service) quotas() []tintype.Quota {
	all := tintype.Quotas()
	for i := range all {
		if limit, ok := s.opt.Quota[all[i].Name]; ok {
			all[i].Limit = limit
		}
	}
	return all
}

// Usages tells how much of each quota the subscription uses in the region.
func (s *Service) Usages(ctx context.Context, sub tintype.SubscriptionID, location string) (all []Usage, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		all = nil
		for _, q := range s.quotas() {
			have, err := countOf(tx, q, sub, location)
			if err != nil {
				return err
			}
			all = append(all, Usage{Quota: q, Have: have})
		}
		return nil
	})
	return all, edge(err)
}

func countOf(tx *catalog.Tx, q tintype.Quota, sub tintype.SubscriptionID, location string) (int64, error) {
	if q.Kind.Volume() {
		return tx.CountVolumes(sub, q.Kind, location, q.SKU)
	}
	return tx.CountCompanions(sub, q.Kind, location)
}

// checkQuota refuses a new resource, or one that changes to the sku, when there are as many as there may be. Only quotas that this
// server was given are held to.
func (s *Service) checkQuota(tx *catalog.Tx, id tintype.ResourceID, location string, sku tintype.SKU) error {
	if len(s.opt.Quota) == 0 {
		return nil
	}
	q, ok := tintype.QuotaOf(s.quotas(), id.Kind, sku)
	if _, set := s.opt.Quota[q.Name]; !ok || !set {
		return nil
	}
	have, err := countOf(tx, q, id.Subscription, location)
	if err == nil && have >= q.Limit {
		err = q.Exceeded(location, have)
	}
	return err
}
