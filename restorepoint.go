package tintype

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The words of restore points in a resource id, behind their collection's.
const (
	pointSegment     = "restorePoints"
	diskPointSegment = "diskRestorePoints"
)

// Collection is what a collection of restore points is of: a virtual machine, a single disk, all disks of a resource group
// that are in the collection's region, or the points of another collection, which are copied here.
type Collection struct {
	UniqueID uuid.UUID
	Source   string // id, as the caller wrote it
	Location string // of the source
}

// PointID names a restore point in its collection.
type PointID struct {
	Collection ResourceID
	Name       string
}

// String writes the id as Azure does.
func (p PointID) String() string { return p.Collection.String() + "/" + pointSegment + "/" + p.Name }

// Key is the id folded to lower case.
func (p PointID) Key() string { return strings.ToLower(p.String()) }

// Disk is the id of what the point holds of one disk.
func (p PointID) Disk(name string) ResourceID {
	id := p.Collection
	id.Kind, id.Name = KindDiskPoint, id.Name+"/"+pointSegment+"/"+p.Name+"/"+diskPointSegment+"/"+name
	return id
}

// ParsePointID reads the id of a restore point, in any case.
func ParsePointID(s string) (PointID, bool) {
	id, ok := ParseResourceID(strings.TrimSuffix(s, "/") + "/" + diskPointSegment + "/x")
	if !ok {
		return PointID{}, false
	}
	return id.Point()
}

// Point is the restore point that a disk's restore point is of.
func (id ResourceID) Point() (PointID, bool) {
	part := strings.Split(id.Name, "/")
	if id.Kind != KindDiskPoint || len(part) != 5 {
		return PointID{}, false
	}
	name := part[2]
	id.Kind, id.Name = KindCollection, part[0]
	return PointID{Collection: id, Name: name}, true
}

// Short is the last segment of the id.
func (id ResourceID) Short() string { return id.Name[strings.LastIndex(id.Name, "/")+1:] }

// NotFound is what a client is told when the point does not exist.
func (p PointID) NotFound() *Error {
	return &Error{
		Kind: KindNotFound, Code: "ResourceNotFound",
		Message: fmt.Sprintf("The Resource 'Microsoft.Compute/restorePointCollections/%s/restorePoints/%s' under resource group '%s' was not "+
			"found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", p.Collection.Name, p.Name, p.Collection.Group),
	}
}

// RestorePoint is what several disks were at one moment. It never changes.
type RestorePoint struct {
	ID       PointID
	Created  time.Time
	Location string // of its disks
	Mode     string // CrashConsistent: nobody asks the guests
	Excluded []string
	Source   string // id of the point that this one is a copy of, or ""
	Machine  *Machine
	Disks    []PointDisk
}

// PointDisk is one disk of a restore point.
type PointDisk struct {
	OS         bool
	LUN        int
	Name       string // of the disk
	Disk       string // id of the disk
	Caching    string
	OSType     string
	Generation string // hyperVGeneration
	SizeGB     int64
	SKU        SKU
	Point      ResourceID // what holds the bytes
	Source     string     // id of the disk's restore point that this one is a copy of, or ""
	Encryption Encryption
}

// RestorePointRequest is what a PUT of a restore point asks for.
type RestorePointRequest struct {
	Mode     string
	Excluded []string
	Source   string
	// Encryption is that of single disks' restore points, by the id of the disk, or of the disk's restore point that is
	// copied, folded to lower case.
	Encryption map[string]Encryption
	// Checked are the disks that the point may hold when the collection's source is a machine.
	Checked CheckedDisks
}

// maxExcluded bounds the disks that a restore point leaves out.
const maxExcluded = 65

// Check bounds the request.
func (r RestorePointRequest) Check() error {
	modes := []string{"", CrashConsistent, "FileSystemConsistent", "ApplicationConsistent"}
	switch {
	case !slices.Contains(modes, r.Mode):
		return badValue("consistencyMode")
	case r.Mode != "" && r.Mode != CrashConsistent:
		return InvalidParameter("consistencyMode", "The consistency mode '%s' is not supported: this server has no agent in the guest "+
			"that could bring its applications or file systems to rest. Supported consistency modes are %s.", r.Mode, CrashConsistent)
	case len(r.Excluded) > maxExcluded:
		return InvalidParameter("excludeDisks", "At most %d disks can be excluded.", maxExcluded)
	}
	for _, text := range r.Excluded {
		if id, ok := ParseResourceID(text); !ok || id.Kind != KindDisk {
			return badValue("excludeDisks.id")
		}
	}
	return nil
}

// CrashConsistent is the mode of every restore point: what a power cut at that moment would have left on the disks.
const CrashConsistent = "CrashConsistent"

// NewCollection checks what a new collection in the region is of. What the id names is looked up elsewhere.
func NewCollection(source string, id uuid.UUID) (*Collection, error) {
	if source == "" {
		return nil, MissingParameter("properties.source.id")
	}
	found, ok := ParseResourceID(source)
	sources := []Kind{KindMachine, KindDisk, KindCollection}
	if _, group := ParseGroupID(source); !group && (!ok || !slices.Contains(sources, found.Kind)) {
		return nil, badValue("properties.source.id")
	}
	return &Collection{UniqueID: id, Source: source}, nil
}

// ParseGroupID reads the id of a resource group, in any case.
func ParseGroupID(s string) (g Group, ok bool) {
	part := strings.Split(strings.Trim(s, "/"), "/")
	if len(s) > 1024 || len(part) != 4 || !strings.EqualFold(part[0], "subscriptions") || !strings.EqualFold(part[2], "resourceGroups") {
		return g, false
	}
	sub, err := ParseSubscriptionID(part[1])
	return Group{Subscription: sub, Name: part[3]}, err == nil && part[3] != ""
}
