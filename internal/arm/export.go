package arm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type exportRequest struct {
	Resources []string `json:"resources"`
	Options   string   `json:"options"`
}

// exportSchema is the schema of a template that is made here.
const exportSchema = "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#"

// exportGroup writes a template that makes what is in the group. What the caller may not read, and what can't be written as
// a template, is named in the error beside it.
func (rt *Router) exportGroup(ctx context.Context, c *Call) (Response, error) {
	var req exportRequest
	if err := c.Decode(&req); err != nil {
		return Response{}, err
	}
	if _, err := rt.opt.Groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
		return Response{}, err
	}
	if len(req.Resources) == 0 {
		return Response{}, gateway(http.StatusBadRequest, "ExportTemplateMissingResources", "The property 'resources' must name resources, or all with '*'.")
	}
	want := map[string]bool{}
	for _, id := range req.Resources {
		want[strings.ToLower(id)] = true
	}
	keep := func(facts) bool { return true }
	var all []resourceBody
	for at := ""; ; {
		page, next, err := rt.collect(ctx, c, keep, maxTop, at)
		if err != nil {
			return Response{}, err
		}
		all = append(all, page...)
		if at = next; at == "" {
			break
		}
	}
	options := strings.ToLower(req.Options)
	x := exporter{
		rt: rt, c: c, parameters: map[string]any{},
		literal: strings.Contains(options, "skipallparameterization") || strings.Contains(options, "skipresourcenameparameterization"),
		ids:     map[string]string{},
	}
	var chosen []resourceBody
	for _, r := range all {
		if want["*"] || want[strings.ToLower(r.ID)] {
			chosen = append(chosen, r)
			x.ids[strings.ToLower(r.ID)] = x.idExpression(r)
		}
	}
	resources := []any{}
	for _, r := range chosen {
		if t := x.resource(ctx, r); t != nil {
			resources = append(resources, t)
		}
	}
	body := map[string]any{"template": map[string]any{
		"$schema": exportSchema, "contentVersion": "1.0.0.0", "parameters": x.parameters, "variables": map[string]any{}, "resources": resources,
	}}
	if len(x.failed) > 0 {
		body["error"] = Detail{Code: "ExportTemplateCompletedWithErrors", Message: "Export template operation completed with errors. Some resources were not exported. Please see details for more information.", Details: x.failed}
	}
	return JSON(http.StatusOK, body), nil
}

// exporter turns resources into those of a template.
type exporter struct {
	rt         *Router
	c          *Call
	literal    bool // names stay as they are
	parameters map[string]any
	ids        map[string]string // expressions for the ids of what is exported, by lower case
	failed     []Detail
}

// parameter is the name of the parameter that holds a resource's name.
func parameterOf(r resourceBody) string {
	_, typ, _ := strings.Cut(r.Type, "/")
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, typ+"_"+r.Name) + "_name"
}

func (x *exporter) nameExpression(r resourceBody) string {
	if x.literal {
		return "'" + strings.ReplaceAll(r.Name, "'", "''") + "'"
	}
	x.parameters[parameterOf(r)] = map[string]any{"type": "String", "defaultValue": r.Name}
	return "parameters('" + parameterOf(r) + "')"
}

func (x *exporter) idExpression(r resourceBody) string {
	return fmt.Sprintf("[resourceId('%s', %s)]", r.Type, x.nameExpression(r))
}

// resource reads one as the caller may, and leaves out what only the server sets.
func (x *exporter) resource(ctx context.Context, r resourceBody) map[string]any {
	version := x.rt.Version(r.ID)
	rp := x.rt.Perform(ctx, x.c.Principal, http.MethodGet, (&url.URL{Path: r.ID}).EscapedPath()+"?api-version="+version, nil)
	var found map[string]any
	if rp.Status != http.StatusOK || json.Unmarshal(rp.Body, &found) != nil {
		x.failed = append(x.failed, Detail{Code: "ExportTemplateProviderError", Target: r.ID, Message: fmt.Sprintf("Could not get resource '%s' of type '%s'. The resource will not be exported.", r.Name, r.Type)})
		return nil
	}
	out := map[string]any{"type": r.Type, "apiVersion": version, "name": r.Name}
	if !x.literal {
		out["name"] = "[" + x.nameExpression(r) + "]"
	}
	needs := map[string]bool{}
	for k, v := range found {
		switch k {
		case "id", "name", "type", "managedBy", "managedByExtended", "etag", "systemData":
			continue
		case "sku":
			if m, ok := v.(map[string]any); ok {
				delete(m, "tier")
			}
		case "identity":
			if m, ok := v.(map[string]any); ok {
				delete(m, "principalId")
				delete(m, "tenantId")
			}
		case "properties":
			withoutRead(v)
		}
		out[k] = x.value(v, needs)
	}
	var on []any
	for need := range needs {
		if need != x.ids[strings.ToLower(r.ID)] {
			on = append(on, need)
		}
	}
	if len(on) > 0 {
		out["dependsOn"] = on
	}
	return out
}

// withoutRead removes properties that only the server sets.
func withoutRead(v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, k := range []string{
		"provisioningState", "timeCreated", "uniqueId", "diskState", "diskSizeBytes", "snapshotAccessState", "incrementalSnapshotFamilyId",
		"completionPercent", "copyCompletionError", "immutabilityPolicy", "previousKeys", "lastKeyRotationTimestamp", "privateEndpointConnections", "shareInfo",
		"LastOwnershipUpdateTime", "propertyUpdatesInProgress", "burstingEnabledTime", "instanceView", "restorePointCollectionId",
	} {
		delete(m, k)
	}
	if creation, ok := m["creationData"].(map[string]any); ok {
		delete(creation, "sourceUniqueId")
	}
}

// value escapes what would be read as an expression, and writes ids of what is exported as expressions.
func (x *exporter) value(v any, needs map[string]bool) any {
	switch v := v.(type) {
	case string:
		if expression, ok := x.ids[strings.ToLower(v)]; ok {
			needs[expression] = true
			return expression
		}
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			return "[" + v
		}
	case []any:
		for i := range v {
			v[i] = x.value(v[i], needs)
		}
	case map[string]any:
		for k := range v {
			v[k] = x.value(v[k], needs)
		}
	}
	return v
}
