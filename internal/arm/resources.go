package arm

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
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
	at, err := parseSkipToken(c.Query.Get("$skiptoken"))
	if err != nil {
		return Response{}, err
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
	if at != (position{}) {
		q := url.Values{}
		for k, v := range c.Query {
			q[k] = v
		}
		q.Set("$skiptoken", at.token())
		list.NextLink = c.BaseURL + (&url.URL{Path: c.Path}).EscapedPath() + "?" + q.Encode()
	}
	return JSON(http.StatusOK, list), nil
}

// collect reads the domain's pages from at until top resources are found, and says where to go on; the zero position
// means that there is no more.
func (rt *Router) collect(ctx context.Context, c *Call, keep filter, top int, at position) ([]resourceBody, position, error) {
	var out []resourceBody
	expand := strings.ToLower(c.Query.Get("$expand"))
	for {
		page, next, err := rt.resourcePage(ctx, c, at.after)
		if err != nil {
			return nil, position{}, err
		}
		for i, r := range page[min(at.skip, len(page)):] {
			if len(out) == top {
				return out, position{after: at.after, skip: at.skip + i}, nil
			}
			if keep(factsOf(r, c.ID.Group)) {
				out = append(out, r.expanded(expand))
			}
		}
		if next == "" {
			return out, position{}, nil
		}
		at = position{after: next}
	}
}

// companionMark begins the place of a list that has come to the companions. No key begins with it.
const companionMark = "+"

// resourcePage reads the domain's next page: first volumes, then their companions, and with the last of these all others.
func (rt *Router) resourcePage(ctx context.Context, c *Call, after string) (out []resourceBody, next string, err error) {
	if key, ok := strings.CutPrefix(after, companionMark); ok {
		page, err := rt.opt.Groups.ListCompanions(ctx, c.subscription(), c.ID.Group, 0, key)
		for _, found := range page.Companions {
			out = append(out, companionToWire(found))
		}
		if page.Next != "" {
			next = companionMark + page.Next
		} else {
			out = append(out, rt.otherResources(c)...)
		}
		return out, next, err
	}
	page, err := rt.opt.Groups.List(ctx, c.subscription(), c.ID.Group, 0, after)
	for _, v := range page.Volumes {
		out = append(out, volumeToWire(v))
	}
	if next = page.Next; next == "" {
		next = companionMark
	}
	return out, next, err
}

// otherResources are the key vaults and user-assigned identities: no others have a home of their own.
func (rt *Router) otherResources(c *Call) (out []resourceBody) {
	if rt.opt.Vaults != nil {
		for _, v := range rt.opt.Vaults.List(c.subscription(), c.ID.Group, false) {
			out = append(out, resourceBody{
				ID: v.ID.String(), Name: v.ID.Name, Type: vault.Type, Location: v.Location, Tags: v.Tags, group: v.ID.Group,
				CreatedTime: v.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(tintype.StateSucceeded),
			})
		}
	}
	if rt.opt.Identities != nil {
		for _, a := range rt.opt.Identities.ListAssigned(c.subscription(), c.ID.Group) {
			out = append(out, resourceBody{
				ID: a.ID(), Name: a.Name, Type: identity.AssignedType, Location: a.Location, Tags: a.Tags, group: a.Group,
				CreatedTime: a.Created.UTC().Format(time.RFC3339Nano), ProvisioningState: string(tintype.StateSucceeded),
			})
		}
	}
	return out
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
	b := resourceBody{
		ID: v.ID.String(), Name: v.ID.Name, Type: v.ID.Kind.Type(), Location: v.Location, ManagedBy: v.HeldBy,
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

// position is where a list goes on: after is the domain's own mark, skip counts into the page that follows it.
type position struct {
	after string
	skip  int
}

func (p position) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(p.skip) + ":" + p.after))
}

// maxSkipToken bounds a token from outside; a mark is an id at most.
const maxSkipToken = 4096

func parseSkipToken(s string) (position, error) {
	if s == "" {
		return position{}, nil
	}
	bad := gateway(http.StatusBadRequest, "InvalidSkipToken", "The $skiptoken in the query string is invalid.")
	if len(s) > maxSkipToken {
		return position{}, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return position{}, bad
	}
	count, after, ok := strings.Cut(string(b), ":")
	skip, err := strconv.Atoi(count)
	if !ok || err != nil || skip < 0 || fmt.Sprint(skip) != count {
		return position{}, bad
	}
	return position{after: after, skip: skip}, nil
}
