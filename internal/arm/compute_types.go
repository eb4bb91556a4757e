package arm

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/compute"
	"tintype/internal/identity"
)

const computeNamespace = "Microsoft.Compute"

// Volumes is what the handlers of disks and snapshots ask of the domain; *compute.Service is the real one.
type Volumes interface {
	// Sold is a region as far as skus go.
	Sold(r tintype.Region) tintype.Region
	Put(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error)
	Patch(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error)
	Get(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error)
	List(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (compute.Page, error)
	Delete(ctx context.Context, id tintype.ResourceID) (a tintype.Accepted, ok bool, err error)
	Grant(ctx context.Context, id tintype.ResourceID, r tintype.AccessRequest) (tintype.Accepted, error)
	Revoke(ctx context.Context, id tintype.ResourceID) (tintype.Accepted, error)
	Operation(ctx context.Context, sub tintype.SubscriptionID, id uuid.UUID) (tintype.Operation, error)
	Attach(ctx context.Context, id tintype.ResourceID, host string, readOnly bool, since ...tintype.ResourceID) (tintype.Attachment, error)
	Detach(ctx context.Context, id tintype.ResourceID, host string) error
	Sizes(ctx context.Context, id tintype.ResourceID) (tintype.Sizes, error)
	Freed(ctx context.Context, ids []tintype.ResourceID) (int64, error)
	Damages(ctx context.Context, id *tintype.ResourceID) (all []tintype.Damage, more bool, err error)
	Grants(ctx context.Context, sub tintype.SubscriptionID, after string) (all []tintype.GrantUse, next string, err error)
	Usages(ctx context.Context, sub tintype.SubscriptionID, location string) ([]compute.Usage, error)
	SetImmutability(ctx context.Context, id tintype.ResourceID, want tintype.ImmutabilityRequest) (tintype.Accepted, error)
	SnapshotTogether(ctx context.Context, members []tintype.Member) ([]tintype.Accepted, error)
}

// ComputeOptions of [ComputeTypes]. All are needed but those that say otherwise.
type ComputeOptions struct {
	Volumes Volumes
	Companions
	Points Points
	Machines
	Images
	// Tenant is the one of identities that belong to resources.
	Tenant string
	// Allowed tells whether a role of p allows the permission on the scope; a copy needs a permission on its source.
	Allowed func(p identity.Principal, permission, scope string) bool
	// Identities are the user-assigned ones that encryption sets may name; nil: whatever is named is kept.
	Identities Identities
	// Peer tells whether a subscription is that of another server, from which snapshots may be copied. It may be nil.
	Peer func(tintype.SubscriptionID) bool
	// SignURL makes the URL that opens a grant's blob, for a caller that reaches us at baseURL.
	SignURL func(baseURL string, g tintype.Grant) string
}

// computeVersions are the api-versions of disks and snapshots, oldest first.
func computeVersions() []string {
	return []string{
		"2016-04-30-preview", "2017-03-30", "2018-04-01", "2018-06-01", "2018-09-30", "2019-03-01", "2019-07-01", "2019-11-01",
		"2020-05-01", "2020-06-30", "2020-09-30", "2020-12-01", "2021-04-01", "2021-08-01", "2021-12-01", "2022-03-02",
		"2022-07-02", "2023-01-02", "2023-04-02", "2023-10-02", "2024-03-02", "2025-01-02", ownVersion,
	}
}

// ownVersion is the api-version of what Azure does not have, such as attach and sizes.
const ownVersion = "2026-03-02"

// ComputeTypes are the rows of Microsoft.Compute in the router's table.
func ComputeTypes(opt ComputeOptions) []Type {
	own := []string{ownVersion}
	return append(pointTypes(opt), []Type{
		volumeType(opt, tintype.KindDisk),
		volumeType(opt, tintype.KindSnapshot),
		machineType(opt),
		imageType(opt),
		marketplaceType(),
		usagesType(opt),
		skuType(opt.Volumes),
		companionType(opt, tintype.KindDiskAccess, "2020-05-01"),
		companionType(opt, tintype.KindEncryptionSet, "2019-07-01"),
		// Both act on several resources: the handlers ask for a permission on each.
		{
			Namespace: computeNamespace, Name: "freedBytes", Versions: own,
			Operations: []Operation{{
				Method: http.MethodPost, Path: InSubscription(computeNamespace + "/freedBytes"), Unscoped: true, Do: opt.freedBytes,
			}},
		},
		{
			Namespace: computeNamespace, Name: "grants", Versions: own,
			Operations: []Operation{{Method: http.MethodGet, Path: InSubscription(computeNamespace + "/grants"), Do: opt.grants}},
		},
		{
			Namespace: computeNamespace, Name: "createSnapshotGroup", Versions: own,
			Operations: []Operation{{
				Method: http.MethodPost, Path: InGroup(computeNamespace + "/createSnapshotGroup"), Unscoped: true, Do: opt.snapshotTogether,
			}},
		},
		{
			Namespace: computeNamespace, Name: "locations/DiskOperations", Versions: computeVersions(),
			Operations: []Operation{{
				Method: http.MethodGet, Path: InSubscription(computeNamespace + "/locations/{location}/DiskOperations/{operation}"),
				// Who may act in one group only must be able to follow what they did: the handler asks for a role on the resource.
				Unscoped: true, Do: opt.pollOperation,
			}},
		},
	}...)
}

func volumeType(opt ComputeOptions, kind tintype.Kind) Type {
	h := volumeHandler{ComputeOptions: opt, kind: kind}
	path := InGroup(kind.Type() + "/{name}")
	own := []string{ownVersion}
	t := Type{
		Namespace: computeNamespace, Name: kind.Segment(), Versions: computeVersions(), Zoned: kind == tintype.KindDisk,
		Operations: []Operation{
			{Method: http.MethodGet, Path: path, Do: h.get},
			{Method: http.MethodPut, Path: path, Do: h.put},
			{Method: http.MethodPatch, Path: path, Do: h.patch},
			{Method: http.MethodDelete, Path: path, Do: h.delete},
			{Method: http.MethodGet, Path: InGroup(kind.Type()), Do: h.list},
			{Method: http.MethodGet, Path: InSubscription(kind.Type()), Do: h.list},
			{Method: http.MethodPost, Path: path + "/beginGetAccess", Do: h.grant},
			{Method: http.MethodPost, Path: path + "/endGetAccess", Do: h.revoke},
			{Method: http.MethodPost, Path: path + "/attach", Versions: own, Do: h.attach},
			{Method: http.MethodPost, Path: path + "/detach", Versions: own, Do: h.detach},
			{Method: http.MethodGet, Path: path + "/sizes", Versions: own, Do: h.sizes},
			{Method: http.MethodGet, Path: path + "/damage", Versions: own, Do: h.damage},
		},
	}
	if kind == tintype.KindSnapshot {
		t.Operations = append(t.Operations,
			Operation{Method: http.MethodPost, Path: path + "/updateImmutabilityPolicy", Versions: own, Do: h.immutability},
			Operation{Method: http.MethodPost, Path: path + "/updateImmutabilityPolicyLock", Versions: own, Do: h.lockImmutability})
	}
	return t
}

// volumeHandler answers for disks or for snapshots.
type volumeHandler struct {
	ComputeOptions
	kind tintype.Kind
}

func (h volumeHandler) id(c *Call) tintype.ResourceID {
	return tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: h.kind, Name: c.ID.Name}
}

// accepted answers 202 to a write.
func (h volumeHandler) accepted(c *Call, a tintype.Accepted, body any) Response {
	return c.Accepted(diskOperations, a.Operation.Location, a.Operation.ID.String(), body)
}

const diskOperations = "DiskOperations"
