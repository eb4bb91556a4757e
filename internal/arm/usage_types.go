package arm

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/meter"
)

// Usage is what the handlers of usage, cost and budgets ask of the domain; *meter.Service is the real one.
type Usage interface {
	Usage(ctx context.Context, q meter.Query, yield func(*meter.Row) (bool, error)) error
	Aggregate(ctx context.Context, q meter.Query, only *meter.Condition, by []meter.Grouping, g meter.Granularity) ([]meter.Sum, error)
	Explain(ctx context.Context, id tintype.ResourceID, d meter.Day) ([]meter.Explanation, error)
	StartReport(q meter.Query, opt meter.CSVOptions) (meter.Report, error)
	Report(id uuid.UUID) (meter.Report, bool)
	Currency() string
	Today() meter.Day
}

// UsageOptions of [UsageTypes]. All are needed.
type UsageOptions struct {
	Usage   Usage
	Budgets Budgets
	// SubscriptionName is the display name of a subscription.
	SubscriptionName func(tintype.SubscriptionID) string
}

const (
	consumptionNamespace = "Microsoft.Consumption"
	costNamespace        = "Microsoft.CostManagement"
	// oldUsage is the api-version of az, whose rows have another form.
	oldUsage = "2018-01-31"
)

func consumptionVersions() []string {
	return []string{
		oldUsage, "2019-10-01", "2021-10-01", "2022-09-01", "2023-03-01", "2023-05-01", "2023-11-01", "2024-08-01",
	}
}

func costVersions() []string {
	return []string{
		"2019-11-01", "2020-06-01", "2021-10-01", "2022-05-01", "2022-10-01", "2023-03-01", "2023-08-01", "2023-11-01",
		"2024-08-01", "2025-03-01",
	}
}

// UsageTypes are the rows of Microsoft.Consumption and Microsoft.CostManagement in the router's table.
func UsageTypes(opt UsageOptions) []Type {
	h := usageHandler{opt}
	inBoth := func(method, rest, permission string, do Handler) []Operation {
		return []Operation{
			{Method: method, Path: InSubscription(rest), Permission: permission, Do: do},
			{Method: method, Path: InGroup(rest), Permission: permission, Do: do},
		}
	}
	details := inBoth(http.MethodGet, consumptionNamespace+"/usageDetails", "", h.details)
	details = append(details, Operation{
		Method: http.MethodGet, Path: InSubscription("Microsoft.Billing/billingPeriods/{period}/providers/" + consumptionNamespace + "/usageDetails"),
		Do: h.details,
	})
	explain := []Operation{}
	for _, kind := range []tintype.Kind{tintype.KindDisk, tintype.KindSnapshot} {
		explain = append(explain, Operation{
			Method: http.MethodGet, Path: InGroup(kind.Type() + "/{volume}/providers/" + consumptionNamespace + "/explanations"),
			Do: h.explain(kind),
		})
	}
	return []Type{
		{Namespace: consumptionNamespace, Name: "usageDetails", Global: true, Versions: consumptionVersions(), Operations: details},
		budgetType(h),
		{Namespace: consumptionNamespace, Name: "explanations", Global: true, Versions: []string{ownVersion}, Operations: explain},
		{
			Namespace: costNamespace, Name: "query", Global: true, Versions: costVersions(),
			Operations: inBoth(http.MethodPost, costNamespace+"/query", costNamespace+"/query/read", h.query),
		},
		{
			Namespace: costNamespace, Name: "forecast", Global: true, Versions: costVersions(),
			Operations: inBoth(http.MethodPost, costNamespace+"/forecast", costNamespace+"/forecast/read", h.forecast),
		},
		{
			Namespace: costNamespace, Name: "generateCostDetailsReport", Global: true, Versions: costVersions(),
			Operations: inBoth(http.MethodPost, costNamespace+"/generateCostDetailsReport", "", h.startReport),
		},
		{
			Namespace: costNamespace, Name: "costDetailsOperationResults", Global: true, Versions: costVersions(),
			Operations: inBoth(http.MethodGet, costNamespace+"/costDetailsOperationResults/{operation}", "", h.pollReport),
		},
	}
}

// usageHandler answers for what was used, and what that costs.
type usageHandler struct{ UsageOptions }

// scope is whose usage the path asks for.
func (h usageHandler) scope(c *Call) meter.Scope {
	return meter.Scope{Subscription: c.subscription(), Group: c.ID.Group}
}
