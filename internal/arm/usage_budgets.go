package arm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/meter"
)

// Budgets is what the handlers of budgets ask of the domain; *meter.Service is the real one.
type Budgets interface {
	PutBudget(ctx context.Context, b meter.Budget) (out meter.Budget, created bool, err error)
	Budget(ctx context.Context, in meter.Scope, name string) (meter.Budget, error)
	Budgets(ctx context.Context, in meter.Scope) ([]meter.Budget, error)
	DeleteBudget(ctx context.Context, in meter.Scope, name string) error
	Spend(ctx context.Context, b meter.Budget) (spend meter.Spend, ok bool, err error)
}

func budgetType(h usageHandler) Type {
	t := Type{Namespace: consumptionNamespace, Name: "budgets", Global: true, Versions: consumptionVersions()}
	for _, in := range []func(string) string{InSubscription, InGroup} {
		list, one := in(consumptionNamespace+"/budgets"), in(consumptionNamespace+"/budgets/{budget}")
		t.Operations = append(
			t.Operations,
			Operation{Method: http.MethodGet, Path: list, Do: h.listBudgets},
			Operation{Method: http.MethodGet, Path: one, Do: h.getBudget},
			Operation{Method: http.MethodPut, Path: one, Do: h.putBudget},
			Operation{Method: http.MethodDelete, Path: one, Do: h.deleteBudget},
		)
	}
	return t
}

