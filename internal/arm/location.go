package arm

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// locationOf is where the resource of a call is to be, or is as far as the caller may know; "" where there is no telling. It is for
// error texts only.
func (rt *Router) locationOf(ctx context.Context, m *route, c *Call) string {
	if at := locationIn(c.Body); at != "" || c.ID.Name == "" || c.ID.Group == "" {
		return at
	}
	read, params, err := rt.find(http.MethodGet, splitPath(c.ID.String()), "")
	if err != nil || read.typ != m.typ || !rt.opt.Guard.Allowed(c.Principal, read.permission(), c.ID.String()) {
		return ""
	}
	versions := read.versions()
	ask := *c
	ask.Method, ask.APIVersion, ask.ID, ask.params = http.MethodGet, versions[len(versions)-1], read.id(params), params
	ask.Query, ask.Body = url.Values{}, nil
	rs, err := read.op.Do(ctx, &ask)
	if err != nil {
		return ""
	}
	return locationIn(reply(rs).Body)
}

// locationIn is the "location" of a resource's body.
func locationIn(body []byte) string {
	var v struct {
		Location string `json:"location"`
	}
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	return v.Location
}
