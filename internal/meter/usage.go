package meter

import (
	"context"
	"math/bits"
	"slices"
	"strings"

	"tintype"
)

// Scope is whose usage is asked for: a subscription, one of its groups, or one resource.
type Scope struct {
	Subscription tintype.SubscriptionID
	Group        string // name; "" for all
	Resource     string // whole id; "" for all
}

// Query asks for usage.
type Query struct {
	Scope
	From, To Day // the days from From to before To
	// Until is the moment up to which is counted when it lies before To, in milliseconds since 1970; 0 is now. Asking for
	// more than now tells what will be, if nothing changes.
	Until int64
	// After leaves out the rows up to and with this mark.
	After Mark
}

// Mark is a row's place in the order of rows, for going on behind it.
type Mark struct {
	Resource int64 // row of the resource
	Day      Day
	Part     int // of the day: a resource that changed its meter has several rows
}

// Row is what one resource used of one meter on one day.
type Row struct {
	Resource *Resource
	Day      Day
	Product  Product
	Quantity Quantity
	Price    Price
	Priced   bool   // the sheet has a price
	Last     Sample // the last that counted
	Millis   int64  // how long it counted on that day
	Mark     Mark
}

// Cost is what the row costs, exactly.
func (r *Row) Cost() Money { return r.Price.Times(r.Quantity) }

// Usage yields the rows of the query until yield returns false: resource by resource in the order in which they came to be,
// day by day. A row is the yielding function's only until it returns.
//
// A quantity is units held times the time they were held on that day, divided by the length of the month. Of each resource
// and meter, the remainders of a month's days are carried from one to the next, so that the days sum up to the month to the last digit.
func (s *Service) Usage(ctx context.Context, q Query, yield func(*Row) (bool, error)) error {
	if q.Until == 0 {
		q.Until = s.now()
	}
	first, _ := q.From.Month() // the carry begins with the month
	sp := span{from: first.start(), to: min(q.To.start(), q.Until), name: q.prefix(), one: q.Resource != ""}
	if q.After != (Mark{}) {
		sp.after = q.After.Resource - 1
	}
	if sp.to <= sp.from {
		return nil
	}
	var in integral
	return s.store.each(ctx, sp, func(r *Resource, samples []Sample) (bool, error) {
		in = integral{query: q, prices: s.opt.Prices, yield: yield, resource: r, parts: in.parts[:0], from: sp.from, to: sp.to}
		return in.run(samples)
	})
}

// prefix is how the ids of the scope's resources begin, or the one id.
func (s Scope) prefix() string {
	if s.Resource != "" {
		return s.Resource
	}
	prefix := "/subscriptions/" + string(s.Subscription) + "/"
	if s.Group != "" {
		prefix += "resourceGroups/" + s.Group + "/"
	}
	return prefix
}

// integral adds up the samples of one resource.
type integral struct {
	query    Query
	prices   *Sheet
	yield    func(*Row) (bool, error)
	resource *Resource
	from, to int64 // milliseconds

	day   Day // the parts are of this day
	next  Day // first day of the next month
	month int64
	parts []part // of the month, in the order of their appearance
	row   Row    // as yielded last
}

// part is one meter of a resource in a month.
type part struct {
	product Product
	per     int64
	sum     uint64 // of the day: units × milliseconds; at most 2^34 blocks × 2^27 ms
	millis  int64
	carry   uint64 // what was left of the days before, in 1/(per × month) of a billionth
	last    Sample
}

// run walks the samples, each from its moment to the next one's. It tells whether more is wanted.
func (in *integral) run(samples []Sample) (bool, error) {
	in.enterMonth(dayOf(in.from))
	for i, s := range samples {
		if s.Deleted {
			break
		}
		begin, end := max(s.millis, in.from), in.to
		if i+1 < len(samples) {
			end = min(end, samples[i+1].millis)
		}
		c := chargeOf(in.resource, s)
		for begin < end {
			if more, err := in.reach(dayOf(begin)); err != nil || !more {
				return more, err
			}
			stop := min(end, (in.day + 1).start())
			in.add(c, s, stop-begin)
			begin = stop
		}
	}
	return in.flush()
}

