package arm

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tintype"
	"tintype/internal/identity"
	"tintype/internal/vault"
)

type resourceBody struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Type              string            `json:"type"`
	Location          string            `json:"location"`
	ManagedBy         string            `json:"managedBy,omitempty"`
	SKU               *skuBody          `json:"sku,omitempty"`
	Zones             []string          `json:"zones,omitempty"`
	Tags              map[string]string `json:"tags,omitempty"`
	CreatedTime       string            `json:"createdTime,omitempty"`
	ChangedTime       string            `json:"changedTime,omitempty"`
	ProvisioningState string            `json:"provisioningState,omitempty"`

	group string // when it is no resource that the domain names
	mark  string // its place in the list
}

type skuBody struct {
	Name string `json:"name"`
	Tier string `json:"tier,omitempty"`
}

// maxTop is also the size of a page when the caller asks for none.
const maxTop = 1000

func topOf(c *Call) (int, error) {
	s := c.Query.Get("$top")
	if s == "" {
		return maxTop, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, gateway(http.StatusBadRequest, "InvalidTopInQueryString",
			"Invalid $top '%s' specified in the query string.", clip(s))
	}
	return min(n, maxTop), nil
}

// listResources answers for a group or a subscription, a page at a time.
func (rt *Router) listResources(ctx context.Context, c *Call) (Response, error) {
	keep, err := parseFilter(c.Query.Get("$filter"))
	if err != nil {
		return Response{}, err
	}
	top, err := topOf(c)
	if err != nil {
		return Response{}, err
	}
	at, err := c.skipToken()
	if err != nil || at != "" && !strings.ContainsAny(at[:1], "/"+companionMark+otherMark) {
		return Response{}, gateway(http.StatusBadRequest, "InvalidSkipToken", "The $skiptoken in the query string is invalid.")
	}
	if c.ID.Group != "" {
		if _, err := rt.opt.Groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
			return Response{}, err
		}
	}
	found, at, err := rt.collect(ctx, c, keep, top, at)
	if err != nil {
		return Response{}, err
	}
	list := ListOf(found)
	list.NextLink = c.nextLink(at)
	return JSON(http.StatusOK, list), nil
}

// collect reads the domain's pages behind the mark until top resources are found, and gives the mark of the last of them; "" means that
// there is no more. A mark is a resource's own place, so that what comes and goes between two pages moves nothing else.
func (rt *Router) collect(ctx context.Context, c *Call, keep filter, top int, mark string) ([]resourceBody, string, error) {
	var out []resourceBody
	expand := strings.ToLower(c.Query.Get("$expand"))
	for at := mark; ; {
		page, next, err := rt.resourcePage(ctx, c, at)
		if err != nil {
			return nil, "", err
		}
		for _, r := range page {
			if !keep(factsOf(r, c.ID.Group)) {
				continue
			}
			if len(out) == top {
				return out, mark, nil
			}
			out, mark = append(out, r.expanded(expand)), r.mark
		}
		if next == "" {
			return out, "", nil
		}
		at = next
	}
}

// companionMark and otherMark begin the place of a list that has come to the companions, or to what comes last. No key begins with them.
const (
	companionMark = "+"
	otherMark     = "="
)

// resourcePage reads the domain's next page: first volumes, then their companions, and last all others.
func (rt *Router) resourcePage(ctx context.Context, c *Call, after string) (out []resourceBody, next string, err error) {
	if id, ok := strings.CutPrefix(after, otherMark); ok {
		return rt.othersBehind(c, id), "", nil
	}
	if key, ok := strings.CutPrefix(after, companionMark); ok {
		page, err := rt.opt.Groups.ListCompanions(ctx, c.subscription(), c.ID.Group, 0, key)
		for _, found := range page.Companions {
			b := companionToWire(found)
			b.mark = companionMark + found.ID.Key()
			out = append(out, b)
		}
		if next = otherMark; page.Next != "" {
			next = companionMark + page.Next
		}
		return out, next, err
	}
	page, err := rt.opt.Groups.List(ctx, c.subscription(), c.ID.Group, 0, after)
	for _, v := range page.Volumes {
		b := volumeToWire(v)
		b.mark = v.ID.Key()
		out = append(out, b)
	}
	if next = page.Next; next == "" {
		next = companionMark
	}
	return out, next, err
}

// othersBehind lists the key vaults and user-assigned identities whose ids, in lower case, come after the id: no others have a home of their
// own.
func (rt *Router) othersBehind(c *Call, id string) []resourceBody {
	var all []resourceBody
	if rt.opt.Vaults != nil {
		for _, v := range rt.opt.Vaults.List(c.subscription(), c.ID.Group, false) {
			all = append(all, resourceBody{
				ID: v.ID.String(), Name: v.ID.Name, Type: vault.Type, Location: v.Location, Tags: v.Tags, group: v.ID.Group,
				CreatedTime: v.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(tintype.StateSucceeded),
			})
		}
	}
	if rt.opt.Identities != nil {
		for _, a := range rt.opt.Identities.ListAssigned(c.subscription(), c.ID.Group) {
			all = append(all, resourceBody{
				ID: a.ID(), Name: a.Name, Type: identity.AssignedType, Location: a.Location, Tags: a.Tags, group: a.Group,
				CreatedTime: a.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(tintype.StateSucceeded),
			})
		}
	}
	for i := range all {
		all[i].mark = otherMark + strings.ToLower(all[i].ID)
	}
	all = slices.DeleteFunc(all, func(r resourceBody) bool { return r.mark <= otherMark+id })
	slices.SortFunc(all, func(a, b resourceBody) int { return strings.Compare(a.mark, b.mark) })
	return all
}

func factsOf(r resourceBody, group string) facts {
	if group == "" {
		group = r.group
		if id, ok := tintype.ParseResourceID(r.ID); ok {
			group = id.Group
		}
	}
	return facts{name: r.Name, group: group, location: r.Location, resourceType: r.Type, tags: r.Tags}
}

// volumeToWire shows all that $expand can ask for; expanded leaves out what it does not.
func volumeToWire(v tintype.Volume) resourceBody {
	_, by := v.Shown()
	b := resourceBody{
		ID: v.ID.String(), Name: v.ID.Name, Type: v.ID.Kind.Type(), Location: v.Location, ManagedBy: by,
		Zones: v.Zones, Tags: v.Tags,
		CreatedTime: v.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(v.Provisioning),
	}
	if v.SKU != "" {
		b.SKU = &skuBody{Name: string(v.SKU), Tier: v.SKU.Tier()}
	}
	return b
}

func companionToWire(c tintype.Companion) resourceBody {
	return resourceBody{
		ID: c.ID.String(), Name: c.ID.Name, Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags,
		CreatedTime: c.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(tintype.StateSucceeded),
	}
}

func (b resourceBody) expanded(expand string) resourceBody {
	if !strings.Contains(expand, "createdtime") {
		b.CreatedTime = ""
	}
	if !strings.Contains(expand, "provisioningstate") {
		b.ProvisioningState = ""
	}
	return b
}
