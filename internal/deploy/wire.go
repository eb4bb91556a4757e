package deploy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tintype/internal/arm"
	"tintype/internal/template"
)

type deploymentBody struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Type       string               `json:"type"`
	Location   string               `json:"location,omitempty"`
	Tags       map[string]string    `json:"tags,omitempty"`
	Properties deploymentProperties `json:"properties"`
}

type deploymentProperties struct {
	TemplateHash string               `json:"templateHash"`
	Parameters   map[string]valueBody `json:"parameters"`
	Mode         string               `json:"mode"`
	State        state                `json:"provisioningState"`
	Timestamp    string               `json:"timestamp"`
	Duration     string               `json:"duration"`
	Correlation  string               `json:"correlationId"`
	Providers    []providerBody       `json:"providers"`
	Dependencies []dependencyBody     `json:"dependencies"`
	Outputs      map[string]valueBody `json:"outputs,omitempty"`
	Made         []idBody             `json:"outputResources,omitempty"`
	Validated    []idBody             `json:"validatedResources,omitempty"`
	Error        *arm.Detail          `json:"error,omitempty"`
}

type valueBody struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value,omitempty"`
}

type idBody struct {
	ID string `json:"id"`
}

type providerBody struct {
	Namespace string         `json:"namespace"`
	Types     []providerType `json:"resourceTypes"`
}

type providerType struct {
	Type      string    `json:"resourceType"`
	Locations []*string `json:"locations"`
}

type resourceBody struct {
	ID   string `json:"id"`
	Type string `json:"resourceType"`
	Name string `json:"resourceName"`
}

type dependencyBody struct {
	DependsOn []resourceBody `json:"dependsOn"`
	resourceBody
}

func toWire(r *record) deploymentBody {
	b := deploymentBody{
		ID: r.id(), Name: r.Name, Type: deployments, Location: r.Location, Tags: r.Tags,
		Properties: deploymentProperties{
			TemplateHash: r.Hash, Parameters: valuesToWire(r.Parameters), Mode: r.Mode, State: r.State, Timestamp: formatTime(r.Changed),
			Duration: duration(r.Changed.Sub(r.Began)), Correlation: r.Correlation, Providers: providersOf(r.Resources),
			Dependencies: []dependencyBody{}, Error: r.Error,
		},
	}
	if b.Properties.Parameters == nil {
		b.Properties.Parameters = map[string]valueBody{}
	}
	if r.State == succeeded {
		b.Properties.Outputs = valuesToWire(r.Outputs)
	}
	if r.State.ended() {
		for _, id := range slices.Sorted(slices.Values(r.Made)) {
			b.Properties.Made = append(b.Properties.Made, idBody{id})
		}
	}
	b.Properties.Dependencies = dependenciesOf(r.Resources)
	return b
}

func dependenciesOf(all []resource) []dependencyBody {
	out := []dependencyBody{}
	known := map[string]resource{}
	for _, r := range all {
		known[r.ID] = r
	}
	for _, r := range all {
		if len(r.Needs) == 0 {
			continue
		}
		d := dependencyBody{resourceBody: resourceBody{r.ID, r.Type, r.Name}}
		for _, id := range r.Needs {
			d.DependsOn = append(d.DependsOn, resourceBody{id, known[id].Type, known[id].Name})
		}
		out = append(out, d)
	}
	return out
}

func providersOf(all []resource) []providerBody {
	out := []providerBody{}
	for _, r := range all {
		namespace, typ, _ := strings.Cut(r.Type, "/")
		at := slices.IndexFunc(out, func(p providerBody) bool { return strings.EqualFold(p.Namespace, namespace) })
		if at < 0 {
			at, out = len(out), append(out, providerBody{Namespace: namespace})
		}
		types := &out[at].Types
		in := slices.IndexFunc(*types, func(t providerType) bool { return strings.EqualFold(t.Type, typ) })
		if in < 0 {
			in, *types = len(*types), append(*types, providerType{Type: typ})
		}
		(*types)[in].add(r.Location)
	}
	return out
}

// add notes a location, as Azure writes its name, once; nil stands for having none.
func (t *providerType) add(location string) {
	var known *string
	if location != "" {
		name := strings.ToLower(strings.ReplaceAll(location, " ", ""))
		known = &name
	}
	if !slices.ContainsFunc(t.Locations, func(l *string) bool { return l == known || l != nil && known != nil && *l == *known }) {
		t.Locations = append(t.Locations, known)
	}
}

// valuesToWire shows values by the names of their types as Azure writes them; secure ones only by those.
func valuesToWire(all map[string]template.Value) map[string]valueBody {
	if all == nil {
		return nil
	}
	out := make(map[string]valueBody, len(all))
	for name, v := range all {
		b := valueBody{Type: typeWord(v.Type)}
		if !template.Secure(v.Type) {
			if text, err := template.Encode(v.Value); err == nil {
				b.Value = text
			}
		}
		out[name] = b
	}
	return out
}

func typeWord(typ string) string {
	for _, word := range []string{"String", "SecureString", "Int", "Bool", "Array", "Object", "SecureObject"} {
		if strings.EqualFold(word, typ) {
			return word
		}
	}
	return typ
}

type operationBody struct {
	ID         string              `json:"id"`
	Operation  string              `json:"operationId"`
	Properties operationProperties `json:"properties"`
}

type operationProperties struct {
	Action    string        `json:"provisioningOperation"`
	State     state         `json:"provisioningState"`
	Timestamp string        `json:"timestamp"`
	Duration  string        `json:"duration"`
	Tracking  string        `json:"trackingId"`
	Status    string        `json:"statusCode,omitempty"`
	Message   any           `json:"statusMessage,omitempty"`
	Target    *resourceBody `json:"targetResource,omitempty"`
}

func (o operation) toWire(r *record) operationBody {
	b := operationBody{
		ID: r.id() + "/operations/" + o.ID, Operation: o.ID,
		Properties: operationProperties{
			Action: o.Action, State: o.State, Timestamp: formatTime(o.Changed), Duration: duration(o.Changed.Sub(o.Began)),
			Tracking: r.Correlation, Status: o.Status, Message: o.Message,
		},
	}
	if t := o.Target; t != nil {
		b.Properties.Target = &resourceBody{t.ID, t.Type, t.Name}
	}
	return b
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// duration is an ISO 8601 duration in seconds, as Azure writes short ones.
func duration(d time.Duration) string {
	return "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}

func rawJSON(text []byte) json.RawMessage { return json.RawMessage(text) }

func compact(text []byte) (string, error) {
	var b bytes.Buffer
	err := json.Compact(&b, text)
	return b.String(), err
}
