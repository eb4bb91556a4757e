package tintype

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// CreateOption says where a new volume's bytes come from.
type CreateOption string

// The create options that are carried out. All others of Azure's are refused by name.
const (
	CreateEmpty  CreateOption = "Empty"
	CreateCopy   CreateOption = "Copy"
	CreateUpload CreateOption = "Upload"
	// CreateCopyStart copies an incremental snapshot from another region.
	CreateCopyStart CreateOption = "CopyStart"
	// CreateImport copies a fixed VHD from a URL.
	CreateImport CreateOption = "Import"
	// CreateRestore makes a disk of a restore point of one.
	CreateRestore CreateOption = "Restore"
	// CreateUploadSecure and CreateImportSecure bring the guest state of a virtual machine along.
	CreateUploadSecure CreateOption = "UploadPreparedSecure"
	CreateImportSecure CreateOption = "ImportSecure"
	// CreateFromImage makes a disk of one of an image's.
	CreateFromImage CreateOption = "FromImage"
)

func createOptions() []CreateOption {
	return []CreateOption{
		CreateEmpty, CreateCopy, CreateUpload, CreateCopyStart, CreateRestore, CreateImport, CreateFromImage, CreateUploadSecure, CreateImportSecure,
	}
}

// Copies tells that the bytes come from another disk, snapshot, restore point or image.
func (o CreateOption) Copies() bool {
	return o == CreateCopy || o == CreateCopyStart || o == CreateRestore || o == CreateFromImage
}

// Creation is where a volume's bytes came from. It never changes.
type Creation struct {
	Option         CreateOption
	Source         string    // as the caller wrote it; for Copy, and of an image
	LUN            *int64    // of an image's data disk; for FromImage
	SourceUniqueID uuid.UUID // of the source as it was then; for Copy
	UploadBytes    int64     // footer included; for Upload
	SourceURI      string    // without its signature; for Import
	SecurityURI    string    // of the guest state, likewise; for ImportSecure
	StorageAccount string    // id, kept and shown; for Import
	SectorSize     int64     // 0, 512 or 4096
	Performance    bool      // performancePlus: kept and shown
	CopySpeed      string    // provisionedBandwidthCopySpeed: kept and shown
	InstantMinutes int64     // instantAccessDurationMinutes
}

// otherOptions lists the create options of Azure that are not carried out here.
const otherOptions = " Attach CopyFromSanSnapshot "

// CreationRequest is a creation as a client asks for it.
type CreationRequest struct {
	Option           string
	SourceResourceID string
	SourceURI        string
	StorageAccountID string
	SecurityDataURI  string
	ImportBytes      int64 // of the image's data, found out beforehand
	SecurityBytes    int64 // of the guest state's, likewise
	UploadBytes      *int64
	SectorSize       *int64
	PerformancePlus  *bool
	InstantAccess    *int64 // minutes
	CopySpeed        string
	Remote           *Volume // the source at another server, found out beforehand
	Image            *ImageReference
}

// Source is what a Copy is made of. Azure PowerShell names it in sourceUri.
func (r CreationRequest) Source() string {
	if r.SourceResourceID == "" && strings.EqualFold(r.Option, string(CreateCopy)) {
		return r.SourceURI
	}
	return r.SourceResourceID
}

// Check bounds the request for a new resource of the kind and says what it means. The source is not looked up.
func (r CreationRequest) Check(kind Kind) (Creation, error) {
	c := Creation{Option: CreateOption(r.Option)}
	for _, known := range createOptions() {
		if strings.EqualFold(r.Option, string(known)) {
			c.Option = known
		}
	}
	switch {
	case c.Option == "":
		return c, MissingParameter("creationData.createOption")
	case !slices.Contains(kind.createOptions(), c.Option):
		return c, r.refuse(kind)
	}
	if err := r.checkFields(&c); err != nil {
		return c, err
	}
	return c, nil
}

// refuse words why an option other than ours can't be had.
func (r CreationRequest) refuse(kind Kind) error {
	known := slices.Contains(createOptions(), CreateOption(r.Option)) || CreateOption(r.Option) == CreateUpload
	if !known && !strings.Contains(otherOptions, " "+r.Option+" ") || strings.Contains(r.Option, " ") {
		return badValue("creationData.createOption")
	}
	return InvalidParameter("creationData.createOption",
		"The create option '%s' is not supported for resource type %s. Supported create options are %s.",
		r.Option, kind.Noun(), kind.createOptionNames())
}

func (k Kind) createOptions() []CreateOption {
	if k == KindSnapshot {
		return []CreateOption{CreateEmpty, CreateCopy, CreateUpload, CreateCopyStart, CreateImport}
	}
	return []CreateOption{CreateEmpty, CreateCopy, CreateUpload, CreateRestore, CreateImport, CreateFromImage, CreateUploadSecure, CreateImportSecure}
}

func (k Kind) createOptionNames() string {
	var names []string
	for _, o := range k.createOptions() {
		names = append(names, string(o))
	}
	return strings.Join(names, ",")
}

