package deploy

import (
	"context"
	"fmt"
	"net/http"

	"tintype/internal/arm"
	"tintype/internal/template"
)

// ownVersion is the api-version of Microsoft.Resources at which the service asks the server itself.
const ownVersion = "2021-04-01"

// refusal is what the server answered to a question of a template.
type refusal struct{ detail arm.Detail }

func (r *refusal) Error() string { return r.detail.Code + ": " + r.detail.Message }

// runtime answers a template's questions as the caller of the deployment may have them answered.
type runtime struct {
	ctx context.Context
	s   *Service
	rec *record
}

// Reference reads a resource.
func (rt runtime) Reference(id, version string) (map[string]any, error) {
	v, err := rt.ask(http.MethodGet, id, id, version, nil)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the resource '%s' is no object", id)
	}
	return m, nil
}

// List calls a list function.
func (rt runtime) List(function, id, version string, body any) (any, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = template.Encode(body); err != nil {
			return nil, err
		}
	}
	return rt.ask(http.MethodPost, id, id+"/"+function, version, text)
}

func (rt runtime) ask(method, id, path, version string, body []byte) (any, error) {
	if version == "" {
		version = rt.s.server.Version(id)
	}
	rp := rt.s.server.Perform(rt.ctx, rt.rec.Caller, method, target(path, version), body)
	if rp.Status != http.StatusOK {
		d := errorOf(rp)
		d.Target = id
		return nil, &refusal{d}
	}
	return template.Decode(rp.Body)
}
