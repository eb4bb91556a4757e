package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/catalog"
	"tintype/internal/template"
)

// request is the body of PUT, validate and whatIf.
type request struct {
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Properties *struct {
		Mode           string          `json:"mode"`
		Template       json.RawMessage `json:"template"`
		TemplateLink   json.RawMessage `json:"templateLink"`
		Parameters     json.RawMessage `json:"parameters"`
		ParametersLink json.RawMessage `json:"parametersLink"`
		OnError        json.RawMessage `json:"onErrorDeployment"`
		WhatIf         struct {
			ResultFormat string `json:"resultFormat"`
		} `json:"whatIfSettings"`
	} `json:"properties"`
}

// wanted is a request that was found sound: a record that is not kept yet, its template, and what that makes.
type wanted struct {
	rec    *record
	text   []byte
	in     *template.Instance
	format string // of a what-if's result
}

func bad(code, format string, args ...any) *arm.Error {
	return &arm.Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...), Gateway: true}
}

func placeOf(c *arm.Call) (place, error) {
	sub, err := tintype.ParseSubscriptionID(c.ID.Subscription)
	return place{Subscription: sub, Group: c.ID.Group}, err
}

func isSet(raw json.RawMessage) bool { return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) }

// read checks a request and binds its template.
func (s *Service) read(ctx context.Context, c *arm.Call) (*wanted, error) {
	var req request
	if err := c.Decode(&req); err != nil {
		return nil, err
	}
	at, err := placeOf(c)
	if err != nil {
		return nil, err
	}
	if err := s.checkPlace(ctx, c, &at, req); err != nil {
		return nil, err
	}
	p := req.Properties
	if p == nil {
		return nil, bad("InvalidRequestContent", "The request content was invalid: the property 'properties' is missing.")
	}
	switch {
	case isSet(p.TemplateLink) || isSet(p.ParametersLink):
		return nil, bad("InvalidContentLink", "Unable to download deployment content: this server fetches no templates or parameters from links. Please send them in the request.")
	case isSet(p.OnError):
		return nil, bad("InvalidDeployment", "The property 'onErrorDeployment' is not supported.")
	case !isSet(p.Template):
		return nil, bad("InvalidTemplate", "Deployment template validation failed: 'The template is missing.'.")
	}
	mode := "Incremental"
	switch {
	case strings.EqualFold(p.Mode, "Complete") && at.Group != "":
		mode = "Complete"
	case p.Mode != "" && !strings.EqualFold(p.Mode, mode):
		return nil, bad("InvalidDeploymentMode", "The deployment mode '%.100s' is not supported at this scope. The supported modes are 'Incremental' and, in a resource group, 'Complete'.", p.Mode)
	}
	w := &wanted{text: p.Template, format: p.WhatIf.ResultFormat}
	now := s.now()
	w.rec = &record{
		place: at, Name: c.ID.Name, Location: req.Location, Tags: req.Tags, Mode: mode, State: accepted, Correlation: uuid.NewString(),
		Operation: uuid.NewString(), Began: now, Changed: now, Caller: c.Principal, BaseURL: c.BaseURL,
	}
	if w.rec.Hash, err = hashOf(p.Template); err != nil {
		return nil, err
	}
	given := map[string]any{}
	if isSet(p.Parameters) {
		v, err := template.Decode(p.Parameters)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, bad("InvalidTemplate", "Deployment template validation failed: 'The parameters are not a valid JSON object.'.")
		}
		given = m
	}
	if w.in, err = s.bind(w.rec, w.text, given); err != nil {
		return nil, templateError(err)
	}
	w.rec.Parameters = w.in.Parameters()
	w.rec.Resources = describe(w.in)
	return w, nil
}

// describe lists what the template makes.
func describe(in *template.Instance) []resource {
	var out []resource
	for _, r := range in.Resources() {
		d := resource{ID: r.ID, Type: r.Type, Name: r.Name}
		if body, err := r.Body(nil); err == nil { // else the deployment says so when it comes to the resource
			d.Location, _ = body["location"].(string)
		}
		for _, on := range r.Depends {
			d.Needs = append(d.Needs, on.ID)
		}
		out = append(out, d)
	}
	return out
}

// checkPlace checks name, group and location, and writes the group as it is written where it was made.
func (s *Service) checkPlace(ctx context.Context, c *arm.Call, at *place, req request) error {
	if err := checkName(c.ID.Name); err != nil {
		return err
	}
	if err := tintype.CheckTags(req.Tags); err != nil {
		return err
	}
	if at.Group != "" {
		if req.Location != "" {
			return bad("InvalidDeployment", "The 'location' property is not allowed for '%s' at resource group scope. Please see https://aka.ms/arm-deployment-subscription for usage details.", c.ID.Name)
		}
		g, err := s.group(ctx, *at)
		at.Group = g.Name
		return err
	}
	if req.Location == "" {
		return bad("LocationRequired", "The 'location' property must be specified for '%s'. Please see https://aka.ms/arm-deployment-subscription for usage details.", c.ID.Name)
	}
	_, err := tintype.CheckGroupLocation(req.Location)
	return err
}