func (r CreationRequest) checkFields(c *Creation) error {
	switch c.Option {
	case CreateCopy, CreateCopyStart, CreateRestore:
		if c.Source = r.Source(); c.Source == "" {
			return MissingParameter("creationData.sourceResourceId")
		}
	case CreateFromImage:
		if r.Image == nil {
			return MissingParameter("creationData.imageReference")
		}
		c.Source, c.LUN = r.Image.ID, r.Image.LUN
	case CreateImport, CreateImportSecure:
		if r.SourceURI == "" {
			return MissingParameter("sourceUri")
		}
		if len(r.SourceURI) > 4096 || len(r.StorageAccountID) > 1024 {
			return badValue("creationData.sourceUri")
		}
		c.SourceURI, c.SecurityURI = sourceBlob(r.SourceURI), sourceBlob(r.SecurityDataURI)
		c.StorageAccount = r.StorageAccountID
	case CreateUpload, CreateUploadSecure:
		if r.UploadBytes == nil {
			return MissingParameter("creationData.uploadSizeBytes")
		}
		if *r.UploadBytes < MinUploadBytes || *r.UploadBytes > MaxUploadBytes {
			return outOfRange("creationData.uploadSizeBytes", *r.UploadBytes, MinUploadBytes, MaxUploadBytes)
		}
		if *r.UploadBytes%512 != 0 {
			return InvalidParameter("creationData.uploadSizeBytes",
				"The value '%d' of parameter 'creationData.uploadSizeBytes' is invalid. It must be a multiple of 512.", *r.UploadBytes)
		}
		c.UploadBytes = *r.UploadBytes
	}
	if r.SectorSize != nil && *r.SectorSize != 0 {
		if *r.SectorSize != 512 && *r.SectorSize != LargeSector {
			return InvalidParameter("creationData.logicalSectorSize",
				"The value '%d' of parameter 'creationData.logicalSectorSize' is not supported. Supported values are 512,4096.", *r.SectorSize)
		}
		c.SectorSize = *r.SectorSize
	}
	if m := r.InstantAccess; m != nil {
		if *m < minInstant || *m > maxInstant {
			return outOfRange("creationData.instantAccessDurationMinutes", *m, minInstant, maxInstant)
		}
		c.InstantMinutes = *m
	}
	if r.CopySpeed != "" && r.CopySpeed != "None" && r.CopySpeed != "Enhanced" {
		return badValue("creationData.provisionedBandwidthCopySpeed")
	}
	if c.Option == CreateCopyStart {
		c.CopySpeed = r.CopySpeed
	}
	c.Performance = r.PerformancePlus != nil && *r.PerformancePlus
	return nil
}

// Bounds of instantAccessDurationMinutes. Source: Azure's page on instant access snapshots.
const (
	minInstant = 60
	maxInstant = 300
)

// CheckInstant refuses instant access to what is no snapshot of a disk that needs it. source is nil when there is none.
func (c Creation) CheckInstant(kind Kind, source *Volume) error {
	if c.InstantMinutes == 0 || kind == KindSnapshot && source != nil && source.ID.Kind == KindDisk && source.SKU.Adjustable() {
		return nil
	}
	return InvalidParameter("creationData.instantAccessDurationMinutes",
		"The parameter 'creationData.instantAccessDurationMinutes' is only supported for snapshots of disks with SKU PremiumV2_LRS or UltraSSD_LRS.")
}

// sourceBlob is the URL of an image without its signature.
func sourceBlob(uri string) string {
	blob, _, _ := strings.Cut(uri, "?")
	return blob
}

// Same tells whether a PUT of an existing resource repeats its creation; what names the difference is returned.
func (c Creation) Same(r CreationRequest) (property string, same bool) {
	switch {
	case !strings.EqualFold(r.Option, string(c.Option)):
		return "createOption", false
	case c.Option == CreateFromImage:
		return "imageReference", r.Image == nil || ScopeKey(r.Image.ID) == ScopeKey(c.Source) && equalPtr(r.Image.LUN, c.LUN)
	case c.Option.Copies() && !strings.EqualFold(strings.Trim(r.Source(), "/"), strings.Trim(c.Source, "/")):
		return "sourceResourceId", false
	case c.Option.Imports() && sourceBlob(r.SourceURI) != c.SourceURI:
		return "sourceUri", false
	case c.Option == CreateImportSecure && sourceBlob(r.SecurityDataURI) != c.SecurityURI:
		return "securityDataUri", false
	case c.Option.Imports() && !strings.EqualFold(r.StorageAccountID, c.StorageAccount):
		return "storageAccountId", false
	case r.PerformancePlus != nil && *r.PerformancePlus != c.Performance:
		return "performancePlus", false
	case r.SectorSize != nil && !c.Option.Copies() && max(512, *r.SectorSize) != max(512, c.SectorSize): // a copy has its source's
		return "logicalSectorSize", false
	case c.Option.Uploads() && r.UploadBytes != nil && *r.UploadBytes != c.UploadBytes:
		return "uploadSizeBytes", false
	}
	return "", true
}

func equalPtr[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// LargeSector is the logical sector that Ultra and Premium SSD v2 disks have unless 512 is asked for.
const LargeSector = 4096

// SettleSector fixes the sector size of a new volume: a copy has its source's, and only skus with adjustable performance
// have large ones.
func (v *Volume) SettleSector(source *Volume) error {
	c := &v.Creation
	switch {
	case source != nil:
		c.SectorSize = source.Creation.SectorSize
	case c.SectorSize == 0 && v.SKU.Adjustable():
		c.SectorSize = LargeSector
	}
	if c.SectorSize == LargeSector && v.ID.Kind == KindDisk && !v.SKU.Adjustable() {
		return InvalidParameter("creationData.logicalSectorSize", "The value '%d' of parameter 'creationData.logicalSectorSize' is not "+
			"supported for SKU %s. Supported values are 512.", c.SectorSize, v.SKU)
	}
	return nil
}
