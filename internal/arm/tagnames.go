package arm

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"tintype"
)

// Tags is what the handlers of a subscription's tags, and of the names that it offers, ask of the domain; *compute.Service is the real one.
type Tags interface {
	OfferedTags(ctx context.Context, sub tintype.SubscriptionID) ([]tintype.TagName, error)
	OfferTag(ctx context.Context, sub tintype.SubscriptionID, name string) (created bool, err error)
	OfferTagValue(ctx context.Context, sub tintype.SubscriptionID, name, value string) (created bool, err error)
	WithdrawTag(ctx context.Context, sub tintype.SubscriptionID, name string) (ok bool, err error)
	WithdrawTagValue(ctx context.Context, sub tintype.SubscriptionID, name, value string) (ok bool, err error)
	SubscriptionTags(ctx context.Context, sub tintype.SubscriptionID) (map[string]string, error)
	SetSubscriptionTags(ctx context.Context, sub tintype.SubscriptionID, tags map[string]string) error
}

// tagNameTypes are the rows of the names of tags that a subscription has or offers.
func (rt *Router) tagNameTypes() []Type {
	const all = "/subscriptions/{subscription}/tagNames"
	const one = all + "/{tag}"
	const value = one + "/tagValues/{value}"
	const on = "Microsoft.Resources/subscriptions/tagNames"
	names := Type{Name: "tagNames", Global: true, Permission: on, Operations: []Operation{
		{Method: http.MethodGet, Path: all, Do: rt.listTagNames},
	}}
	if rt.opt.Tags == nil {
		return []Type{names}
	}
	names.Operations = append(names.Operations,
		Operation{Method: http.MethodPut, Path: one, Do: rt.putTagName},
		Operation{Method: http.MethodDelete, Path: one, Do: rt.deleteTagName})
	return []Type{names, {Name: "tagNames/tagValues", Global: true, Permission: on + "/tagValues", Operations: []Operation{
		{Method: http.MethodPut, Path: value, Do: rt.putTagValue},
		{Method: http.MethodDelete, Path: value, Do: rt.deleteTagValue},
	}}}
}

type tagNameBody struct {
	ID     string         `json:"id"`
	Name   string         `json:"tagName"`
	Count  tagCount       `json:"count"`
	Values []tagValueBody `json:"values"`
}

type tagValueBody struct {
	ID    string   `json:"id"`
	Value string   `json:"tagValue"`
	Count tagCount `json:"count"`
}

type tagCount struct {
	Type  string `json:"type"`
	Value int    `json:"value"`
}

// knownTag is a name with how often each of its values is there; a value that is only offered counts 0.
type knownTag struct {
	name    string
	offered bool
	values  map[string]int
}

func (k *knownTag) count() (n int) {
	for _, of := range k.values {
		n += of
	}
	return n
}

func (k *knownTag) toWire(sub string) tagNameBody {
	b := tagNameBody{
		ID: "/subscriptions/" + sub + "/tagNames/" + k.name, Name: k.name, Count: tagCount{Type: "Total", Value: k.count()},
		Values: []tagValueBody{},
	}
	for _, v := range slices.Sorted(maps.Keys(k.values)) {
		b.Values = append(b.Values, k.valueToWire(sub, v))
	}
	return b
}

func (k *knownTag) valueToWire(sub, value string) tagValueBody {
	return tagValueBody{
		ID: "/subscriptions/" + sub + "/tagNames/" + k.name + "/tagValues/" + value, Value: value,
		Count: tagCount{Type: "Total", Value: k.values[value]},
	}
}

