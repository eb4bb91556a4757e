package arm

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/meter"
)

// details lists rows, a page at a time: those of the filter, or of the billing period, which is a month.
func (h usageHandler) details(ctx context.Context, c *Call) (Response, error) {
	today := h.Usage.Today()
	f := usageFilter{from: today, to: today + 1}
	f.from, _ = today.Month()
	if err := f.period(c.Param("period")); err != nil {
		return Response{}, err
	}
	if err := f.parse(c.Query.Get("$filter")); err != nil {
		return Response{}, err
	}
	top, err := topOf(c)
	if err != nil {
		return Response{}, err
	}
	q := meter.Query{Scope: h.scope(c), From: f.from, To: f.to}
	if q.After, err = parseMark(c.Query.Get("$skiptoken")); err != nil {
		return Response{}, err
	}
	found := []any{}
	more := false
	var last meter.Mark
	err = h.Usage.Usage(ctx, q, func(r *meter.Row) (bool, error) {
		if !f.match(r) {
			return true, nil
		}
		if more = len(found) == top; more {
			return false, nil
		}
		found, last = append(found, h.encodeUsage(c, r)), r.Mark
		return true, nil
	})
	if err != nil {
		return Response{}, err
	}
	list := ListOf(found)
	if more {
		next := url.Values{}
		for k, v := range c.Query {
			next[k] = v
		}
		next.Set("$skiptoken", markToken(last))
		list.NextLink = c.BaseURL + (&url.URL{Path: c.Path, RawQuery: next.Encode()}).String()
	}
	return JSON(http.StatusOK, list), nil
}

func markToken(m meter.Mark) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d:%d:%d", m.Resource, m.Day, m.Part))
}

