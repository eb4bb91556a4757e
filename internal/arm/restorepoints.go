package arm

import (
	"context"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

// Points is what the handlers of restore points ask of the domain; *compute.Service is the real one.
type Points interface {
	PutCollection(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, source string) (c tintype.Companion, created bool, err error)
	PatchCollection(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, source string) (tintype.Companion, error)
	DeleteCollection(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error)
	PutPoint(ctx context.Context, id tintype.PointID, want tintype.RestorePointRequest) (tintype.RestorePoint, tintype.Operation, error)
	GetPoint(ctx context.Context, id tintype.PointID) (tintype.RestorePoint, error)
	Points(ctx context.Context, id tintype.ResourceID) ([]tintype.RestorePoint, error)
	DiskPoints(ctx context.Context, id tintype.PointID) ([]tintype.Volume, error)
	DeletePoint(ctx context.Context, id tintype.PointID) (op tintype.Operation, ok bool, err error)
}

// machineVersions are the api-versions of virtual machines, images and restore points, oldest first.
func machineVersions() []string {
	return []string{
		"2016-04-30-preview", "2017-03-30", "2017-12-01", "2018-04-01", "2018-06-01", "2018-10-01", "2019-03-01", "2019-07-01", "2019-12-01",
		"2020-06-01", "2020-12-01", "2021-03-01", "2021-04-01", "2021-07-01", "2021-11-01", "2022-03-01", "2022-08-01", "2022-11-01",
		"2023-03-01", "2023-07-01", "2023-09-01", "2024-03-01", "2024-07-01", "2024-11-01", "2025-04-01", "2026-04-01",
	}
}

// since leaves out the versions before the first.
func since(versions []string, first string) []string {
	for i, v := range versions {
		if v >= first {
			return versions[i:]
		}
	}
	return nil
}

// machineOperations is the word of the poll URLs of virtual machines, images and restore points.
const machineOperations = "operations"

// pointHandler answers for collections, restore points and what they hold of each disk.
type pointHandler struct{ ComputeOptions }

func pointTypes(opt ComputeOptions) []Type {
	h := pointHandler{opt}
	const kind = tintype.KindCollection
	path := InGroup(kind.Type() + "/{name}")
	point, on := path+"/restorePoints/{point}", kind.Type()+"/restorePoints"
	disks := InGroup(kind.Type()+"/{collection}") + "/restorePoints/{point}/diskRestorePoints"
	return []Type{
		{
			Namespace: computeNamespace, Name: kind.Segment(), Versions: since(machineVersions(), "2021-03-01"),
			Operations: []Operation{
				{Method: http.MethodGet, Path: path, Do: h.getCollection},
				{Method: http.MethodPut, Path: path, Do: h.putCollection},
				{Method: http.MethodPatch, Path: path, Do: h.patchCollection},
				{Method: http.MethodDelete, Path: path, Do: h.deleteCollection},
				{Method: http.MethodGet, Path: InGroup(kind.Type()), Do: h.listCollections},
				{Method: http.MethodGet, Path: InSubscription(kind.Type()), Do: h.listCollections},
				{Method: http.MethodGet, Path: point, Permission: on + "/read", Do: h.getPoint},
				{Method: http.MethodPut, Path: point, Permission: on + "/write", Do: h.putPoint},
				{Method: http.MethodDelete, Path: point, Permission: on + "/delete", Do: h.deletePoint},
			},
		},
		{
			Namespace: computeNamespace, Name: strings.TrimPrefix(tintype.KindDiskPoint.Type(), computeNamespace+"/"),
			Versions: since(computeVersions(), "2020-09-30"),
			Operations: []Operation{
				{Method: http.MethodGet, Path: disks, Do: h.listDiskPoints},
				{Method: http.MethodGet, Path: disks + "/{disk}", Do: h.getDiskPoint},
				{Method: http.MethodPost, Path: disks + "/{disk}/beginGetAccess", Do: h.grantDiskPoint},
				{Method: http.MethodPost, Path: disks + "/{disk}/endGetAccess", Do: h.revokeDiskPoint},
				{Method: http.MethodGet, Path: disks + "/{disk}/sizes", Versions: []string{ownVersion}, Do: h.sizesOfDiskPoint},
			},
		},
		{
			Namespace: computeNamespace, Name: "locations/operations", Versions: machineVersions(),
			Operations: []Operation{{
				Method: http.MethodGet, Path: InSubscription(computeNamespace + "/locations/{location}/operations/{operation}"),
				Unscoped: true, Do: opt.pollOperation, // as of DiskOperations
			}},
		},
	}
}

func (h pointHandler) collection(c *Call) tintype.ResourceID {
	id := tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: tintype.KindCollection, Name: c.ID.Name}
	if id.Name == "" {
		id.Name = c.Param("collection")
	}
	return id
}

