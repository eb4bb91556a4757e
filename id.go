package tintype

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// SubscriptionID names a subscription: a GUID in lower case.
type SubscriptionID string

// ParseSubscriptionID checks that s is a GUID.
func ParseSubscriptionID(s string) (SubscriptionID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return "", &Error{
			Kind: KindInvalid, Code: "InvalidSubscriptionId", Target: "subscriptionId",
			Message: fmt.Sprintf("The provided subscription identifier '%.64s' is malformed or invalid.", s),
		}
	}
	return SubscriptionID(id.String()), nil
}

// Kind tells the resource types apart: those that hold a volume first, then their companions.
type Kind uint8

// The kinds of resource.
const (
	KindDisk Kind = iota + 1
	KindSnapshot
	KindDiskAccess
	KindEncryptionSet
	KindCollection // a collection of restore points
	KindDiskPoint  // what a restore point holds of one disk: a volume, inside a collection
	KindMachine    // a virtual machine
	KindImage
	KindImageDisk // what an image holds of one disk: a volume, inside an image
	KindDiskGuest // the guest state of a disk, of a snapshot, and of a disk's restore point: volumes inside them
	KindSnapshotGuest
	KindPointGuest
)

// kindWords are the words of each kind: in a resource id, and in a sentence.
func kindWords() [KindPointGuest + 1]struct{ segment, noun string } {
	return [...]struct{ segment, noun string }{
		KindDisk:          {"disks", "disk"},
		KindSnapshot:      {"snapshots", "snapshot"},
		KindDiskAccess:    {"diskAccesses", "diskAccess"},
		KindEncryptionSet: {"diskEncryptionSets", "diskEncryptionSet"},
		KindCollection:    {"restorePointCollections", "restorePointCollection"},
		KindDiskPoint:     {"restorePointCollections", "diskRestorePoint"},
		KindMachine:       {"virtualMachines", "virtualMachine"},
		KindImage:         {"images", "image"},
		KindImageDisk:     {"images", "imageDisk"},
		KindDiskGuest:     {"disks", "guest state of a disk"},
		KindSnapshotGuest: {"snapshots", "guest state of a snapshot"},
		KindPointGuest:    {"restorePointCollections", "guest state of a disk's restore point"},
	}
}

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		KindDisk, KindSnapshot, KindDiskAccess, KindEncryptionSet, KindCollection, KindDiskPoint, KindMachine, KindImage, KindImageDisk, KindDiskGuest,
		KindSnapshotGuest, KindPointGuest,
	}
}

// Volume tells that resources of the kind hold a volume: disks, snapshots, and disks' restore points.
func (k Kind) Volume() bool { return k == KindDisk || k == KindSnapshot || k == KindDiskPoint }

// Inner tells that resources of the kind hold a volume inside of another resource, with which it comes and goes.
func (k Kind) Inner() bool { return k == KindDiskPoint || k >= KindImageDisk }

// Segment is the kind's word in a resource id, such as "disks".
func (k Kind) Segment() string { return kindWords()[k].segment }

// Noun is the kind's word in a sentence, such as "disk".
func (k Kind) Noun() string { return kindWords()[k].noun }

// Type is the kind as a resource type, such as "Microsoft.Compute/disks".
func (k Kind) Type() string {
	switch k {
	case KindDiskPoint:
		return "Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints"
	case KindImageDisk:
		return "Microsoft.Compute/images/disks"
	}
	return "Microsoft.Compute/" + k.Segment()
}

// ResourceID names a disk, a snapshot or one of their companions. It keeps the case in which it was written; two ids are the same when their
// keys are. The Name of a disk's restore point is all that follows the type, "COLLECTION/restorePoints/POINT/diskRestorePoints/NAME"; that of an image's disk is "IMAGE/disks/NAME", that of a
// guest state "DISK/guestState/vmgs".
type ResourceID struct {
	Subscription SubscriptionID
	Group        string
	Kind         Kind
	Name         string
}

// String writes the id as Azure does.
func (id ResourceID) String() string {
	return "/subscriptions/" + string(id.Subscription) + "/resourceGroups/" + id.Group +
		"/providers/Microsoft.Compute/" + id.Kind.Segment() + "/" + id.Name
}

// Key is the id folded to lower case, for comparing and looking up.
func (id ResourceID) Key() string { return strings.ToLower(id.String()) }

// GroupKey is the key of the resource group that holds the resource.
func (id ResourceID) GroupKey() string { return GroupKey(id.Subscription, id.Group) }

// ParseResourceID reads the id of a resource of any kind, in any case. Anything else gives ok false.
func ParseResourceID(s string) (id ResourceID, ok bool) {
	if len(s) > 1024 {
		return ResourceID{}, false
	}
	part := strings.Split(strings.TrimSuffix(strings.TrimPrefix(s, "/"), "/"), "/")
	if len(part) != 8 && len(part) != 10 && len(part) != 12 && len(part) != 14 || !strings.EqualFold(part[0], "subscriptions") || !strings.EqualFold(part[2], "resourceGroups") ||
		!strings.EqualFold(part[4], "providers") || !strings.EqualFold(part[5], "Microsoft.Compute") {
		return ResourceID{}, false
	}
	sub, err := ParseSubscriptionID(part[1])
	if err != nil {
		return ResourceID{}, false
	}
	id = ResourceID{Subscription: sub, Group: part[3], Name: part[7]}
	switch len(part) {
	case 10:
		if strings.EqualFold(part[8], guestSegment) {
			return guestID(id, part)
		}
		return imageDiskID(id, part)
	case 12:
		return diskPointID(id, part)
	case 14:
		return pointGuestID(id, part)
	}
	for _, k := range Kinds() {
		if !k.Inner() && strings.EqualFold(part[6], k.Segment()) {
			id.Kind = k
		}
	}
	return id, id.Kind != 0 && id.Group != "" && id.Name != ""
}

// diskPointID reads the parts of the id of a disk's restore point.
func diskPointID(id ResourceID, part []string) (ResourceID, bool) {
	id.Kind, id.Name = KindDiskPoint, strings.Join(part[7:], "/")
	ok := strings.EqualFold(part[6], KindDiskPoint.Segment()) && strings.EqualFold(part[8], pointSegment) &&
		strings.EqualFold(part[10], diskPointSegment) && id.Group != "" && part[7] != "" && part[9] != "" && part[11] != ""
	return id, ok
}

// NotFound is what a client is told when the resource does not exist; az matches on it.
func (id ResourceID) NotFound() *Error {
	return &Error{
		Kind: KindNotFound, Code: "ResourceNotFound",
		Message: fmt.Sprintf("The Resource '%s/%s' under resource group '%s' was not found. "+
			"For more details please go to https://aka.ms/ARMResourceNotFoundFix",
			"Microsoft.Compute/"+id.Kind.Segment(), id.Name, id.Group),
	}
}