func parseMark(token string) (m meter.Mark, err error) {
	if token == "" {
		return m, nil
	}
	bad := gateway(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token is not valid.")
	text, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.Split(string(text), ":")
	if err != nil || len(token) > 100 || len(parts) != 3 {
		return m, bad
	}
	resource, err1 := strconv.ParseInt(parts[0], 10, 62)
	day, err2 := strconv.ParseInt(parts[1], 10, 31)
	part, err3 := strconv.ParseInt(parts[2], 10, 31)
	if err1 != nil || err2 != nil || err3 != nil || resource < 1 {
		return m, bad
	}
	return meter.Mark{Resource: resource, Day: meter.Day(day), Part: int(part)}, nil
}

// encodeUsage writes a row as clients of the api-version know it.
func (h usageHandler) encodeUsage(c *Call, r *meter.Row) any {
	first, next := r.Day.Month()
	meterID := r.MeterID()
	name := uuid.NewSHA1(r.Resource.UniqueID, []byte(r.Day.String()+meterID)).String()
	period := "/subscriptions/" + string(r.Resource.ID.Subscription) + "/providers/Microsoft.Billing/billingPeriods/" + first.Time().Format("20060102")
	id := period + "/providers/" + consumptionNamespace + "/usageDetails/" + name
	expand := strings.ToLower(c.Query.Get("$expand"))
	kind := consumptionNamespace + "/usageDetails"
	if c.APIVersion == oldUsage {
		return wire.OldUsageDetail{ID: id, Name: name, Type: kind, Tags: r.Last.Tags, Properties: h.oldUsage(r, period, meterID, expand)}
	}
	w := wire.UsageDetail{ID: id, Name: name, Type: kind, Kind: "legacy", Tags: r.Last.Tags}
	w.Properties = wire.UsageProperties{
		BillingAccountID:       string(r.Resource.ID.Subscription),
		BillingPeriodStartDate: usageTime(first), BillingPeriodEndDate: usageTime(next - 1),
		SubscriptionID: string(r.Resource.ID.Subscription), SubscriptionName: h.SubscriptionName(r.Resource.ID.Subscription),
		Date: usageTime(r.Day), Product: r.ProductName(), MeterID: meterID,
		Quantity: r.Quantity, EffectivePrice: r.Price, Cost: r.Cost(), UnitPrice: r.Price, PayGPrice: r.Price,
		BillingCurrency: h.Usage.Currency(), ResourceLocation: r.Resource.Location, ConsumedService: computeNamespace,
		ResourceID: r.Resource.ID.String(), ResourceName: r.Resource.ID.Name, ResourceGroup: r.Resource.ID.Group,
		PublisherName: "Tintype", PublisherType: "Azure", ChargeType: "Usage", Frequency: "UsageBased", PricingModel: "OnDemand",
	}
	if strings.Contains(expand, "additional") {
		w.Properties.AdditionalInfo = r.AdditionalInfo()
	}
	if strings.Contains(expand, "meterdetails") {
		w.Properties.MeterDetails = &wire.MeterDetails{
			MeterName: r.Product.Meter, MeterCategory: "Storage", MeterSubCategory: r.Product.Name, UnitOfMeasure: r.Product.Unit, ServiceFamily: "Storage",
		}
	}
	return w
}

func (h usageHandler) oldUsage(r *meter.Row, period, meterID, expand string) wire.OldUsageProperties {
	id := r.Resource.ID
	p := wire.OldUsageProperties{
		BillingPeriodID: period, UsageStart: usageTime(r.Day), UsageEnd: r.Day.String() + "T23:59:59.0000000Z",
		InstanceID: id.String(), InstanceName: id.Name, InstanceLocation: r.Resource.Location, MeterID: meterID,
		UsageQuantity: r.Quantity, PretaxCost: r.Cost(), Currency: h.Usage.Currency(),
		SubscriptionGUID: string(id.Subscription), SubscriptionName: h.SubscriptionName(id.Subscription),
		Product: r.ProductName(), ConsumedService: computeNamespace,
	}
	if strings.Contains(expand, "additional") {
		p.AdditionalProperties = r.AdditionalInfo()
	}
	if strings.Contains(expand, "meterdetails") {
		p.MeterDetails = &wire.OldMeterDetails{
			MeterName: r.Product.Meter, MeterCategory: "Storage", Unit: r.Product.Unit, MeterLocation: r.Resource.Location,
			MeterSubCategory: r.Product.Name, PretaxStandardRate: r.Price,
		}
	}
	return p
}

func usageTime(d meter.Day) string { return d.String() + "T00:00:00.0000000Z" }

// usageFilter is what a list of usage asks for.
type usageFilter struct {
	from, to meter.Day // to is not included
	only     meter.Condition
}

func (f *usageFilter) match(r *meter.Row) bool { return f.only.Match(r) }

// period takes a billing period by its name, such as 202601 or 20260101.
func (f *usageFilter) period(name string) error {
	if name == "" {
		return nil
	}
	month, err := time.Parse("200601", name[:min(6, len(name))])
	if err != nil {
		return gateway(http.StatusBadRequest, "InvalidBillingPeriod", "The billing period '%s' is not of the form 202601.", clip(name))
	}
	f.from, f.to = meter.DayOf(month).Month()
	return nil
}

// usageDates are the properties by which the day is compared, usageFields those that are compared for being equal.
var (
	usageDates  = []string{"usagestart", "usageend", "date", "usagedate"}
	usageFields = map[string]string{
		"resourcegroup": "resourcegroup", "resourcegroupname": "resourcegroup", "resourceid": "resourceid", "instanceid": "resourceid",
		"resourcename": "resourcename", "instancename": "resourcename", "meterid": "meterid", "consumedservice": "consumedservice",
		"resourcelocation": "resourcelocation", "chargetype": "chargetype", "publishertype": "publishertype", "resourcetype": "resourcetype",
	}
)

// parse reads what Azure documents for usage: comparisons joined by and. A moment stands for its whole day, as usage has no
// finer grain: az's --end-date is a day that still counts.
func (f *usageFilter) parse(text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	p := &filterParser{}
	err := p.scan(text)
	dated := false
	for err == nil {
		if err = f.comparison(p, &dated); err != nil || p.peek() == "" {
			break
		}
		if !p.take("and") {
			err = errFilter
		}
	}
	if err != nil {
		return gateway(http.StatusBadRequest, "BadRequest", "Invalid $filter '%s' specified in the query string.", clip(text))
	}
	return nil
}

func (f *usageFilter) comparison(p *filterParser, dated *bool) error {
	property := strings.ToLower(p.next())
	_, property, _ = strings.Cut("/"+property, "/")
	property = strings.TrimPrefix(property, "properties/")
	operator, value := strings.ToLower(p.next()), strings.TrimPrefix(p.next(), "'")
	if property == "tags" && operator == "eq" {
		tag, v, _ := strings.Cut(value, ":")
		f.only.And = append(f.only.And, meter.Condition{Tag: tag, Values: []string{v}})
		return nil
	}
	if name := usageFields[property]; name != "" && (operator == "eq" || operator == "ne") {
		one := meter.Condition{Dimension: name, Values: []string{value}}
		if operator == "ne" {
			f.only.And = append(f.only.And, meter.Condition{Not: &one})
			return nil
		}
		f.only.And = append(f.only.And, one)
		return nil
	}
	if !slices.Contains(usageDates, property) || len(value) < len(time.DateOnly) {
		return errFilter
	}
	d, err := meter.ParseDay(value[:len(time.DateOnly)])
	if err != nil {
		return errFilter
	}
	if !*dated { // one bound that is given alone opens the other
		*dated = true
		f.from, f.to = 0, f.to+366
	}
	switch operator {
	case "ge":
		f.from = max(f.from, d)
	case "gt":
		f.from = max(f.from, d+1)
	case "le":
		f.to = min(f.to, d+1)
	case "lt":
		f.to = min(f.to, d)
	case "eq":
		f.from, f.to = max(f.from, d), min(f.to, d+1)
	default:
		return errFilter
	}
	return nil
}

// explain answers why a resource cost on a day what it did; without a date, today.
func (h usageHandler) explain(kind tintype.Kind) Handler {
	return func(ctx context.Context, c *Call) (Response, error) {
		d := h.Usage.Today()
		if text := c.Query.Get("date"); text != "" {
			var err error
			if d, err = meter.ParseDay(text); err != nil {
				return Response{}, tintype.InvalidParameter("date", "The value '%.64s' of parameter 'date' is not a day such as 2026-01-31.", text)
			}
		}
		id := tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: kind, Name: c.Param("volume")}
		all, err := h.Usage.Explain(ctx, id, d)
		if err != nil {
			return Response{}, err
		}
		if len(all) == 0 {
			return Response{}, &tintype.Error{
				Kind: tintype.KindNotFound, Code: "NotFound", Message: fmt.Sprintf("%s was not there on %s.", id, d),
			}
		}
		out := make([]wire.UsageExplanation, len(all))
		for i, e := range all {
			out[i] = h.encodeExplanation(e, d)
		}
		return JSON(http.StatusOK, ListOf(out)), nil
	}
}

