package arm

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/compute"
)

const resourcesNamespace = "Microsoft.Resources"

// Groups is what the handlers of resource groups and of resources of any type ask of the domain; *compute.Service is
// the real one.
type Groups interface {
	PutGroup(ctx context.Context, g tintype.Group) (out tintype.Group, created bool, err error)
	PatchGroup(ctx context.Context, sub tintype.SubscriptionID, name string, change tintype.GroupPatch) (tintype.Group, error)
	GetGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Group, error)
	ListGroups(ctx context.Context, sub tintype.SubscriptionID) ([]tintype.Group, error)
	DeleteGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Accepted, error)
	Operation(ctx context.Context, sub tintype.SubscriptionID, id uuid.UUID) (tintype.Operation, error)
	List(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (compute.Page, error)
	ListCompanions(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (compute.CompanionPage, error)
}

// ResourcesVersions are those of Microsoft.Resources that clients in use send, oldest first.
func ResourcesVersions() []string {
	return []string{
		"2014-04-01", "2015-01-01", "2015-11-01", "2016-02-01", "2016-06-01", "2016-07-01", "2016-09-01", "2017-05-10",
		"2018-02-01", "2018-05-01", "2018-06-01", "2018-08-01", "2019-03-01", "2019-05-01", "2019-05-10", "2019-06-01", "2019-07-01", "2019-08-01", "2019-10-01",
		"2019-11-01", "2020-01-01", "2020-06-01", "2020-08-01", "2020-10-01", "2021-01-01", "2021-04-01", "2022-01-01",
		"2022-09-01", "2022-12-01", "2023-07-01", "2024-03-01", "2024-07-01", "2024-11-01", "2025-03-01", "2025-04-01",
	}
}

// ownTypes are the types that ARM itself serves.
func (rt *Router) ownTypes() []Type {
	const sub = "/subscriptions/{subscription}"
	const group = sub + "/resourceGroups/{group}"
	get := func(path string, do Handler) Operation { return Operation{Method: http.MethodGet, Path: path, Do: do} }
	seen := func(path string, do Handler) Operation {
		return Operation{Method: http.MethodGet, Path: path, Seen: true, Do: do}
	}
	moves := rt.moveOperations(group)
	types := []Type{
		{Name: "tenants", Global: true, Operations: []Operation{
			{Method: http.MethodGet, Path: "/tenants", Unscoped: true, Do: rt.listTenants},
		}},
		{Name: "subscriptions", Global: true, Operations: []Operation{
			{Method: http.MethodGet, Path: "/subscriptions", Unscoped: true, Do: rt.listSubscriptions},
			seen(sub, rt.getSubscription),
		}},
		{Name: "subscriptions/locations", Global: true, Operations: []Operation{seen(sub+"/locations", rt.listLocations)}},
		{Name: "subscriptions/providers", Global: true, Operations: []Operation{
			seen(sub+"/providers", rt.listProviders),
			seen(sub+"/providers/{namespace}", rt.getProvider),
			{Method: http.MethodPost, Path: sub + "/providers/{namespace}/register", Do: rt.register},
			{Method: http.MethodPost, Path: sub + "/providers/{namespace}/unregister", Do: rt.unregister},
		}},
		{Name: "providers", Global: true, Operations: []Operation{
			{Method: http.MethodGet, Path: "/providers", Unscoped: true, Do: rt.listProviders},
			{Method: http.MethodGet, Path: "/providers/{namespace}", Unscoped: true, Do: rt.getProvider},
		}},
		{Name: "resourceGroups", Permission: "Microsoft.Resources/subscriptions/resourceGroups", Operations: append(moves, []Operation{
			get(sub+"/resourceGroups", rt.listGroups),
			get(group, rt.getGroup),
			{Method: http.MethodHead, Path: group, Do: rt.headGroup},
			{Method: http.MethodPut, Path: group, Do: rt.putGroup},
			{Method: http.MethodPatch, Path: group, Do: rt.patchGroup},
			{Method: http.MethodDelete, Path: group, Do: rt.deleteGroup},
			{
				Method: http.MethodPost, Path: group + "/exportTemplate", Do: rt.exportGroup,
				Permission: "Microsoft.Resources/subscriptions/resourceGroups/exportTemplate/action",
			},
		}...)},
		{Name: "operationresults", Global: true, Permission: "Microsoft.Resources/subscriptions/operationresults", Operations: []Operation{
			// Who deleted a group may have had a role on that alone; the id is a secret that only they were told.
			seen(sub+"/operationresults/{operation}", rt.getOperationResult),
		}},
		{Name: "resources", Global: true, Permission: "Microsoft.Resources/subscriptions/resources", Operations: []Operation{
			get(sub+"/resources", rt.listResources),
			get(group+"/resources", rt.listResources),
		}},
		rt.tagsType(),
	}
	types = append(types, rt.tagNameTypes()...)
	for i := range types {
		types[i].Namespace = resourcesNamespace
		types[i].Versions = ResourcesVersions()
	}
	return types
}
