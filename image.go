package tintype

import (
	"fmt"
	"slices"
	"strings"
)

// Image is what the disks of new virtual machines are made of. It holds its bytes by itself: what it was made of may go.
type Image struct {
	Generation string // hyperVGeneration
	Machine    string // id of the virtual machine that it is of, or ""
	Zoned      *bool  // zoneResilient
	OS         ImageDisk
	Data       []ImageDisk // in the order of their LUNs
	Creating   bool        // blobs are still being copied
}

// ImageDisk is one disk of an image.
type ImageDisk struct {
	LUN             int    // of data disks only
	OSType, OSState string // of the system's disk only
	Source          ImageSource
	Caching         string
	SizeGB          int64
	Storage         string // storageAccountType: kept and shown
	SetID           string // diskEncryptionSet
	Volume          ResourceID
}

// ImageSource is what a disk of an image is made of: exactly one of them is set.
type ImageSource struct {
	Snapshot, Disk string // ids, as the caller wrote them
	BlobURI        string // without its signature
}

// Clone copies the image deeply enough that neither copy's change is seen in the other.
func (i Image) Clone() Image {
	i.Zoned, i.Data = clonePtr(i.Zoned), slices.Clone(i.Data)
	return i
}

// Disks lists the image's disks, that of the system first.
func (i Image) Disks() []ImageDisk { return append([]ImageDisk{i.OS}, i.Data...) }

// Disk finds the data disk at the LUN, or with nil the system's disk.
func (i Image) Disk(lun *int64) (ImageDisk, bool) {
	if lun == nil {
		return i.OS, true
	}
	for _, d := range i.Data {
		if int64(d.LUN) == *lun {
			return d, true
		}
	}
	return ImageDisk{}, false
}

// imageDiskSegment is the word, behind an image's id, in the ids of what it holds. Azure has no such resources.
const imageDiskSegment = "disks"

// ImageDiskID is the id of what the image holds of one disk: name is "os" or a LUN.
func (id ResourceID) ImageDiskID(name string) ResourceID {
	id.Kind, id.Name = KindImageDisk, id.Name+"/"+imageDiskSegment+"/"+name
	return id
}

// Image is the image of which an image's disk is.
func (id ResourceID) Image() (ResourceID, bool) {
	name, _, ok := strings.Cut(id.Name, "/")
	ok = ok && id.Kind == KindImageDisk
	id.Kind, id.Name = KindImage, name
	return id, ok
}

// imageDiskID reads the parts of the id of an image's disk.
func imageDiskID(id ResourceID, part []string) (ResourceID, bool) {
	id.Kind, id.Name = KindImageDisk, strings.Join(part[7:], "/")
	ok := strings.EqualFold(part[6], KindImage.Segment()) && strings.EqualFold(part[8], imageDiskSegment) &&
		id.Group != "" && part[7] != "" && part[9] != ""
	return id, ok
}

// ImageRequest is what a PUT or PATCH of an image asks for. Nil or empty means: not said.
type ImageRequest struct {
	Generation string
	Machine    string
	Zoned      *bool
	OS         *ImageDiskRequest
	Data       []ImageDiskRequest
	// Checked are the machine's disks that the image may be made of.
	Checked CheckedDisks
}

// ImageDiskRequest is one disk of an image as a client asks for it.
type ImageDiskRequest struct {
	LUN             *int
	OSType, OSState string
	Source          ImageSource
	Caching         string
	SizeGB          *int64
	Storage         string
	SetID           string
	Bytes           int64 // of a blob's data, found out beforehand
}

// Check bounds the request for a new image. What it names is looked up elsewhere.
func (r ImageRequest) Check() error {
	switch {
	case !slices.Contains([]string{"", "V1", "V2"}, r.Generation):
		return badValue("hyperVGeneration")
	case r.Machine != "" && (r.OS != nil || len(r.Data) > 0):
		return InvalidParameter("sourceVirtualMachine", "Parameters 'sourceVirtualMachine' and 'storageProfile' cannot both name the disks of an image.")
	case r.Machine != "":
		if id, ok := ParseResourceID(r.Machine); !ok || id.Kind != KindMachine {
			return badValue("sourceVirtualMachine.id")
		}
		return nil
	case r.OS == nil:
		return MissingParameter("storageProfile.osDisk")
	case len(r.Data) > maxDataDisks:
		return InvalidParameter("storageProfile.dataDisks", "An image can have at most %d data disks.", maxDataDisks)
	}
	if err := r.checkOS(); err != nil {
		return err
	}
	luns := map[int]bool{}
	for _, d := range r.Data {
		switch {
		case d.LUN == nil:
			return MissingParameter("dataDisk.lun")
		case *d.LUN < 0 || *d.LUN >= maxDataDisks:
			return outOfRange("dataDisk.lun", int64(*d.LUN), 0, maxDataDisks-1)
		case luns[*d.LUN]:
			return NotAllowed("A disk at LUN %d already exists.", *d.LUN)
		}
		luns[*d.LUN] = true
		if err := d.check("dataDisk"); err != nil {
			return err
		}
	}
	return nil
}

