package arm

import (
	"context"
	"errors"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

// Images is what the handlers of images ask of the domain; *compute.Service is the real one.
type Images interface {
	PutImage(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, image tintype.ImageRequest) (
		op tintype.Operation, created bool, err error)
	PatchImage(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, image tintype.ImageRequest) (tintype.Operation, error)
	DeleteImage(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error)
}

type imageHandler struct{ ComputeOptions }

func imageType(opt ComputeOptions) Type {
	h := imageHandler{opt}
	const kind = tintype.KindImage
	path := InGroup(kind.Type() + "/{name}")
	return Type{
		Namespace: computeNamespace, Name: kind.Segment(), Versions: machineVersions(),
		Operations: []Operation{
			{Method: http.MethodGet, Path: path, Do: h.get},
			{Method: http.MethodPut, Path: path, Do: h.put},
			{Method: http.MethodPatch, Path: path, Do: h.patch},
			{Method: http.MethodDelete, Path: path, Do: h.delete},
			{Method: http.MethodGet, Path: InGroup(kind.Type()), Do: h.list},
			{Method: http.MethodGet, Path: InSubscription(kind.Type()), Do: h.list},
		},
	}
}

func (h imageHandler) id(c *Call) tintype.ResourceID {
	return tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: tintype.KindImage, Name: c.ID.Name}
}

func (h imageHandler) get(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeImage(found, c.APIVersion)), nil
}

func (h imageHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.Image
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	want := decodeImage(body.Properties)
	var err error
	if want.Checked, err = h.mayImage(ctx, c, want); err != nil {
		return Response{}, err
	}
	op, created, err := h.PutImage(ctx, h.id(c), imageCompanion(body), want)
	if err != nil {
		return Response{}, err
	}
	answer := encodeImage(*op.Companion, c.APIVersion)
	status := http.StatusOK
	answer.Properties.ProvisioningState = string(tintype.StateUpdating)
	if created {
		status, answer.Properties.ProvisioningState = http.StatusCreated, "Creating"
		for _, d := range imageDisks(answer.Properties.StorageProfile) {
			d.DiskSizeGB = nil // as recorded
		}
	}
	return c.created(status, op, answer), nil
}

func (h imageHandler) patch(ctx context.Context, c *Call) (Response, error) {
	var body wire.Image
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	op, err := h.PatchImage(ctx, h.id(c), imageCompanion(body), decodeImage(body.Properties))
	if err != nil {
		return Response{}, err
	}
	answer := encodeImage(*op.Companion, c.APIVersion)
	answer.Properties.ProvisioningState = string(tintype.StateUpdating)
	return c.created(http.StatusOK, op, answer), nil
}

func (h imageHandler) delete(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.DeleteImage(ctx, h.id(c))
	return c.deleted(op, ok, err)
}

func (h imageHandler) list(ctx context.Context, c *Call) (Response, error) {
	return listCompanions(ctx, c, h.ComputeOptions, tintype.KindImage, func(found tintype.Companion) wire.Image {
		return encodeImage(found, c.APIVersion)
	})
}

// mayImage requires, as for a snapshot, that the caller may read the bytes of what the image is made of. Of a machine
// it gives the disks that it has looked at.
func (h imageHandler) mayImage(ctx context.Context, c *Call, want tintype.ImageRequest) (checked tintype.CheckedDisks, err error) {
	disks := want.Data
	if want.OS != nil {
		disks = append([]tintype.ImageDiskRequest{*want.OS}, disks...)
	}
	if id, ok := tintype.ParseResourceID(want.Machine); ok && id.Kind == tintype.KindMachine {
		if err := pointHandler(h).linkedTo(c, tintype.KindMachine.Type()+"/read", want.Machine); err != nil {
			return nil, err
		}
		checked = tintype.CheckedDisks{}
		of, err := h.GetCompanion(ctx, id)
		var refusal *tintype.Error
		if errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound {
			return checked, nil // refused by the domain, but of an image that exists already
		}
		if err != nil {
			return nil, err
		}
		for _, d := range of.Machine.Disks() {
			checked = append(checked, d.ID)
			disks = append(disks, tintype.ImageDiskRequest{Source: tintype.ImageSource{Disk: d.ID.String()}})
		}
	}
	for _, d := range disks {
		for _, linked := range []struct{ id, verb string }{
			{d.Source.Snapshot, "/beginGetAccess/action"}, {d.Source.Disk, "/beginGetAccess/action"}, {d.SetID, "/read"},
		} {
			id, ok := tintype.ParseResourceID(linked.id)
			if !ok {
				continue // refused by the domain
			}
			if err := pointHandler(h).linkedTo(c, id.Kind.Type()+linked.verb, linked.id); err != nil {
				return nil, err
			}
		}
	}
	return checked, nil
}