func (h pointHandler) point(c *Call) tintype.PointID {
	return tintype.PointID{Collection: h.collection(c), Name: c.Param("point")}
}

// created answers 201 with the one URL by which an operation on machines, images and restore points is followed.
func (c *Call) created(status int, op tintype.Operation, body any) Response {
	rs := c.Accepted(machineOperations, op.Location, op.ID.String(), body)
	rs.Status = status
	rs.Header.Del("Location")
	return rs
}

func (h pointHandler) getCollection(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.collection(c))
	if err != nil {
		return Response{}, err
	}
	body := encodeCollection(found)
	if strings.EqualFold(c.Query.Get("$expand"), "restorePoints") {
		points, err := h.Points.Points(ctx, found.ID)
		if err != nil {
			return Response{}, err
		}
		for _, p := range points {
			body.Properties.RestorePoints = append(body.Properties.RestorePoints, encodePoint(p, c.APIVersion))
		}
	}
	return JSON(http.StatusOK, body), nil
}

func (h pointHandler) putCollection(ctx context.Context, c *Call) (Response, error) {
	var body wire.Collection
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	source := sourceOf(body)
	if err := h.mayRead(c, source); err != nil {
		return Response{}, err
	}
	made, created, err := h.Points.PutCollection(ctx, h.collection(c), tintype.CompanionRequest{Location: body.Location, Tags: body.Tags}, source)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return JSON(status, encodeCollection(made)), nil
}

// sourceOf is what a collection's body says that its points are of, "" when it does not.
func sourceOf(body wire.Collection) string {
	if p := body.Properties; p != nil && p.Source != nil {
		return p.Source.ID
	}
	return ""
}

// mayRead requires that a caller who has restore points made of something may read that.
func (h pointHandler) mayRead(c *Call, source string) error {
	permission := "Microsoft.Resources/subscriptions/resourceGroups/read"
	if id, ok := tintype.ParseResourceID(source); ok {
		permission = id.Kind.Type() + "/read"
	} else if _, group := tintype.ParseGroupID(source); !group {
		return nil // refused by the domain
	}
	return h.linkedTo(c, permission, source)
}

// linkedTo requires a permission on another resource than that of the call.
func (h pointHandler) linkedTo(c *Call, permission, scope string) error {
	if h.Allowed(c.Principal, permission, scope) {
		return nil
	}
	return gateway(http.StatusForbidden, "LinkedAuthorizationFailed",
		"The client '%s' with object id '%s' has permission to perform this action on scope '%s'; however, it does not have "+
			"permission to perform action '%s' on the linked scope(s) '%s' or the linked scope(s) are invalid.",
		c.Principal.AppID, c.Principal.ObjectID, c.Path, permission, clip(scope))
}

func (h pointHandler) patchCollection(ctx context.Context, c *Call) (Response, error) {
	var body wire.Collection
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	changed, err := h.Points.PatchCollection(ctx, h.collection(c), tintype.CompanionRequest{Tags: body.Tags}, sourceOf(body))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeCollection(changed)), nil
}

func (h pointHandler) deleteCollection(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.Points.DeleteCollection(ctx, h.collection(c))
	return c.deleted(op, ok, err)
}

func (h pointHandler) deletePoint(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.Points.DeletePoint(ctx, h.point(c))
	return c.deleted(op, ok, err)
}

func (c *Call) deleted(op tintype.Operation, ok bool, err error) (Response, error) {
	if err != nil {
		return Response{}, err
	}
	if !ok {
		return Empty(http.StatusNoContent), nil
	}
	return c.Accepted(machineOperations, op.Location, op.ID.String(), nil), nil
}

func (h pointHandler) listCollections(ctx context.Context, c *Call) (Response, error) {
	return listCompanions(ctx, c, h.ComputeOptions, tintype.KindCollection, encodeCollection)
}

// listCompanions answers with a page of the kind's companions in a group or subscription.
func listCompanions[T any](ctx context.Context, c *Call, opt ComputeOptions, kind tintype.Kind, encode func(tintype.Companion) T) (Response, error) {
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	page, err := opt.ListCompanions(ctx, c.subscription(), c.ID.Group, kind, after)
	if err != nil {
		return Response{}, err
	}
	var bodies []T
	for _, found := range page.Companions {
		bodies = append(bodies, encode(found))
	}
	list := ListOf(bodies)
	list.NextLink = c.nextLink(page.Next)
	return JSON(http.StatusOK, list), nil
}

