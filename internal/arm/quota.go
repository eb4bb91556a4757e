package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

// usagesType is what a subscription has in a region, beside how much it may have.
func usagesType(opt ComputeOptions) Type {
	return Type{
		Namespace: computeNamespace, Name: "locations/usages", Versions: machineVersions(),
		Operations: []Operation{{Method: http.MethodGet, Path: InSubscription(computeNamespace + "/locations/{location}/usages"), Do: opt.usages}},
	}
}

func (opt ComputeOptions) usages(ctx context.Context, c *Call) (Response, error) {
	region, err := tintype.CheckLocation("locations/usages", c.ID.Location)
	if err != nil {
		return Response{}, err
	}
	all, err := opt.Volumes.Usages(ctx, c.subscription(), region.Name)
	if err != nil {
		return Response{}, err
	}
	var out []wire.Quota
	for _, u := range all {
		out = append(out, wire.Quota{
			Limit: u.Limit, Unit: "Count", CurrentValue: u.Have, Name: wire.QuotaName{Value: u.Name, Localized: u.Display},
		})
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}
