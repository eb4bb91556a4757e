package arm

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"tintype"
)

type providerBody struct {
	ID                 string         `json:"id"`
	Namespace          string         `json:"namespace"`
	RegistrationPolicy string         `json:"registrationPolicy"`
	RegistrationState  string         `json:"registrationState"`
	ResourceTypes      []resourceType `json:"resourceTypes"`
}

type resourceType struct {
	ResourceType string        `json:"resourceType"`
	Locations    []string      `json:"locations"`
	APIVersions  []string      `json:"apiVersions"`
	ZoneMappings []regionZones `json:"zoneMappings,omitempty"`
	Capabilities string        `json:"capabilities"`
}

type regionZones struct {
	Location string   `json:"location"`
	Zones    []string `json:"zones"`
}

// providers are made from the table: what is said to be served is what is served.
func (rt *Router) providers(subscription string) []providerBody {
	var out []providerBody
	for i := range rt.types {
		t := &rt.types[i]
		at := slices.IndexFunc(out, func(p providerBody) bool { return p.Namespace == t.Namespace })
		if at < 0 {
			p := providerBody{
				ID: "/providers/" + t.Namespace, Namespace: t.Namespace,
				RegistrationPolicy: "RegistrationRequired", RegistrationState: "Registered",
			}
			if !rt.registered(subscription, t.Namespace) {
				p.RegistrationState = "Unregistered"
			}
			if subscription != "" {
				p.ID = "/subscriptions/" + subscription + p.ID
			}
			if isRegistrationFree(t.Namespace) {
				p.RegistrationPolicy = "RegistrationFree"
			}
			at, out = len(out), append(out, p)
		}
		out[at].ResourceTypes = append(out[at].ResourceTypes, describeType(t))
	}
	slices.SortFunc(out, func(a, b providerBody) int { return strings.Compare(a.Namespace, b.Namespace) })
	return out
}

func describeType(t *Type) resourceType {
	versions := slices.Clone(t.Versions)
	slices.Reverse(versions)
	d := resourceType{ResourceType: t.Name, Locations: []string{}, APIVersions: versions, Capabilities: "None"}
	if t.Global {
		return d
	}
	d.Capabilities = "SupportsTags, SupportsLocation"
	for _, r := range tintype.Regions() {
		d.Locations = append(d.Locations, r.DisplayName)
		if t.Zoned && r.Zones {
			d.ZoneMappings = append(d.ZoneMappings, regionZones{Location: r.DisplayName, Zones: zones()})
		}
	}
	return d
}

func (rt *Router) listProviders(_ context.Context, c *Call) (Response, error) {
	return JSON(http.StatusOK, ListOf(rt.providers(c.ID.Subscription))), nil
}

func (rt *Router) getProvider(_ context.Context, c *Call) (Response, error) {
	for _, p := range rt.providers(c.ID.Subscription) {
		if strings.EqualFold(p.Namespace, c.Param("namespace")) {
			return JSON(http.StatusOK, p), nil
		}
	}
	return Response{}, errNamespace(c.Param("namespace"))
}
