package deploy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/catalog"
	"tintype/internal/identity"
	"tintype/internal/template"
)

// state is a deployment's provisioningState.
type state string

const (
	accepted  state = "Accepted"
	running   state = "Running"
	succeeded state = "Succeeded"
	failed    state = "Failed"
	canceled  state = "Canceled"
)

func (s state) ended() bool { return s == succeeded || s == failed || s == canceled }

// place is where a deployment is made.
type place struct {
	Subscription tintype.SubscriptionID
	Group        string // "" at a subscription
}

// scope is the id of the place.
func (p place) scope() string {
	if p.Group == "" {
		return "/subscriptions/" + string(p.Subscription)
	}
	return "/subscriptions/" + string(p.Subscription) + "/resourceGroups/" + p.Group
}

func (p place) groupKey() string {
	if p.Group == "" {
		return ""
	}
	return tintype.GroupKey(p.Subscription, p.Group)
}

// record is a deployment. Its JSON is what the catalog keeps of it beside the template: fields are only ever added.
type record struct {
	place
	Name        string                    `json:"name"`
	Location    string                    `json:"location,omitempty"` // of one to a subscription
	Tags        map[string]string         `json:"tags,omitempty"`
	Mode        string                    `json:"mode"`
	State       state                     `json:"state"`
	Correlation string                    `json:"correlation"`
	Operation   string                    `json:"operation"` // by which clients poll it
	Began       time.Time                 `json:"began"`
	Changed     time.Time                 `json:"changed"`
	Caller      identity.Principal        `json:"caller"`
	BaseURL     string                    `json:"baseUrl"`
	Hash        string                    `json:"hash"`
	Parameters  map[string]template.Value `json:"parameters"` // secure ones without values once it has ended
	Outputs     map[string]template.Value `json:"outputs,omitempty"`
	Error       *arm.Detail               `json:"error,omitempty"`
	Resources   []resource                `json:"resources,omitempty"`
	Made        []string                  `json:"made,omitempty"` // ids
}

// resource is one that the template makes, and what it waits for.
type resource struct {
	ID    string   `json:"id"`
	Type  string   `json:"type"`
	Name  string   `json:"name"`
	Needs []string `json:"needs,omitempty"` // ids

	Location string `json:"location,omitempty"` // of what has one
}

func (r *record) id() string {
	return r.scope() + "/providers/Microsoft.Resources/deployments/" + r.Name
}

func (r *record) key() string { return strings.ToLower(r.id()) }

// row is the record as the catalog has it. A template of nil leaves the one that is there.
func (r *record) row(text []byte) (catalog.Deployment, error) {
	doc, err := json.Marshal(r)
	return catalog.Deployment{
		Key: r.key(), Subscription: r.Subscription, Group: r.groupKey(), Running: !r.State.ended(), Changed: r.Changed,
		Document: doc, Template: text,
	}, err
}

func fromRow(d catalog.Deployment) (*record, error) {
	var r record
	if err := json.Unmarshal(d.Document, &r); err != nil {
		return nil, fmt.Errorf("catalog holds a bad deployment: %w", err)
	}
	for name, v := range r.Parameters { // numbers as the language has them
		b, err := json.Marshal(v.Value)
		if err != nil {
			return nil, err
		}
		if v.Value, err = template.Decode(b); err != nil {
			return nil, err
		}
		r.Parameters[name] = v
	}
	return &r, nil
}

// given are the record's parameters as a template takes them.
func (r *record) given() map[string]any {
	out := make(map[string]any, len(r.Parameters))
	for name, v := range r.Parameters {
		out[name] = map[string]any{"value": v.Value}
	}
	return out
}

// forgetSecrets drops the values that must not be kept longer than they are needed.
func (r *record) forgetSecrets() {
	for name, v := range r.Parameters {
		if template.Secure(v.Type) {
			r.Parameters[name] = template.Value{Type: v.Type}
		}
	}
}

// operation is what was done for one resource. Its JSON is what the catalog keeps.
type operation struct {
	ID      string    `json:"id"`
	Action  string    `json:"action"` // Create, Delete or EvaluateDeploymentOutput
	State   state     `json:"state"`
	Began   time.Time `json:"began"`
	Changed time.Time `json:"changed"`
	Status  string    `json:"status,omitempty"` // of HTTP, by name
	Target  *resource `json:"target,omitempty"`
	Message any       `json:"message,omitempty"` // an error's body
}