// add counts a charge for a time within the day.
func (in *integral) add(c charge, s Sample, millis int64) {
	i := slices.IndexFunc(in.parts, func(p part) bool { return p.product == c.product })
	if i < 0 {
		i = len(in.parts)
		in.parts = append(in.parts, part{product: c.product, per: c.per, carry: uint64(c.per*in.month) / 2})
	}
	p := &in.parts[i]
	p.sum += uint64(c.units) * uint64(millis)
	p.millis += millis
	p.last = s
}

// reach goes on to the day, yielding the one before.
func (in *integral) reach(d Day) (bool, error) {
	if d == in.day {
		return true, nil
	}
	if more, err := in.flush(); err != nil || !more {
		return more, err
	}
	if d >= in.next {
		in.enterMonth(d)
	}
	in.day = d
	return true, nil
}

func (in *integral) enterMonth(d Day) {
	var first Day
	first, in.next = d.Month()
	in.day, in.month, in.parts = d, int64(in.next-first)*dayMillis, in.parts[:0]
}

// flush yields the day's rows and begins with nothing.
func (in *integral) flush() (bool, error) {
	for i := range in.parts {
		p := &in.parts[i]
		if p.millis == 0 {
			continue
		}
		q := p.take(in.month)
		in.row = Row{
			Resource: in.resource, Day: in.day, Product: p.product, Quantity: q, Last: p.last, Millis: p.millis,
			Mark: Mark{in.resource.row, in.day, i},
		}
		p.sum, p.millis = 0, 0
		if q == 0 || in.day < in.query.From || !in.row.Mark.behind(in.query.After) {
			continue
		}
		in.row.Price, in.row.Priced = in.prices.Price(p.product, in.resource.Location, in.day)
		if more, err := in.yield(&in.row); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

// take turns the day's sum into a quantity and keeps the rest.
func (p *part) take(month int64) Quantity {
	hi, lo := bits.Mul64(p.sum, nano)
	lo, over := bits.Add64(lo, p.carry, 0)
	q, rest := bits.Div64(hi+over, lo, uint64(p.per)*uint64(month))
	p.carry = rest
	return Quantity(q)
}

func (m Mark) behind(o Mark) bool {
	if m.Resource != o.Resource {
		return m.Resource > o.Resource
	}
	if m.Day != o.Day {
		return m.Day > o.Day
	}
	return m.Part > o.Part
}

// Total is what rows come to.
type Total struct {
	Quantity Quantity
	Cost     Money
	Rows     int64
}

func (t *Total) add(r *Row) {
	t.Quantity += r.Quantity
	t.Cost = t.Cost.Plus(r.Cost())
	t.Rows++
}

// Line is a line of the bill: what was used of one meter, at one price.
type Line struct {
	Product  Product
	Location string
	Group    string
	Price    Price
	Priced   bool
	Total
}

// Bill is what the query's rows come to, by group and meter. Its lines' costs sum up to Total.Cost.
type Bill struct {
	Currency string
	Lines    []Line
	Total    Money
}

// Bill adds the rows up.
func (s *Service) Bill(ctx context.Context, q Query) (Bill, error) {
	b := Bill{Currency: s.opt.Prices.Currency}
	type key struct {
		product  Product
		location string
		group    string
		price    Price
	}
	lines := map[key]*Line{}
	err := s.Usage(ctx, q, func(r *Row) (bool, error) {
		k := key{r.Product, r.Resource.Location, strings.ToLower(r.Resource.ID.Group), r.Price}
		l := lines[k]
		if l == nil {
			l = &Line{Product: r.Product, Location: k.location, Group: r.Resource.ID.Group, Price: r.Price, Priced: r.Priced}
			lines[k] = l
		}
		l.add(r)
		b.Total = b.Total.Plus(r.Cost())
		return true, nil
	})
	for _, l := range lines {
		b.Lines = append(b.Lines, *l)
	}
	slices.SortFunc(b.Lines, func(x, y Line) int {
		if c := strings.Compare(strings.ToLower(x.Group), strings.ToLower(y.Group)); c != 0 {
			return c
		}
		if c := strings.Compare(x.Product.Name+x.Product.SKU+x.Location, y.Product.Name+y.Product.SKU+y.Location); c != 0 {
			return c
		}
		return int(x.Price/2 - y.Price/2)
	})
	return b, err
}
