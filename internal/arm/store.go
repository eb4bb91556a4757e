package arm

import (
	"context"
	"net/http"
)

// storeNamespace is ours: what is in it Azure does not have.
const storeNamespace = "Tintype.Store"

// Store is what the handlers of the store as a whole ask of the domain; *compute.Service is the real one.
type Store interface {
	StoreStats(ctx context.Context) (any, error)
	RotateKey(ctx context.Context) (was, is string, err error)
}

// StoreTypes are the rows of Tintype.Store in the router's table. The store spans all resource groups, so a role on the
// subscription is needed.
func StoreTypes(store Store) []Type {
	h := storeHandler{store}
	row := func(name, method string, do Handler) Type {
		return Type{Namespace: storeNamespace, Name: name, Global: true, Versions: []string{ownVersion}, Operations: []Operation{
			{Method: method, Path: InSubscription(storeNamespace + "/" + name), Do: do},
		}}
	}
	return []Type{
		row("stats", http.MethodGet, h.stats),
		row("rotateKey", http.MethodPost, h.rotateKey),
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