func (h pointHandler) getPoint(ctx context.Context, c *Call) (Response, error) {
	p, err := h.Points.GetPoint(ctx, h.point(c))
	if err != nil {
		return Response{}, err
	}
	body := encodePoint(p, c.APIVersion)
	if strings.EqualFold(c.Query.Get("$expand"), "instanceView") {
		body.Properties.InstanceView = viewOf(p)
	}
	return JSON(http.StatusOK, body), nil
}

// putPoint makes a restore point, which is whole when it is answered; the answer is that of a service where it is not yet.
func (h pointHandler) putPoint(ctx context.Context, c *Call) (Response, error) {
	var body wire.RestorePoint
	if len(c.Body) > 0 {
		if err := c.Decode(&body); err != nil {
			return Response{}, err
		}
	}
	want := decodePoint(body.Properties)
	if want.Source != "" {
		if err := h.linkedTo(c, tintype.KindCollection.Type()+"/restorePoints/read", want.Source); err != nil {
			return Response{}, err
		}
	}
	var err error
	if want.Checked, err = h.mayCut(ctx, c); err != nil {
		return Response{}, err
	}
	p, op, err := h.Points.PutPoint(ctx, h.point(c), want)
	if err != nil {
		return Response{}, err
	}
	answer := encodePoint(p, c.APIVersion)
	answer.Properties.ProvisioningState = "Creating"
	if p.Source == "" {
		answer.Properties.ConsistencyMode = want.Mode
	}
	if s := answer.Properties.SourceMetadata.StorageProfile; s != nil {
		if s.OSDisk != nil {
			s.OSDisk.DiskRestorePoint = nil
		}
		for i := range s.DataDisks {
			s.DataDisks[i].DiskRestorePoint = nil
		}
	}
	return c.created(http.StatusCreated, op, answer), nil
}

// mayCut requires, as for a snapshot, that the caller may read the bytes of what the collection is of. Of a machine it gives
// the disks that it has looked at.
func (h pointHandler) mayCut(ctx context.Context, c *Call) (checked tintype.CheckedDisks, err error) {
	found, err := h.GetCompanion(ctx, h.collection(c))
	if err != nil {
		return nil, err
	}
	source := found.Collection.Source
	permission := tintype.KindDisk.Type() + "/beginGetAccess/action"
	if id, ok := tintype.ParseResourceID(source); ok && id.Kind == tintype.KindCollection {
		permission = tintype.KindDiskPoint.Type() + "/beginGetAccess/action"
	}
	var places []string
	if id, ok := tintype.ParseResourceID(source); ok && id.Kind == tintype.KindMachine {
		of, err := h.GetCompanion(ctx, id)
		if err != nil {
			return nil, err
		}
		checked = tintype.CheckedDisks{}
		for _, d := range of.Machine.Disks() {
			checked, places = append(checked, d.ID), append(places, d.ID.String())
		}
	} else {
		places = []string{source}
	}
	for _, at := range places {
		if err := h.linkedTo(c, permission, at); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func (h pointHandler) diskPoint(c *Call) tintype.ResourceID { return h.point(c).Disk(c.Param("disk")) }

func (h pointHandler) listDiskPoints(ctx context.Context, c *Call) (Response, error) {
	p, err := h.Points.GetPoint(ctx, h.point(c))
	if err != nil {
		return Response{}, err
	}
	found, err := h.Points.DiskPoints(ctx, p.ID)
	if err != nil {
		return Response{}, err
	}
	var bodies []wire.DiskRestorePoint
	for _, v := range found {
		bodies = append(bodies, encodeDiskPoint(p, v))
	}
	return JSON(http.StatusOK, ListOf(bodies)), nil
}

func (h pointHandler) getDiskPoint(ctx context.Context, c *Call) (Response, error) {
	p, err := h.Points.GetPoint(ctx, h.point(c))
	if err != nil {
		return Response{}, err
	}
	v, err := h.Volumes.Get(ctx, h.diskPoint(c))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeDiskPoint(p, v)), nil
}

func (h pointHandler) grantDiskPoint(ctx context.Context, c *Call) (Response, error) {
	return grantAccess(ctx, c, h.ComputeOptions, h.diskPoint(c))
}

func (h pointHandler) revokeDiskPoint(ctx context.Context, c *Call) (Response, error) {
	a, err := h.Volumes.Revoke(ctx, h.diskPoint(c))
	if err != nil {
		return Response{}, err
	}
	return c.Accepted(diskOperations, a.Operation.Location, a.Operation.ID.String(), nil), nil
}

func (h pointHandler) sizesOfDiskPoint(ctx context.Context, c *Call) (Response, error) {
	return sizesOf(ctx, h.ComputeOptions, h.diskPoint(c))
}
