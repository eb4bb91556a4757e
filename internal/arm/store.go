package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

// storeNamespace is ours: what is in it Azure does not have.
const storeNamespace = "Tintype.Store"

// Store is what the handlers of the store as a whole ask of the domain; *compute.Service is the real one.
type Store interface {
	StoreStats(ctx context.Context) (any, error)
	RotateKey(ctx context.Context) (was, is string, err error)
	Scrub(ctx context.Context, start bool) (tintype.Scrub, error)
	Damages(ctx context.Context, id *tintype.ResourceID) (all []tintype.Damage, more bool, err error)
}

// StoreTypes are the rows of Tintype.Store in the router's table. The store spans all resource groups, so a role on the
// subscription is needed.
func StoreTypes(store Store) []Type {
	h := storeHandler{store}
	row := func(name string, do ...Operation) Type {
		t := Type{Namespace: storeNamespace, Name: name, Global: true, Versions: []string{ownVersion}, Operations: do}
		for i := range t.Operations {
			t.Operations[i].Path = InSubscription(storeNamespace + "/" + name)
		}
		return t
	}
	return []Type{
		row("rotateKey", Operation{Method: http.MethodPost, Do: h.rotateKey}),
		row("stats", Operation{Method: http.MethodGet, Do: h.stats}),
		row("damage", Operation{Method: http.MethodGet, Do: h.damage}),
		row("scrub", Operation{Method: http.MethodGet, Do: h.scrub}, Operation{Method: http.MethodPost, Do: h.scrub}),
	}
}

type storeHandler struct{ Store }

func (h storeHandler) stats(ctx context.Context, _ *Call) (Response, error) {
	st, err := h.StoreStats(ctx)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, st), nil
}

func (h storeHandler) rotateKey(ctx context.Context, _ *Call) (Response, error) {
	was, is, err := h.RotateKey(ctx)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, map[string]string{"key": is, "previousKey": was}), nil
}

// scrub tells what the scrub does; a POST begins a pass.
func (h storeHandler) scrub(ctx context.Context, c *Call) (Response, error) {
	s, err := h.Scrub(ctx, c.Method == http.MethodPost)
	if err != nil {
		return Response{}, err
	}
	w := wire.Scrub{BytesPerSecond: s.Rate, Running: s.Running, ReadBytes: s.Bytes, Restored: s.Restored}
	if s.Running {
		w.Begun = formatTime(s.Begun)
	}
	if !s.Last.Ended.IsZero() {
		w.Last = &wire.ScrubPass{Begun: formatTime(s.Last.Begun), Ended: formatTime(s.Last.Ended), ReadBytes: s.Last.Bytes}
	}
	return JSON(http.StatusOK, w), nil
}

func (h storeHandler) damage(ctx context.Context, _ *Call) (Response, error) {
	all, more, err := h.Damages(ctx, nil)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Damages{Value: encodeDamages(all), More: more}), nil
}

// damage lists what is known to be damaged of one disk or snapshot.
func (h volumeHandler) damage(ctx context.Context, c *Call) (Response, error) {
	id := h.id(c)
	all, more, err := h.Volumes.Damages(ctx, &id)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Damages{Value: encodeDamages(all), More: more}), nil
}

func encodeDamages(all []tintype.Damage) []wire.Damage {
	out := []wire.Damage{}
	for _, d := range all {
		w := wire.Damage{Volume: guid(d.Volume), Offset: d.Off, Length: d.Len, Cause: d.Cause}
		if d.Resource != (tintype.ResourceID{}) {
			w.ID = d.Resource.String()
		}
		out = append(out, w)
	}
	return out
}