// knownTags finds the tags that groups and resources of the subscription have, and those that it offers, by their names in lower case.
func (rt *Router) knownTags(ctx context.Context, c *Call) (map[string]*knownTag, error) {
	known := map[string]*knownTag{}
	named := func(name string) *knownTag {
		key := strings.ToLower(name)
		if known[key] == nil {
			known[key] = &knownTag{name: name, values: map[string]int{}}
		}
		return known[key]
	}
	if rt.opt.Tags != nil {
		offered, err := rt.opt.Tags.OfferedTags(ctx, c.subscription())
		if err != nil {
			return nil, err
		}
		for _, n := range offered {
			k := named(n.Name)
			k.offered = true
			for _, v := range n.Values {
				k.values[v] = 0
			}
		}
	}
	count := func(tags map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(tags)) {
			named(name).values[tags[name]]++
		}
	}
	groups, err := rt.opt.Groups.ListGroups(ctx, c.subscription())
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		count(g.Tags)
	}
	all := func(facts) bool { return true }
	for at := ""; ; {
		var page []resourceBody
		if page, at, err = rt.collect(ctx, c, all, maxTop, at); err != nil {
			return nil, err
		}
		for _, r := range page {
			count(r.Tags)
		}
		if at == "" {
			return known, nil
		}
	}
}

// listTagNames lists the tags that the subscription offers, and that groups and resources of it have, with how often.
func (rt *Router) listTagNames(ctx context.Context, c *Call) (Response, error) {
	known, err := rt.knownTags(ctx, c)
	if err != nil {
		return Response{}, err
	}
	out := []tagNameBody{}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		out = append(out, known[key].toWire(c.ID.Subscription))
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func created(is bool) int {
	if is {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (rt *Router) putTagName(ctx context.Context, c *Call) (Response, error) {
	name := c.Param("tag")
	is, err := rt.opt.Tags.OfferTag(ctx, c.subscription(), name)
	if err != nil {
		return Response{}, err
	}
	known, err := rt.knownTags(ctx, c)
	if err != nil || known[strings.ToLower(name)] == nil {
		return Response{}, err
	}
	return JSON(created(is), known[strings.ToLower(name)].toWire(c.ID.Subscription)), nil
}

// putTagValue offers a value of a name that is known.
func (rt *Router) putTagValue(ctx context.Context, c *Call) (Response, error) {
	known, err := rt.knownTags(ctx, c)
	if err != nil {
		return Response{}, err
	}
	k := known[strings.ToLower(c.Param("tag"))]
	if k == nil {
		return Response{}, gateway(http.StatusNotFound, "TagNameNotFound", "The tag name '%s' could not be found.", clip(c.Param("tag")))
	}
	is, err := rt.opt.Tags.OfferTagValue(ctx, c.subscription(), k.name, c.Param("value"))
	if err != nil {
		return Response{}, err
	}
	return JSON(created(is), k.valueToWire(c.ID.Subscription, c.Param("value"))), nil
}

// deleteTagName takes back a name that nothing has.
func (rt *Router) deleteTagName(ctx context.Context, c *Call) (Response, error) {
	known, err := rt.knownTags(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if k := known[strings.ToLower(c.Param("tag"))]; k != nil && k.count() > 0 {
		return Response{}, gateway(http.StatusConflict, "TagNameInUse",
			"The tag name '%s' cannot be deleted: it is in use on %d resources.", k.name, k.count())
	}
	return deleted(rt.opt.Tags.WithdrawTag(ctx, c.subscription(), c.Param("tag")))
}

// deleteTagValue takes back a value that nothing has.
func (rt *Router) deleteTagValue(ctx context.Context, c *Call) (Response, error) {
	known, err := rt.knownTags(ctx, c)
	if err != nil {
		return Response{}, err
	}
	value := c.Param("value")
	if k := known[strings.ToLower(c.Param("tag"))]; k != nil && k.values[value] > 0 {
		return Response{}, gateway(http.StatusConflict, "TagValueInUse",
			"The value '%s' of the tag '%s' cannot be deleted: it is in use on %d resources.", clip(value), k.name, k.values[value])
	}
	return deleted(rt.opt.Tags.WithdrawTagValue(ctx, c.subscription(), c.Param("tag"), value))
}