func (h usageHandler) encodeExplanation(e meter.Explanation, d meter.Day) wire.UsageExplanation {
	first, next := d.Month()
	w := wire.UsageExplanation{
		ResourceID: e.Resource.ID.String(), UniqueID: e.Resource.UniqueID.String(), Born: formatTime(e.Resource.Born),
		Source: e.Resource.Source, Incremental: e.Resource.Incremental, Date: d.String(), DaysOfMonth: int(next - first),
		BillingCurrency: h.Usage.Currency(), Rows: []wire.ExplainedRow{},
	}
	if !e.Resource.Gone.IsZero() {
		w.Gone = formatTime(e.Resource.Gone)
	}
	for _, r := range e.Rows {
		w.Rows = append(w.Rows, wire.ExplainedRow{
			Product: r.ProductName(), Quantity: r.Quantity, Unit: r.Product.Unit, UnitPrice: r.Price, Cost: r.Cost(),
		})
	}
	for _, s := range e.Steps {
		w.Steps = append(w.Steps, wire.ExplainedStep{
			From: formatTime(s.From), To: formatTime(s.To), Since: formatTime(s.Since), Bytes: s.Bytes, Why: s.Why,
		})
	}
	if e.Saving != nil {
		w.IfDeleted = &wire.ExplainedSavings{FreedBytes: e.Saving.FreedBytes, MonthlyCost: e.Saving.Monthly}
	}
	return w
}