func checkName(name string) error {
	ok := len(name) <= 64
	for _, r := range name {
		ok = ok && (r == '-' || r == '_' || r == '.' || r == '(' || r == ')' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	if !ok {
		return bad("InvalidDeploymentName", "The provided deployment name '%.100s' is not valid. It has at most 64 characters, of which each is a letter, a digit, "+
			"'-', '_', '.', '(' or ')'.", name)
	}
	return nil
}

// hashOf is a template's hash as Azure shows it: of the text without spaces, in capitals.
func hashOf(text []byte) (string, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return "", bad("InvalidTemplate", "Deployment template validation failed: 'The template is not valid JSON.'.")
	}
	return strconv.FormatUint(template.Hash(bytes.ToUpper(b.Bytes())), 10), nil
}

// templateError is what a client is told of an unsound template.
func templateError(err error) error {
	var refused *tintype.Error
	if errors.As(err, &refused) {
		return err
	}
	message := err.Error()
	if !strings.HasPrefix(message, "Deployment template validation failed") {
		message = "Deployment template validation failed: '" + strings.TrimSuffix(message, ".") + ".'."
	}
	e := bad("InvalidTemplate", "%s", message)
	var known *template.Error
	if errors.As(err, &known) && known.Path != "" {
		e.Info = []arm.Info{{Type: "TemplateViolation", Info: map[string]any{"lineNumber": 0, "linePosition": 0, "path": "properties.template." + known.Path}}}
	}
	return e
}

// maxLevels is how deep deployments may be nested, as in Azure.
const maxLevels = 5

// preflight asks the server of each resource whether it would be refused at once, also those of nested deployments.
func (s *Service) preflight(ctx context.Context, w *wanted, level int) error {
	if level > maxLevels {
		return bad("InvalidTemplate", "Deployment template validation failed: 'Deployments are nested deeper than %d levels.'.", maxLevels)
	}
	var details []arm.Detail
	status := http.StatusBadRequest
	for _, r := range w.in.Resources() {
		body, err := r.Body(nil)
		if err != nil {
			return templateError(err)
		}
		text, err := template.Encode(body)
		if err != nil {
			return templateError(err)
		}
		if e := s.server.Check(ctx, w.rec.Caller, http.MethodPut, target(r.ID, r.APIVersion), text); e != nil {
			d := e.Detail()
			d.Target = r.ID
			if e.Status == http.StatusForbidden {
				status = http.StatusForbidden
				d.Message = fmt.Sprintf("Authorization failed for template resource '%s' of type '%s'. %s", r.Name, r.Type, e.Message)
			}
			details = append(details, d)
			continue
		}
		if r.Deployment() {
			if err := s.preflightNested(ctx, w, r, body, level); err != nil {
				return err
			}
		}
	}
	if len(details) == 0 {
		return nil
	}
	e := bad("InvalidTemplateDeployment", "The template deployment '%s' is not valid according to the validation procedure. The tracking id is '%s'. "+
		"See inner errors for details.", w.rec.Name, w.rec.Correlation)
	e.Status, e.Details = status, details
	if status == http.StatusForbidden {
		e.Message = "Deployment failed with multiple errors: '" + details[0].Message + "'"
	}
	return e
}

// nested reads a nested deployment as far as it can be read before the resources exist; nil when it can't.
func (s *Service) nested(w *wanted, r *template.Resource, body map[string]any) (*wanted, error) {
	properties, _ := body["properties"].(map[string]any)
	doc, ok := properties["template"].(map[string]any)
	if !ok {
		return nil, nil
	}
	text, err := template.Encode(doc)
	if err != nil {
		return nil, err
	}
	given, _ := properties["parameters"].(map[string]any)
	sub := *w.rec
	sub.Name = r.Name
	part := strings.Split(r.ID, "/")
	sub.Group = ""
	for i := 0; i+1 < len(part); i++ {
		switch {
		case strings.EqualFold(part[i], "subscriptions"):
			if sub.Subscription, err = tintype.ParseSubscriptionID(part[i+1]); err != nil {
				return nil, err
			}
		case strings.EqualFold(part[i], "resourceGroups"):
			sub.Group = part[i+1]
		}
	}
	if sub.Group != "" {
		if _, err := s.group(s.ctx, sub.place); err != nil {
			return nil, nil // made by the same template, or refused when it is its turn
		}
	}
	in, err := s.bind(&sub, text, given)
	if err != nil {
		return nil, err
	}
	return &wanted{rec: &sub, text: text, in: in}, nil
}

func (s *Service) preflightNested(ctx context.Context, w *wanted, r *template.Resource, body map[string]any, level int) error {
	inner, err := s.nested(w, r, body)
	if err != nil {
		return templateError(fmt.Errorf("nested deployment '%s': %w", r.Name, err))
	}
	if inner == nil {
		return nil
	}
	return s.preflight(ctx, inner, level+1)
}

// notActive refuses a deployment that would replace one that is in progress, or that moves one of a subscription.
func notActive(tx *catalog.Tx, rec *record) (exists bool, err error) {
	d, err := tx.Deployment(rec.key())
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	old, err := fromRow(d)
	switch {
	case err != nil:
		return true, err
	case d.Running:
		e := bad("DeploymentActive", "Unable to edit or replace deployment '%s': previous deployment from '%s' is still active. "+
			"Please see https://aka.ms/arm-deploy for usage details.", rec.Name, old.Began.Format("1/2/2006 3:04:05 PM"))
		e.Status = http.StatusConflict
		return true, e
	case !strings.EqualFold(old.Location, rec.Location):
		e := bad("InvalidDeploymentLocation", "Invalid deployment location '%s'. The deployment '%s' already exists in location '%s'.", rec.Location, rec.Name, old.Location)
		e.Status = http.StatusConflict
		return true, e
	}
	return true, nil
}