func (r ImageRequest) checkOS() error {
	switch {
	case r.OS.OSType == "":
		return MissingParameter("osDisk.osType")
	case r.OS.OSState == "":
		return MissingParameter("osDisk.osState")
	case !slices.Contains([]string{"Windows", "Linux"}, r.OS.OSType):
		return badValue("osDisk.osType")
	case !slices.Contains([]string{"Generalized", "Specialized"}, r.OS.OSState):
		return badValue("osDisk.osState")
	}
	return r.OS.check("osDisk")
}

func (d ImageDiskRequest) check(target string) error {
	named := 0
	for _, s := range []string{d.Source.Snapshot, d.Source.Disk, d.Source.BlobURI} {
		if s != "" {
			named++
		}
	}
	switch {
	case named == 0:
		return InvalidParameter(target, "One of the parameters '%s.managedDisk', '%s.snapshot' and '%s.blobUri' is required.", target, target, target)
	case named > 1:
		return InvalidParameter(target, "Only one of the parameters '%s.managedDisk', '%s.snapshot' and '%s.blobUri' can be set.", target, target, target)
	case len(d.Source.BlobURI) > 4096:
		return badValue(target + ".blobUri")
	case !slices.Contains([]string{"", "None", "ReadOnly", "ReadWrite"}, d.Caching):
		return badValue(target + ".caching")
	}
	for _, s := range []struct {
		id   string
		kind Kind
		name string
	}{
		{d.Source.Snapshot, KindSnapshot, "snapshot"}, {d.Source.Disk, KindDisk, "managedDisk"}, {d.SetID, KindEncryptionSet, "diskEncryptionSet"},
	} {
		if id, ok := ParseResourceID(s.id); s.id != "" && (!ok || id.Kind != s.kind) {
			return badValue(target + "." + s.name + ".id")
		}
	}
	storage := []SKU{"", StandardLRS, StandardZRS, StandardSSDLRS, StandardSSDZRS, PremiumLRS, PremiumZRS}
	if target == "dataDisk" {
		storage = append(storage, UltraSSDLRS, PremiumV2LRS)
	}
	if !slices.Contains(storage, SKU(d.Storage)) {
		return badValue(target + ".storageAccountType")
	}
	return nil
}

// New makes the disk of an image, whose bytes volume will hold, as a request that was checked wants it.
func (d ImageDiskRequest) New(volume ResourceID, bytes int64, zoned bool) (ImageDisk, error) {
	out := ImageDisk{
		OSType: d.OSType, OSState: d.OSState, Source: d.Source, Caching: d.Caching, Storage: d.Storage, SetID: d.SetID, Volume: volume,
		SizeGB: (bytes + GiB - 1) / GiB,
	}
	out.Source.BlobURI, _, _ = strings.Cut(d.Source.BlobURI, "?")
	if d.LUN != nil {
		out.LUN = *d.LUN
	}
	if out.Caching == "" {
		out.Caching = "None"
	}
	if out.Storage == "" {
		out.Storage = string(StandardLRS)
		if zoned {
			out.Storage = string(StandardZRS)
		}
	}
	if d.SizeGB == nil {
		return out, nil
	}
	if *d.SizeGB < out.SizeGB || *d.SizeGB > MaxSizeGB {
		return out, outOfRange("diskSizeGB", *d.SizeGB, out.SizeGB, MaxSizeGB)
	}
	out.SizeGB = *d.SizeGB
	return out, nil
}

// Differs names what the request would change of an existing image, "" when nothing: of images only tags can change.
func (i Image) Differs(r ImageRequest) string {
	switch {
	case r.Generation != "" && r.Generation != i.Generation:
		return "hyperVGeneration"
	case r.Machine != "" && ScopeKey(r.Machine) != ScopeKey(i.Machine):
		return "sourceVirtualMachine.id"
	case r.Zoned != nil && *r.Zoned != (i.Zoned != nil && *i.Zoned):
		return "storageProfile.zoneResilient"
	case r.OS != nil && i.OS.differs(*r.OS) != "":
		return "osDisk." + i.OS.differs(*r.OS)
	}
	if len(r.Data) > 0 && len(r.Data) != len(i.Data) {
		return "dataDisks"
	}
	for _, want := range r.Data {
		lun := int64(-1)
		if want.LUN != nil {
			lun = int64(*want.LUN)
		}
		have, ok := i.Disk(&lun)
		if !ok {
			return "dataDisks"
		}
		if what := have.differs(want); what != "" {
			return "dataDisk." + what
		}
	}
	return ""
}

