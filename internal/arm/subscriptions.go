package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/identity"
)

type tenantBody struct {
	ID             string   `json:"id"`
	TenantID       string   `json:"tenantId"`
	DisplayName    string   `json:"displayName"`
	TenantCategory string   `json:"tenantCategory"`
	Domains        []string `json:"domains"`
}

type subscriptionBody struct {
	ID                  string             `json:"id"`
	AuthorizationSource string             `json:"authorizationSource"`
	ManagedByTenants    []struct{}         `json:"managedByTenants"`
	SubscriptionID      string             `json:"subscriptionId"`
	TenantID            string             `json:"tenantId"`
	DisplayName         string             `json:"displayName"`
	State               string             `json:"state"`
	Policies            subscriptionPolicy `json:"subscriptionPolicies"`
	Tags                map[string]string  `json:"tags,omitempty"`
}

type subscriptionPolicy struct {
	LocationPlacementID string `json:"locationPlacementId"`
	QuotaID             string `json:"quotaId"`
	SpendingLimit       string `json:"spendingLimit"`
}

type locationBody struct {
	ID                  string          `json:"id"`
	Name                string          `json:"name"`
	Type                string          `json:"type,omitempty"`
	DisplayName         string          `json:"displayName"`
	RegionalDisplayName string          `json:"regionalDisplayName"`
	Metadata            locationDetails `json:"metadata"`
	Zones               []zoneMapping   `json:"availabilityZoneMappings,omitempty"`
}

type locationDetails struct {
	RegionType     string `json:"regionType"`
	RegionCategory string `json:"regionCategory"`
}

type zoneMapping struct {
	LogicalZone  string `json:"logicalZone"`
	PhysicalZone string `json:"physicalZone"`
}

func (rt *Router) listTenants(_ context.Context, _ *Call) (Response, error) {
	t := rt.opt.Guard.Tenant()
	return JSON(http.StatusOK, ListOf([]tenantBody{{
		ID: "/tenants/" + t.ID, TenantID: t.ID, DisplayName: t.Name, TenantCategory: "Home", Domains: []string{},
	}})), nil
}

func (rt *Router) subscription(ctx context.Context, s identity.Subscription) (b subscriptionBody, err error) {
	var tags map[string]string
	if rt.opt.Tags != nil {
		if tags, err = rt.opt.Tags.SubscriptionTags(ctx, s.ID); err != nil {
			return b, err
		}
	}
	return subscriptionBody{
		ID: "/subscriptions/" + string(s.ID), AuthorizationSource: "RoleBased", ManagedByTenants: []struct{}{},
		SubscriptionID: string(s.ID), TenantID: rt.opt.Guard.Tenant().ID, DisplayName: s.Name, State: "Enabled",
		Policies: subscriptionPolicy{
			LocationPlacementID: "Public_2014-09-01", QuotaID: "PayAsYouGo_2014-09-01", SpendingLimit: "Off",
		},
		Tags: tags,
	}, nil
}

// listSubscriptions shows the caller those in which it holds a role, be it on a single resource.
func (rt *Router) listSubscriptions(ctx context.Context, c *Call) (Response, error) {
	var out []subscriptionBody
	for _, s := range rt.opt.Guard.Subscriptions() {
		if rt.opt.Guard.Sees(c.Principal, "/subscriptions/"+string(s.ID)) {
			b, err := rt.subscription(ctx, s)
			if err != nil {
				return Response{}, err
			}
			out = append(out, b)
		}
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func (rt *Router) getSubscription(ctx context.Context, c *Call) (Response, error) {
	id, err := tintype.ParseSubscriptionID(c.ID.Subscription)
	if err != nil {
		return Response{}, err
	}
	for _, s := range rt.opt.Guard.Subscriptions() {
		if s.ID == id {
			b, err := rt.subscription(ctx, s)
			return JSON(http.StatusOK, b), err
		}
	}
	return Response{}, errSubscriptionNotFound(c.ID.Subscription)
}

// zoneMappingsSince is the first api-version of locations that shows zones.
const zoneMappingsSince = "2022-12-01"

func (rt *Router) listLocations(_ context.Context, c *Call) (Response, error) {
	var out []locationBody
	for _, r := range tintype.Regions() {
		l := locationBody{
			ID:   "/subscriptions/" + c.ID.Subscription + "/locations/" + r.Name,
			Name: r.Name, Type: "Region", DisplayName: r.DisplayName, RegionalDisplayName: r.DisplayName,
			Metadata: locationDetails{RegionType: "Physical", RegionCategory: "Other"},
		}
		if r.Zones {
			l.Metadata.RegionCategory = "Recommended"
		}
		if r.Zones && c.APIVersion >= zoneMappingsSince {
			for _, z := range zones() {
				l.Zones = append(l.Zones, zoneMapping{LogicalZone: z, PhysicalZone: r.Name + "-az" + z})
			}
		}
		out = append(out, l)
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

// zones are those of every region that has any.
func zones() []string { return []string{"1", "2", "3"} }
