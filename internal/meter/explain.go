package meter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tintype"
	"tintype/internal/block"
)

// Explanation says why a resource cost on a day what it did.
type Explanation struct {
	Resource *Resource
	Rows     []Row
	Steps    []Step
	Saving   *Saving // nil when the resource is gone
}

// Step is a time in which the same was billed.
type Step struct {
	Since    time.Time // may lie before the day
	From, To time.Time // the part of it that lies in the day
	Product  Product
	Bytes    int64 // by which it was billed; of a disk, its provisioned size
	Why      string
}

// Saving is what the deletion of a resource would bring.
type Saving struct {
	FreedBytes int64 // what the store would get back, exactly
	// Monthly is what a whole month costs less from then on, at today's price. What the deletion of an incremental snapshot
	// hands on to the next one is not in it.
	Monthly Money
}

// Explain tells, for every life of the resource of that id, how its rows of the day came to be.
func (s *Service) Explain(ctx context.Context, id tintype.ResourceID, d Day) ([]Explanation, error) {
	var all []Explanation
	now := s.now()
	rows := map[int64][]Row{}
	scope := Scope{Resource: id.String()}
	err := s.Usage(ctx, Query{Scope: scope, From: d, To: d + 1, Until: now}, func(r *Row) (bool, error) {
		rows[r.Resource.row] = append(rows[r.Resource.row], *r)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	begin, end := d.start(), min((d+1).start(), now)
	// From the beginning of time: a step says since when it has been so.
	err = s.store.each(ctx, span{from: 0, to: end, name: scope.Resource, one: true}, func(r *Resource, samples []Sample) (bool, error) {
		e := Explanation{Resource: r, Rows: rows[r.row], Steps: stepsOf(r, samples, begin, end)}
		if len(e.Steps) > 0 {
			all = append(all, e)
		}
		return true, nil
	})
	for i := range all {
		if err == nil {
			all[i].Saving, err = s.saving(all[i].Resource)
		}
	}
	return all, err
}

// stepsOf joins samples that were billed alike, and cuts out what lies in the day.
func stepsOf(r *Resource, samples []Sample, begin, end int64) []Step {
	var steps []Step
	for i := 0; i < len(samples) && !samples[i].Deleted; {
		first, c := samples[i], chargeOf(r, samples[i])
		for i++; i < len(samples) && !samples[i].Deleted && chargeOf(r, samples[i]) == c; i++ {
		}
		until := end
		if i < len(samples) {
			until = min(end, samples[i].millis)
		}
		if from := max(begin, first.millis); from < until {
			row := Row{Resource: r, Last: first}
			steps = append(steps, Step{
				Since: first.At, From: time.UnixMilli(from).UTC(), To: time.UnixMilli(until).UTC(), Product: c.product,
				Bytes: row.BilledBytes(), Why: why(r, first, c),
			})
		}
	}
	return steps
}

// why words a step.
func why(r *Resource, s Sample, c charge) string {
	bytes := (&Row{Resource: r, Last: s}).BilledBytes()
	switch {
	case bytes == Unmeasured:
		return "its size could not be measured before it was gone; nothing is billed"
	case r.Kind == tintype.KindDisk && c.product.Unit == perDisk:
		return fmt.Sprintf("a disk is billed by its tier: %d GiB provisioned is %s", c.gib(s), c.product.SKU)
	case r.Kind == tintype.KindDisk:
		return fmt.Sprintf("a disk of this type is billed by its provisioned size, %d GiB", c.gib(s))
	case r.Incremental:
		return fmt.Sprintf("an incremental snapshot is billed by what it adds to the one before it: %d bytes", bytes)
	}
	return fmt.Sprintf("a full snapshot is billed by its used size: %d bytes", bytes)
}

func (c charge) gib(s Sample) int64 { return (s.Provisioned + tintype.GiB - 1) / tintype.GiB }

// saving asks the store what it would get back, and the price sheet for the rest.
func (s *Service) saving(r *Resource) (*Saving, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.alive[r.UniqueID]
	if a == nil {
		return nil, nil
	}
	freed, err := s.opt.Volumes.Freed(a.Store)
	if errors.Is(err, block.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := chargeOf(a.Resource, a.last)
	units := c.units
	if next := s.after(a); next != nil {
		grown, err := s.deltaFrom(s.before(a), next)
		if err != nil {
			return nil, err
		}
		after := next.last
		after.Incremental = grown
		units -= chargeOf(next.Resource, after).units - chargeOf(next.Resource, next.last).units
	}
	price, _ := s.opt.Prices.Price(c.product, a.Location, dayOf(s.now()))
	return &Saving{FreedBytes: freed, Monthly: price.Times(Quantity(max(units, 0) * nano / c.per))}, nil
}