func (d ImageDisk) differs(r ImageDiskRequest) string {
	plain, _, _ := strings.Cut(r.Source.BlobURI, "?")
	for _, f := range []struct{ name, want, have string }{
		{"osType", r.OSType, d.OSType},
		{"osState", r.OSState, d.OSState},
		{"snapshot.id", ScopeKey(r.Source.Snapshot), ScopeKey(d.Source.Snapshot)},
		{"managedDisk.id", ScopeKey(r.Source.Disk), ScopeKey(d.Source.Disk)},
		{"blobUri", plain, d.Source.BlobURI},
		{"caching", r.Caching, d.Caching},
		{"storageAccountType", r.Storage, d.Storage},
		{"diskEncryptionSet.id", ScopeKey(r.SetID), ScopeKey(d.SetID)},
	} {
		if f.want != "" && f.want != f.have {
			return f.name
		}
	}
	if r.SizeGB != nil && *r.SizeGB != d.SizeGB {
		return "diskSizeGB"
	}
	return ""
}

// NeedsGeneralized refuses an image of a machine that nobody has said to be generalized.
func NeedsGeneralized(machine string) *Error {
	return NotAllowed("The operation 'Create Image' requires the Virtual Machine '%s' to be Generalized.", machine)
}

// NoSecureImage refuses an image of a machine that has a guest state: Azure has no managed images of these.
func NoSecureImage(security string) *Error {
	return NotAllowed("Creation of managed images are not supported for virtual machine with %s security type.", security)
}

// ImageReference names the image that a disk is made of.
type ImageReference struct {
	ID  string
	LUN *int64 // of one of its data disks; nil: the system's disk
	// Gallery is the id of an image in a gallery, shared or not. This server has none.
	Gallery string
	// Platform is an image of Azure's marketplace, PUBLISHER:OFFER:SKU:VERSION. Nor of these.
	Platform string
}

// Elsewhere tells that the reference is to an image of a gallery or of the marketplace.
func (r ImageReference) Elsewhere() bool { return r.Gallery != "" || r.Platform != "" }

// Find checks that the reference, target in the request, is to an image that can exist here, and gives its id.
func (r ImageReference) Find(target, location string) (ResourceID, error) {
	if r.Gallery != "" {
		return ResourceID{}, &Error{
			Kind: KindNotFound, Code: "GalleryImageNotFound", Target: "imageReference",
			Message: fmt.Sprintf("The gallery image %.500s is not available in %s region. Please contact image owner to replicate to this region, "+
				"or change your requested region.", r.Gallery, location),
		}
	}
	if r.Platform != "" {
		return ResourceID{}, PlatformImageNotFound(r.Platform)
	}
	if r.ID == "" {
		return ResourceID{}, MissingParameter(target + ".id")
	}
	if name, ok := platformImage(r.ID); ok {
		return ResourceID{}, PlatformImageNotFound(name)
	}
	id, ok := ParseResourceID(r.ID)
	if !ok || id.Kind != KindImage {
		return ResourceID{}, badValue(target + ".id")
	}
	return id, nil
}

// PlatformImageNotFound refuses an image of Azure's marketplace, PUBLISHER:OFFER:SKU:VERSION: this server has none of them.
func PlatformImageNotFound(name string) *Error {
	return &Error{
		Kind: KindNotFound, Code: "PlatformImageNotFound", Target: "imageReference",
		Message: fmt.Sprintf("The platform image '%.300s' is not available. Verify that all fields in the storage profile are correct. "+
			"For more details about storage profile information, please refer to https://aka.ms/storageprofile", name),
	}
}

// platformImage reads the id of an image of the marketplace.
func platformImage(id string) (name string, ok bool) {
	part := strings.Split(strings.Trim(id, "/"), "/")
	if len(id) > 1024 || len(part) != 16 {
		return "", false
	}
	for i, word := range map[int]string{
		0: "subscriptions", 2: "providers", 3: "Microsoft.Compute", 4: "locations", 6: "publishers", 8: "artifacttypes", 9: "vmimage",
		10: "offers", 12: "skus", 14: "versions",
	} {
		if !strings.EqualFold(part[i], word) {
			return "", false
		}
	}
	return strings.Join([]string{part[7], part[11], part[13], part[15]}, ":"), true
}
