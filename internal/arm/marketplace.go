package arm

import (
	"context"
	"net/http"
)

// marketplaceType answers for Azure's marketplace of images, of which there is none here: clients that look an image up are told that it is not
// found, and need not guess why its type is unknown.
func marketplaceType() Type {
	publishers := InSubscription(computeNamespace + "/locations/{location}/publishers")
	images := publishers + "/{publisher}/artifacttypes/vmimage/offers"
	absent := func(context.Context, *Call) (Response, error) {
		return Response{}, gateway(http.StatusNotFound, "NotFound", "Artifact: VMImage was not found.")
	}
	none := func(context.Context, *Call) (Response, error) { return JSON(http.StatusOK, []struct{}{}), nil }
	t := Type{
		Namespace: computeNamespace, Name: "locations/publishers", Versions: machineVersions(),
		Operations: []Operation{{Method: http.MethodGet, Path: publishers, Seen: true, Do: none}},
	}
	for _, path := range []string{
		images, images + "/{offer}/skus", images + "/{offer}/skus/{sku}/versions", images + "/{offer}/skus/{sku}/versions/{version}",
	} {
		t.Operations = append(t.Operations, Operation{Method: http.MethodGet, Path: path, Seen: true, Do: absent})
	}
	return t
}
