package arm

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/meter"
)

// query sums costs up by days or months and by dimensions.
func (h usageHandler) query(ctx context.Context, c *Call) (Response, error) {
	var body wire.CostQuery
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	q := meter.Query{Scope: h.scope(c)}
	var err error
	if q.From, q.To, err = timeframe(body, h.Usage.Today()); err != nil {
		return Response{}, err
	}
	return h.table(ctx, c, q, body, "query")
}

// forecast sums up what days have cost, and what they will if nothing changes. Today is still to come.
func (h usageHandler) forecast(ctx context.Context, c *Call) (Response, error) {
	var body wire.CostQuery
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	q := meter.Query{Scope: h.scope(c)}
	today := h.Usage.Today()
	var err error
	if q.From, q.To, err = timeframe(body, today); err != nil {
		return Response{}, err
	}
	if body.IncludeActualCost != nil && !*body.IncludeActualCost {
		q.From = max(q.From, today)
	}
	if q.To <= q.From {
		q.To = q.From + 1
	}
	q.Until = q.To.Time().UnixMilli()
	return h.table(ctx, c, q, body, "forecast")
}

// table answers a query with its sums, a page at a time.
func (h usageHandler) table(ctx context.Context, c *Call, q meter.Query, body wire.CostQuery, kind string) (Response, error) {
	shape, err := h.shape(body)
	if err != nil {
		return Response{}, err
	}
	if kind == "forecast" {
		today := h.Usage.Today()
		shape.add("CostStatus", "String", func(m meter.Sum) any {
			if m.Time < today && shape.granularity == meter.Daily {
				return "Actual"
			}
			return "Forecast"
		})
	}
	only, err := condition(body.Dataset.Filter, 0)
	if err != nil {
		return Response{}, err
	}
	sums, err := h.Usage.Aggregate(ctx, q, only, shape.groups, shape.granularity)
	if err != nil {
		return Response{}, err
	}
	top, err := topOf(c)
	if err != nil {
		return Response{}, err
	}
	skip, err := parseSkip(c.Query.Get("$skiptoken"))
	if err != nil {
		return Response{}, err
	}
	name := uuid.NewString()
	t := wire.CostTable{ID: strings.TrimPrefix(c.Path, "/") + "/" + name, Name: name, Type: costNamespace + "/" + kind}
	t.Properties.Columns, t.Properties.Rows = shape.columns, [][]any{}
	sums = sums[min(skip, len(sums)):]
	for _, s := range sums[:min(top, len(sums))] {
		t.Properties.Rows = append(t.Properties.Rows, shape.row(s))
	}
	if len(sums) > top {
		next := url.Values{}
		for k, v := range c.Query {
			next[k] = v
		}
		next.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(skip+top))))
		link := c.BaseURL + (&url.URL{Path: c.Path, RawQuery: next.Encode()}).String()
		t.Properties.NextLink = &link
	}
	return JSON(http.StatusOK, t), nil
}

func parseSkip(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token[:min(len(token), 32)])
	n, err2 := strconv.ParseUint(string(text), 10, 31)
	if err != nil || err2 != nil {
		return 0, gateway(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token is not valid.")
	}
	return int(n), nil
}

// timeframe says which days a query asks for.
func timeframe(body wire.CostQuery, today meter.Day) (from, to meter.Day, err error) {
	first, next := today.Month()
	switch strings.ToLower(body.Timeframe) {
	case "monthtodate", "billingmonthtodate":
		return first, today + 1, nil
	case "thecurrentmonth":
		return first, next, nil
	case "themonth", "thelastmonth", "thelastbillingmonth":
		last, _ := (first - 1).Month()
		return last, first, nil
	case "weektodate":
		return today - meter.Day(today.Time().Weekday()), today + 1, nil
	case "custom":
		if body.TimePeriod == nil {
			return 0, 0, tintype.MissingParameter("timePeriod")
		}
		return reportDays(body.TimePeriod.From, body.TimePeriod.To)
	}
	return 0, 0, tintype.InvalidParameter("timeframe", "The value '%.64s' of parameter 'timeframe' is invalid. Supported values are "+
		"MonthToDate,BillingMonthToDate,TheCurrentMonth,TheLastMonth,TheLastBillingMonth,WeekToDate,Custom.", body.Timeframe)
}

// costShape is how a query's answer looks.
type costShape struct {
	columns     []wire.CostColumn
	cells       []func(meter.Sum) any
	groups      []meter.Grouping
	granularity meter.Granularity
}

func (s *costShape) add(name, kind string, cell func(meter.Sum) any) {
	s.columns, s.cells = append(s.columns, wire.CostColumn{Name: name, Type: kind}), append(s.cells, cell)
}