func imageCompanion(w wire.Image) tintype.CompanionRequest {
	return tintype.CompanionRequest{
		Location: w.Location, Tags: w.Tags, ExtendedLocation: w.ExtendedLocation != nil && w.ExtendedLocation.Name != "",
	}
}

// decodeImage reads what a PUT or PATCH asks for. Nothing is judged here, and what only the server sets is ignored.
func decodeImage(p *wire.ImageProperties) tintype.ImageRequest {
	want := tintype.ImageRequest{}
	if p == nil {
		return want
	}
	want.Generation = p.HyperVGeneration
	if p.SourceVirtualMachine != nil {
		want.Machine = p.SourceVirtualMachine.ID
	}
	s := p.StorageProfile
	if s == nil {
		return want
	}
	want.Zoned = s.ZoneResilient
	if s.OSDisk != nil {
		os := decodeImageDisk(*s.OSDisk)
		os.LUN, want.OS = nil, &os
	}
	for _, d := range s.DataDisks {
		data := decodeImageDisk(d)
		data.OSType, data.OSState = "", ""
		want.Data = append(want.Data, data)
	}
	return want
}

func decodeImageDisk(w wire.ImageDisk) tintype.ImageDiskRequest {
	of := func(r *wire.Reference) string {
		if r == nil {
			return ""
		}
		return r.ID
	}
	return tintype.ImageDiskRequest{
		LUN: w.LUN, OSType: w.OSType, OSState: w.OSState, Caching: w.Caching, SizeGB: w.DiskSizeGB, Storage: w.StorageAccountType,
		Source: tintype.ImageSource{Snapshot: of(w.Snapshot), Disk: of(w.ManagedDisk), BlobURI: w.BlobURI}, SetID: of(w.DiskEncryptionSet),
	}
}

// generationsSince is the first api-version at which images show their hyperVGeneration.
const generationsSince = "2019-03-01"

// encodeImage writes an image as clients of the api-version know it.
func encodeImage(c tintype.Companion, version string) wire.Image {
	i := c.Image
	os := encodeImageDisk(i.OS)
	w := wire.Image{
		Name: c.ID.Name, ID: c.ID.String(), Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags,
		Properties: &wire.ImageProperties{
			StorageProfile:    &wire.ImageStorageProfile{OSDisk: &os, DataDisks: []wire.ImageDisk{}, ZoneResilient: i.Zoned},
			ProvisioningState: string(tintype.StateSucceeded), HyperVGeneration: i.Generation,
		},
	}
	if i.Creating {
		w.Properties.ProvisioningState = "Creating"
	}
	if version < generationsSince {
		w.Properties.HyperVGeneration = ""
	}
	if i.Machine != "" {
		w.Properties.SourceVirtualMachine = &wire.Reference{ID: i.Machine}
	}
	for _, d := range i.Data {
		data, lun := encodeImageDisk(d), d.LUN
		data.LUN = &lun
		w.Properties.StorageProfile.DataDisks = append(w.Properties.StorageProfile.DataDisks, data)
	}
	return w
}

func encodeImageDisk(d tintype.ImageDisk) wire.ImageDisk {
	size := d.SizeGB
	w := wire.ImageDisk{
		OSType: d.OSType, OSState: d.OSState, DiskSizeGB: &size, BlobURI: d.Source.BlobURI, Caching: d.Caching, StorageAccountType: d.Storage,
	}
	for _, r := range []struct {
		id string
		to **wire.Reference
	}{{d.Source.Snapshot, &w.Snapshot}, {d.Source.Disk, &w.ManagedDisk}, {d.SetID, &w.DiskEncryptionSet}} {
		if r.id != "" {
			*r.to = &wire.Reference{ID: r.id}
		}
	}
	return w
}

// imageDisks lists the disks of an image's body, to be changed.
func imageDisks(s *wire.ImageStorageProfile) []*wire.ImageDisk {
	all := []*wire.ImageDisk{s.OSDisk}
	for i := range s.DataDisks {
		all = append(all, &s.DataDisks[i])
	}
	return all
}