func (h usageHandler) listBudgets(ctx context.Context, c *Call) (Response, error) {
	all, err := h.Budgets.Budgets(ctx, h.scope(c))
	if err != nil {
		return Response{}, err
	}
	out := make([]wire.Budget, len(all))
	for i, b := range all {
		if out[i], err = h.encodeBudget(ctx, c, b); err != nil {
			return Response{}, err
		}
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func (h usageHandler) getBudget(ctx context.Context, c *Call) (Response, error) {
	b, err := h.Budgets.Budget(ctx, h.scope(c), c.Param("budget"))
	if err != nil {
		return Response{}, err
	}
	w, err := h.encodeBudget(ctx, c, b)
	return JSON(http.StatusOK, w), err
}

func (h usageHandler) deleteBudget(ctx context.Context, c *Call) (Response, error) {
	return Empty(http.StatusOK), h.Budgets.DeleteBudget(ctx, h.scope(c), c.Param("budget"))
}

func (h usageHandler) putBudget(ctx context.Context, c *Call) (Response, error) {
	var body wire.Budget
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	b, err := decodeBudget(body)
	if err != nil {
		return Response{}, err
	}
	b.Scope, b.Name = h.scope(c), c.Param("budget")
	b, created, err := h.Budgets.PutBudget(ctx, b)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	w, err := h.encodeBudget(ctx, c, b)
	return JSON(status, w), err
}

// openEnd is the end of a budget that names none: ten years after its beginning, as Azure does it.
const openEnd = 3652

func decodeBudget(w wire.Budget) (b meter.Budget, err error) {
	p := w.Properties
	if p == nil {
		return b, tintype.MissingParameter("properties")
	}
	if !strings.EqualFold(p.Category, "Cost") {
		return b, tintype.InvalidParameter("category", "The value '%.32s' of parameter 'category' is invalid. Supported values are Cost.", p.Category)
	}
	if p.TimePeriod == nil {
		return b, tintype.MissingParameter("timePeriod")
	}
	b.ETag = w.ETag
	for _, grain := range []string{"Monthly", "Quarterly", "Annually"} {
		if b.Grain = p.TimeGrain; strings.EqualFold(grain, p.TimeGrain) {
			b.Grain = grain
			break
		}
	}
	if b.Amount, err = meter.ParseAmount(p.Amount.String()); err != nil {
		return b, err
	}
	if b.From, err = meter.ParseDay(clipDay(p.TimePeriod.StartDate)); err != nil {
		return b, tintype.InvalidParameter("timePeriod.startDate", "'%.32s' is no day.", p.TimePeriod.StartDate)
	}
	b.To = b.From + openEnd
	if end := p.TimePeriod.EndDate; end != "" {
		if b.To, err = meter.ParseDay(clipDay(end)); err != nil {
			return b, tintype.InvalidParameter("timePeriod.endDate", "'%.32s' is no day.", end)
		}
		b.To++
	}
	if b.Only, err = budgetFilter(*p); err != nil {
		return b, err
	}
	b.Notifications, err = decodeNotifications(p.Notifications)
	return b, err
}

// budgetFilter reads what counts, in the old form or the new one.
func budgetFilter(p wire.BudgetProperties) (*meter.Condition, error) {
	if p.Filter != nil {
		return condition(p.Filter, 0)
	}
	if p.Filters == nil {
		return nil, nil
	}
	var c meter.Condition
	for _, f := range []struct {
		dimension string
		values    []string
	}{{"ResourceGroup", p.Filters.ResourceGroups}, {"ResourceId", p.Filters.Resources}, {"MeterId", p.Filters.Meters}} {
		if len(f.values) > 0 {
			c.And = append(c.And, meter.Condition{Dimension: f.dimension, Values: f.values})
		}
	}
	return &c, nil
}

func decodeNotifications(all map[string]wire.BudgetNotification) (map[string]meter.Notification, error) {
	out := map[string]meter.Notification{}
	for name, n := range all {
		threshold, err := meter.ParsePrice(n.Threshold.String())
		if err != nil {
			return nil, tintype.InvalidParameter("threshold", "The threshold '%.32s' is not a decimal number.", n.Threshold)
		}
		if t := strings.ToLower(n.ThresholdType); t != "" && t != "actual" && t != "forecasted" {
			return nil, tintype.InvalidParameter("thresholdType", "The value '%.32s' of parameter 'thresholdType' is invalid. Supported values are Actual,Forecasted.", n.ThresholdType)
		}
		out[name] = meter.Notification{
			Enabled: n.Enabled, Operator: n.Operator, Threshold: threshold, Forecast: strings.EqualFold(n.ThresholdType, "Forecasted"),
			Emails: n.ContactEmails, Roles: n.ContactRoles, Groups: n.ContactGroups, Locale: n.Locale,
		}
	}
	return out, nil
}

func (h usageHandler) encodeBudget(ctx context.Context, c *Call, b meter.Budget) (wire.Budget, error) {
	scope := "/subscriptions/" + string(b.Subscription)
	if b.Group != "" {
		scope += "/resourceGroups/" + b.Group
	}
	w := wire.Budget{
		ID: scope + "/providers/" + consumptionNamespace + "/budgets/" + b.Name, Name: b.Name, Type: consumptionNamespace + "/budgets", ETag: b.ETag,
		Properties: &wire.BudgetProperties{
			Category: "Cost", Amount: json.Number(b.Amount.String()), TimeGrain: b.Grain,
			TimePeriod:    &wire.BudgetPeriod{StartDate: budgetTime(b.From), EndDate: budgetTime(b.To - 1)},
			CurrentSpend:  &wire.BudgetSpend{Amount: 0, Unit: h.Usage.Currency()},
			Notifications: map[string]wire.BudgetNotification{},
		},
	}
	spend, ok, err := h.Budgets.Spend(ctx, b)
	if err != nil {
		return w, err
	}
	if ok {
		w.Properties.CurrentSpend.Amount = spend.Actual
		w.Properties.ForecastSpend = &wire.BudgetSpend{Amount: spend.Forecast, Unit: h.Usage.Currency()}
	}
	if c.APIVersion == oldUsage {
		w.Properties.Filters = oldFilters(b.Only)
	} else {
		w.Properties.Filter = encodeCondition(b.Only)
	}
	for name, n := range b.Notifications {
		kind := "Actual"
		if n.Forecast {
			kind = "Forecasted"
		}
		w.Properties.Notifications[name] = wire.BudgetNotification{
			Enabled: n.Enabled, Operator: n.Operator, Threshold: json.Number(n.Threshold.String()), ThresholdType: kind, Locale: n.Locale,
			ContactEmails: n.Emails, ContactRoles: n.Roles, ContactGroups: n.Groups,
		}
	}
	return w, nil
}

func budgetTime(d meter.Day) string { return d.Time().Format("2006-01-02T15:04:05Z") }

// oldFilters shows a condition to clients of the old form, as far as that has words for it.
func oldFilters(c *meter.Condition) *wire.BudgetFilters {
	if c == nil || len(c.And) == 0 {
		return nil
	}
	var f wire.BudgetFilters
	for _, one := range c.And {
		switch strings.ToLower(one.Dimension) {
		case "resourcegroup", "resourcegroupname":
			f.ResourceGroups = one.Values
		case "resourceid":
			f.Resources = one.Values
		case "meterid":
			f.Meters = one.Values
		}
	}
	return &f
}

// encodeCondition is condition's inverse.
func encodeCondition(c *meter.Condition) *wire.CostFilter {
	if c == nil {
		return nil
	}
	f := wire.CostFilter{Not: encodeCondition(c.Not)}
	for _, one := range c.And {
		f.And = append(f.And, *encodeCondition(&one))
	}
	for _, one := range c.Or {
		f.Or = append(f.Or, *encodeCondition(&one))
	}
	switch compare := (wire.CostComparison{Operator: "In", Values: c.Values}); {
	case c.Dimension != "":
		compare.Name, f.Dimensions = c.Dimension, &compare
	case c.Tag != "":
		compare.Name, f.Tags = c.Tag, &compare
	}
	// What was sent as one comparison is one again.
	if len(f.And) == 1 && f.Or == nil && f.Not == nil && f.Dimensions == nil && f.Tags == nil {
		return &f.And[0]
	}
	return &f
}
