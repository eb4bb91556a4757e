package deploy

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype/internal/arm"
	"tintype/internal/template"
)

// ask is a what-if in progress or answered. Its answer is kept in memory alone, for a while: it says what was true then.
type ask struct {
	key    string // of the deployment's name
	made   time.Time
	done   chan struct{}
	result any
	err    error
}

const (
	// keepAsks is how long the answer of a what-if can be had, maxAsks how many are kept.
	keepAsks = 30 * time.Minute
	maxAsks  = 64
)

type change struct {
	ID     string           `json:"resourceId"`
	Type   string           `json:"changeType"`
	Before any              `json:"before,omitempty"`
	After  any              `json:"after,omitempty"`
	Delta  []propertyChange `json:"delta,omitempty"`
}

type propertyChange struct {
	Path     string           `json:"path"`
	Type     string           `json:"propertyChangeType"`
	Before   any              `json:"before,omitempty"`
	After    any              `json:"after,omitempty"`
	Children []propertyChange `json:"children,omitempty"`
}

// whatIf says what a deployment would change. The answer is had from the Location.
func (s *Service) whatIf(ctx context.Context, c *arm.Call) (arm.Response, error) {
	w, err := s.read(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	if err := s.preflight(ctx, w, 1); err != nil {
		return arm.Response{}, err
	}
	id := uuid.NewString()
	a := &ask{key: w.rec.key(), made: s.now(), done: make(chan struct{})}
	if !s.keep(id, a) {
		return arm.Response{}, &arm.Error{
			Status: http.StatusTooManyRequests, Code: "TooManyRequests", Header: http.Header{"Retry-After": {"10"}},
			Message: "Too many what-if operations are in progress. Please retry later.",
		}
	}
	s.done.Go(func() {
		defer close(a.done)
		changes := []change{}
		if a.err = s.predict(s.ctx, w, &changes, 1); a.err == nil {
			a.err = s.predictRest(s.ctx, w, &changes)
		}
		a.result = map[string]any{"status": "Succeeded", "properties": map[string]any{"correlationId": w.rec.Correlation, "changes": changes}}
	})
	return asked(c, id, w.rec), nil
}

func asked(c *arm.Call, id string, rec *record) arm.Response {
	rs := arm.Empty(http.StatusAccepted)
	rs.Header = http.Header{}
	rs.Header.Set("Location", c.BaseURL+target(rec.id()+"/operationResults/"+id, c.APIVersion))
	rs.Header.Set("Retry-After", "1")
	return rs
}

// keep remembers a what-if, and forgets old ones; false when too many are in progress.
func (s *Service) keep(id string, a *ask) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest, running := "", 0
	for k, other := range s.asks {
		select {
		case <-other.done:
			if a.made.Sub(other.made) > keepAsks {
				delete(s.asks, k)
			} else if oldest == "" || other.made.Before(s.asks[oldest].made) {
				oldest = k
			}
		default:
			running++
		}
	}
	if running >= maxAsks/4 {
		return false
	}
	if len(s.asks) >= maxAsks {
		delete(s.asks, oldest)
	}
	s.asks[id] = a
	return true
}

// result gives the answer of a what-if, or says that a deletion has ended.
func (s *Service) result(_ context.Context, c *arm.Call) (arm.Response, error) {
	at, err := placeOf(c)
	if err != nil {
		return arm.Response{}, err
	}
	id := c.Param("operation")
	if id == deletedMark {
		return arm.Empty(http.StatusNoContent), nil
	}
	rec := &record{place: at, Name: c.ID.Name}
	s.mu.Lock()
	a := s.asks[id]
	s.mu.Unlock()
	if a == nil || a.key != rec.key() {
		return arm.Response{}, noOperation(c)
	}
	select {
	case <-a.done:
	default:
		return asked(c, id, rec), nil
	}
	if a.err != nil {
		return arm.Response{}, a.err
	}
	return arm.JSON(http.StatusOK, a.result), nil
}

// predict compares each resource with what exists.
func (s *Service) predict(ctx context.Context, w *wanted, out *[]change, level int) error {
	for _, r := range w.in.Resources() {
		body, err := r.Body(nil)
		if err != nil {
			return templateError(err)
		}
		if r.Deployment() {
			inner, err := s.nested(w, r, body)
			if err != nil {
				return templateError(err)
			}
			if inner != nil && level < maxLevels {
				inner.format = w.format
				if err := s.predict(ctx, inner, out, level+1); err != nil {
					return err
				}
				continue
			}
		}
		ch, err := s.compare(ctx, w, r, body)
		if err != nil {
			return err
		}
		*out = append(*out, ch)
	}
	return nil
}

func (s *Service) compare(ctx context.Context, w *wanted, r *template.Resource, body map[string]any) (change, error) {
	ch := change{ID: r.ID, Type: "Deploy"}
	if strings.EqualFold(w.format, "ResourceIdOnly") {
		return ch, nil
	}
	before, err := s.existing(ctx, w.rec, r.ID, r.APIVersion)
	if err != nil {
		return ch, err
	}
	after := map[string]any{"apiVersion": r.APIVersion, "id": r.ID, "name": lastSegment(r.Name), "type": r.Type}
	if w.rec.Group != "" {
		after["resourceGroup"] = w.rec.Group
	}
	for k, v := range body {
		after[k] = v
	}
	if before == nil {
		ch.Type, ch.After = "Create", after
		return ch, nil
	}
	ch.Before = before
	ch.Delta = compareObjects("", before, body, func(path string) bool { return path == "tags" })
	ch.Type, ch.After = "NoChange", before
	if len(ch.Delta) > 0 {
		ch.Type, ch.After = "Modify", merged(before, body)
	}
	return ch, nil
}