func (s *costShape) row(sum meter.Sum) []any {
	row := make([]any, len(s.cells))
	for i, cell := range s.cells {
		row[i] = cell(sum)
	}
	return row
}

// maxGroupings is Azure's bound on the dimensions of a query.
const maxGroupings = 2

// shape reads a query's data set: columns are the sums, the groups, the time and the currency, as Azure orders them.
func (h usageHandler) shape(body wire.CostQuery) (costShape, error) {
	var s costShape
	d := body.Dataset
	var names []string
	for _, a := range d.Aggregation {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		switch strings.ToLower(name) {
		case "cost", "pretaxcost", "costusd", "pretaxcostusd":
			s.add(name, "Number", func(m meter.Sum) any { return m.Cost })
		case "usagequantity", "quantity":
			s.add(name, "Number", func(m meter.Sum) any { return m.Quantity })
		default:
			return s, tintype.InvalidParameter("aggregation", "The column '%.64s' cannot be summed up. Supported columns are Cost,PreTaxCost,UsageQuantity.", name)
		}
	}
	if len(names) == 0 {
		s.add("Cost", "Number", func(m meter.Sum) any { return m.Cost })
	}
	if len(d.Grouping) > maxGroupings {
		return s, tintype.InvalidParameter("grouping", "A query can be grouped by at most %d columns.", maxGroupings)
	}
	for i, g := range d.Grouping {
		tag := strings.HasPrefix(strings.ToLower(g.Type), "tag")
		if !tag && !meter.KnownDimension(g.Name) {
			return s, tintype.InvalidParameter("grouping", "The dimension '%.64s' is not known.", g.Name)
		}
		by := meter.Grouping{Dimension: g.Name}
		if tag {
			by = meter.Grouping{Tag: g.Name}
		}
		s.groups = append(s.groups, by)
		s.add(g.Name, "String", func(m meter.Sum) any { return m.Groups[i] })
	}
	switch strings.ToLower(d.Granularity) {
	case "", "none":
	case "daily":
		s.granularity = meter.Daily
		s.add("UsageDate", "Number", func(m meter.Sum) any { return dateNumber(m.Time) })
	case "monthly":
		s.granularity = meter.Monthly
		s.add("BillingMonth", "Datetime", func(m meter.Sum) any { return m.Time.Time().Format("2006-01-02T15:04:05") })
	default:
		return s, tintype.InvalidParameter("granularity", "The value '%.64s' of parameter 'granularity' is invalid. Supported values are None,Daily,Monthly.", d.Granularity)
	}
	s.add("Currency", "String", func(meter.Sum) any { return h.Usage.Currency() })
	return s, nil
}

// dateNumber is a day as queries write it, 20260131.
func dateNumber(d meter.Day) int {
	n, err := strconv.Atoi(d.Time().Format("20060102"))
	if err != nil {
		return 0 // digits are a number
	}
	return n
}

// maxConditions bounds how many values a filter compares with, and how deep it is nested.
const (
	maxConditionDepth  = 16
	maxConditionValues = 1000
)

// condition reads a query's filter.
func condition(f *wire.CostFilter, depth int) (*meter.Condition, error) {
	if f == nil {
		return nil, nil
	}
	if depth > maxConditionDepth {
		return nil, tintype.InvalidParameter("filter", "The filter is nested too deep.")
	}
	var c meter.Condition
	for _, part := range []struct {
		from []wire.CostFilter
		to   *[]meter.Condition
	}{{f.And, &c.And}, {f.Or, &c.Or}} {
		for i := range part.from {
			one, err := condition(&part.from[i], depth+1)
			if err != nil {
				return nil, err
			}
			*part.to = append(*part.to, *one)
		}
	}
	var err error
	if c.Not, err = condition(f.Not, depth+1); err != nil {
		return nil, err
	}
	for _, cmp := range []*wire.CostComparison{f.Dimensions, f.Tags} {
		if cmp == nil {
			continue
		}
		if !strings.EqualFold(cmp.Operator, "In") && cmp.Operator != "" || len(cmp.Values) > maxConditionValues {
			return nil, tintype.InvalidParameter("filter", "The operator '%.16s' is not supported. Supported operators are In.", cmp.Operator)
		}
		one := meter.Condition{Tag: cmp.Name, Values: cmp.Values}
		if cmp == f.Dimensions {
			if !meter.KnownDimension(cmp.Name) {
				return nil, tintype.InvalidParameter("filter", "The dimension '%.64s' is not known.", cmp.Name)
			}
			one = meter.Condition{Dimension: cmp.Name, Values: cmp.Values}
		}
		c.And = append(c.And, one)
	}
	return &c, nil
}
