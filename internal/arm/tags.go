package arm

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"tintype"
)

type tagsBody struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Properties tagsProperties `json:"properties"`
}

type tagsProperties struct {
	Tags map[string]string `json:"tags"`
}

// tagsRequest is the body of PUT, which replaces all tags, and of PATCH.
type tagsRequest struct {
	Operation  string         `json:"operation"`
	Properties tagsProperties `json:"properties"`
}

// tagsMark follows the scope in the path of its tags.
const tagsMark = "/providers/Microsoft.Resources/tags/default"

// tagsType is the row of the tags of a subscription, group or resource, which a role may allow to change without the resource.
func (rt *Router) tagsType() Type {
	t := Type{Name: "tags", Global: true}
	const sub = "/subscriptions/{subscription}"
	const group = sub + "/resourceGroups/{group}"
	scopes := []string{group, group + "/providers/{provider}/{type}/{resource}"}
	if rt.opt.Tags != nil {
		scopes = append(scopes, sub)
	}
	for _, scope := range scopes {
		t.Operations = append(t.Operations,
			Operation{Method: http.MethodGet, Path: scope + tagsMark, Do: rt.getTags},
			Operation{Method: http.MethodPut, Path: scope + tagsMark, Do: rt.writeTags},
			Operation{Method: http.MethodPatch, Path: scope + tagsMark, Do: rt.writeTags},
			Operation{Method: http.MethodDelete, Path: scope + tagsMark, Do: rt.deleteTags})
	}
	return t
}

func (c *Call) tagsScope() string { return c.Path[:len(c.Path)-len(tagsMark)] }

// direct asks a resource's own handler for something that the caller's role on the tags allows.
func (rt *Router) direct(ctx context.Context, c *Call, method, path string, body []byte) (Response, error) {
	m, params, err := rt.find(method, splitPath(path), "")
	if err != nil {
		return Response{}, err
	}
	versions := m.versions()
	on := &Call{
		Method: method, APIVersion: versions[len(versions)-1], ID: m.id(params), Principal: c.Principal, Header: http.Header{}, BaseURL: c.BaseURL,
		Path: path, Body: body, RequestID: uuid.NewString(), params: params,
	}
	return m.op.Do(ctx, on)
}

// tagged reads the tags at the scope, and the id as it was written when it was made.
func (rt *Router) tagged(ctx context.Context, c *Call) (id string, tags map[string]string, err error) {
	if c.ID.Group == "" {
		tags, err = rt.opt.Tags.SubscriptionTags(ctx, c.subscription())
		return "/subscriptions/" + c.ID.Subscription, tags, err
	}
	rs, err := rt.direct(ctx, c, http.MethodGet, c.tagsScope(), nil)
	if err != nil {
		return "", nil, err
	}
	b, err := json.Marshal(rs.Body)
	if err != nil {
		return "", nil, err
	}
	var found struct {
		ID   string            `json:"id"`
		Tags map[string]string `json:"tags"`
	}
	return found.ID, found.Tags, json.Unmarshal(b, &found)
}

func tagsToWire(id string, tags map[string]string) tagsBody {
	if tags == nil {
		tags = map[string]string{}
	}
	return tagsBody{ID: id + tagsMark, Name: "default", Type: "Microsoft.Resources/tags", Properties: tagsProperties{tags}}
}

func (rt *Router) getTags(ctx context.Context, c *Call) (Response, error) {
	id, tags, err := rt.tagged(ctx, c)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, tagsToWire(id, tags)), nil
}

func (rt *Router) writeTags(ctx context.Context, c *Call) (Response, error) {
	var req tagsRequest
	if err := c.Decode(&req); err != nil {
		return Response{}, err
	}
	id, tags, err := rt.tagged(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if err := checkTagNames(req.Properties.Tags); err != nil {
		return Response{}, err
	}
	operation := strings.ToLower(req.Operation)
	if c.Method == http.MethodPut {
		operation = "replace"
	}
	switch operation {
	case "replace":
		tags = req.Properties.Tags
	case "merge":
		tags = maps.Clone(tags)
		if tags == nil {
			tags = map[string]string{}
		}
		for k, v := range req.Properties.Tags {
			tags[tagKey(tags, k)] = v
		}
	case "delete":
		tags = maps.Clone(tags)
		for k, v := range req.Properties.Tags {
			if k = tagKey(tags, k); v == "" || tags[k] == v {
				delete(tags, k)
			}
		}
	default:
		return Response{}, gateway(http.StatusBadRequest, "InvalidTagPatchOperation",
			"The operation '%s' is not valid. The supported operations are 'Merge', 'Replace' and 'Delete'.", clip(req.Operation))
	}
	if err := rt.setTags(ctx, c, tags); err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, tagsToWire(id, tags)), nil
}

// tagKey is the tag's name as it is written there, for names differ in more than case.
func tagKey(tags map[string]string, name string) string {
	for k := range tags {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

// setTags has the resource take the tags. They are there when it has accepted them.
func (rt *Router) setTags(ctx context.Context, c *Call, tags map[string]string) error {
	if tags == nil {
		tags = map[string]string{}
	}
	if err := tintype.CheckTags(tags); err != nil {
		return err
	}
	if c.ID.Group == "" {
		return rt.opt.Tags.SetSubscriptionTags(ctx, c.subscription(), tags)
	}
	body, err := json.Marshal(map[string]any{"tags": tags})
	if err != nil {
		return err
	}
	_, err = rt.direct(ctx, c, http.MethodPatch, c.tagsScope(), body)
	return err
}

func (rt *Router) deleteTags(ctx context.Context, c *Call) (Response, error) {
	if err := rt.setTags(ctx, c, nil); err != nil {
		return Response{}, err
	}
	return Empty(http.StatusOK), nil
}