func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// existing reads a resource; nil when there is none.
func (s *Service) existing(ctx context.Context, rec *record, id, version string) (map[string]any, error) {
	rp := s.server.Perform(ctx, rec.Caller, http.MethodGet, target(id, version), nil)
	switch {
	case rp.Status == http.StatusNotFound:
		return nil, nil
	case rp.Status != http.StatusOK:
		d := errorOf(rp)
		return nil, &arm.Error{Status: rp.Status, Code: d.Code, Message: d.Message, Target: id}
	}
	v, err := template.Decode(rp.Body)
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	if m == nil {
		return nil, nil
	}
	m["apiVersion"] = version
	if rec.Group != "" {
		m["resourceGroup"] = rec.Group
	}
	delete(m, "etag")
	return m, nil
}

// predictRest tells what becomes of what is in the group and not in the template.
func (s *Service) predictRest(ctx context.Context, w *wanted, out *[]change) error {
	if w.rec.Group == "" {
		return nil
	}
	all, err := s.inGroup(ctx, w.rec)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, ch := range *out {
		known[strings.ToLower(ch.ID)] = true
	}
	goes := others(all, known)
	for _, m := range all {
		id := m.ID
		if known[strings.ToLower(id)] {
			continue
		}
		ch := change{ID: id, Type: "Ignore"}
		if w.rec.Mode == "Complete" && goes(m) {
			ch.Type = "Delete"
		}
		if !strings.EqualFold(w.format, "ResourceIdOnly") {
			before, err := s.existing(ctx, w.rec, id, s.server.Version(id))
			if err != nil {
				return err
			}
			if before == nil {
				continue // deleted since
			}
			ch.Before = before
			if ch.Type == "Ignore" {
				ch.After = before
			}
		}
		*out = append(*out, ch)
	}
	return nil
}

// compareObjects lists how wanted differs from have. What wanted does not mention stays, but for objects that a PUT
// replaces whole.
func compareObjects(path string, have, wanted map[string]any, whole func(path string) bool) []propertyChange {
	var out []propertyChange
	for _, k := range keys(wanted) {
		at := join(path, k)
		old, ok := lookup(have, k)
		v := wanted[k]
		if !ok || old == nil {
			if v != nil && !isEmpty(v) {
				out = append(out, propertyChange{Path: at, Type: "Create", After: v})
			}
			continue
		}
		out = append(out, compareValues(at, old, v, whole)...)
	}
	if whole(path) {
		for _, k := range keys(have) {
			if _, ok := lookup(wanted, k); !ok {
				out = append(out, propertyChange{Path: join(path, k), Type: "Delete", Before: have[k]})
			}
		}
	}
	return out
}

func compareValues(path string, old, v any, whole func(string) bool) []propertyChange {
	switch x := v.(type) {
	case map[string]any:
		if o, ok := old.(map[string]any); ok {
			return compareObjects(path, o, x, whole)
		}
	case []any:
		o, ok := old.([]any)
		if !ok {
			break
		}
		var children []propertyChange
		for i := range max(len(o), len(x)) {
			at := strconv.Itoa(i)
			switch {
			case i >= len(o):
				children = append(children, propertyChange{Path: at, Type: "Create", After: x[i]})
			case i >= len(x):
				children = append(children, propertyChange{Path: at, Type: "Delete", Before: o[i]})
			default:
				children = append(children, compareValues(at, o[i], x[i], whole)...)
			}
		}
		if len(children) == 0 {
			return nil
		}
		return []propertyChange{{Path: path, Type: "Array", Children: children}}
	}
	if sameValue(path, old, v) {
		return nil
	}
	return []propertyChange{{Path: path, Type: "Modify", Before: old, After: v}}
}

// sameValue compares as the server does: ids and regions in any way of writing them.
func sameValue(path string, a, b any) bool {
	x, isText := a.(string)
	y, both := b.(string)
	if !isText || !both {
		ja, errA := json.Marshal(a)
		jb, errB := json.Marshal(b)
		return errA == nil && errB == nil && string(ja) == string(jb)
	}
	if strings.EqualFold(path, "location") {
		return strings.EqualFold(strings.ReplaceAll(x, " ", ""), strings.ReplaceAll(y, " ", ""))
	}
	return x == y || strings.HasPrefix(x, "/subscriptions/") && strings.EqualFold(x, y)
}

// merged is have with what wanted says.
func merged(have, wanted map[string]any) map[string]any {
	out := make(map[string]any, len(have))
	for k, v := range have {
		out[k] = v
	}
	for k, v := range wanted {
		old, ok := out[k].(map[string]any)
		if x, both := v.(map[string]any); ok && both && k != "tags" {
			v = merged(old, x)
		}
		out[k] = v
	}
	return out
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func lookup(m map[string]any, key string) (any, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
