package meter

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"tintype"
)

// dimensions are what rows can be grouped and filtered by, by their names in lower case.
var dimensions = map[string]func(*Row) string{
	"resourcegroup":     func(r *Row) string { return strings.ToLower(r.Resource.ID.Group) },
	"resourcegroupname": func(r *Row) string { return strings.ToLower(r.Resource.ID.Group) },
	"resourceid":        func(r *Row) string { return strings.ToLower(r.Resource.ID.String()) },
	"resourcename":      func(r *Row) string { return strings.ToLower(r.Resource.ID.Name) },
	"resourcetype":      func(r *Row) string { return strings.ToLower(r.Resource.Kind.Type()) },
	"resourcelocation":  func(r *Row) string { return r.Resource.Location },
	"subscriptionid":    func(r *Row) string { return string(r.Resource.ID.Subscription) },
	"meter":             func(r *Row) string { return r.Product.Meter },
	"metername":         func(r *Row) string { return r.Product.Meter },
	"meterid":           func(r *Row) string { return r.MeterID() },
	"metercategory":     func(*Row) string { return "Storage" },
	"metersubcategory":  func(r *Row) string { return r.Product.Name },
	"product":           func(r *Row) string { return r.ProductName() },
	"servicename":       func(*Row) string { return "Storage" },
	"servicefamily":     func(*Row) string { return "Storage" },
	"consumedservice":   func(*Row) string { return "Microsoft.Compute" },
	"chargetype":        func(*Row) string { return "Usage" },
	"publishertype":     func(*Row) string { return "Azure" },
	"frequency":         func(*Row) string { return "UsageBased" },
	"pricingmodel":      func(*Row) string { return "OnDemand" },
}

// KnownDimension tells whether rows can be grouped and filtered by the name.
func KnownDimension(name string) bool { return dimensions[strings.ToLower(name)] != nil }

// MeterID is the GUID of the row's meter.
func (r *Row) MeterID() string { return r.Product.ID(r.Resource.Location).String() }

// Condition says which rows count: those that fit all that is set in it.
type Condition struct {
	And, Or []Condition
	Not     *Condition
	// Dimension or Tag must have one of the values, in any case.
	Dimension, Tag string
	Values         []string
}

// Match tells whether the row fits.
func (c *Condition) Match(r *Row) bool {
	if c == nil {
		return true
	}
	fits := func(o Condition) bool { return o.Match(r) }
	if len(c.And) > 0 && slices.ContainsFunc(c.And, func(o Condition) bool { return !fits(o) }) ||
		len(c.Or) > 0 && !slices.ContainsFunc(c.Or, fits) || c.Not != nil && c.Not.Match(r) {
		return false
	}
	has := ""
	switch {
	case c.Dimension != "":
		has = dimensions[strings.ToLower(c.Dimension)](r)
	case c.Tag != "":
		has = r.Last.Tag(c.Tag)
	default:
		return true
	}
	return slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, has) })
}

// Tag is the value of a tag, whose name is found in any case.
func (s Sample) Tag(name string) string {
	for k, v := range s.Tags {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// Granularity is into which times sums are cut.
type Granularity uint8

// The granularities.
const (
	Whole Granularity = iota
	Daily
	Monthly
)

// Grouping is a dimension or a tag by which sums are kept apart.
type Grouping struct{ Dimension, Tag string }

// Sum is what rows of one group and time come to.
type Sum struct {
	Time   Day // first day of it; the query's From when Whole
	Groups []string
	Total
}

// maxSums bounds the memory that a query takes.
const maxSums = 200_000

// Aggregate sums rows up by time and groups, in that order.
func (s *Service) Aggregate(ctx context.Context, q Query, only *Condition, by []Grouping, g Granularity) ([]Sum, error) {
	sums := map[string]*Sum{}
	err := s.Usage(ctx, q, func(r *Row) (bool, error) {
		if !only.Match(r) {
			return true, nil
		}
		at := q.From
		switch g {
		case Daily:
			at = r.Day
		case Monthly:
			at, _ = r.Day.Month()
		}
		groups := make([]string, len(by))
		for i, b := range by {
			if b.Tag != "" {
				groups[i] = r.Last.Tag(b.Tag)
			} else {
				groups[i] = dimensions[strings.ToLower(b.Dimension)](r)
			}
		}
		key := strconv.Itoa(int(at)) + "\x00" + strings.Join(groups, "\x00")
		sum := sums[key]
		if sum == nil {
			if len(sums) == maxSums {
				return false, tintype.InvalidParameter("dataset", "The query gives more than %d rows. Ask for fewer days or groups.", maxSums)
			}
			sum = &Sum{Time: at, Groups: groups}
			sums[key] = sum
		}
		sum.add(r)
		return true, nil
	})
	all := make([]Sum, 0, len(sums))
	for _, sum := range sums {
		all = append(all, *sum)
	}
	slices.SortFunc(all, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), slices.Compare(a.Groups, b.Groups))
	})
	return all, err
}

// Currency is that of all prices and costs.
func (s *Service) Currency() string { return s.opt.Prices.Currency }

// Today is the day in which the meter's time is.
func (s *Service) Today() Day { return dayOf(s.now()) }

// Clock is the latest moment on record.
func (s *Service) Clock() time.Time { return time.UnixMilli(s.clock.Load()).UTC() }
