package tintype

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// GuestStateBytes is the size of the guest state that an upload brings, a VHD's footer apart.
const GuestStateBytes int64 = 4 << 20

// MaxGuestStateBytes bounds a guest state that is imported.
const MaxGuestStateBytes int64 = 64 << 20

// guestSegment and guestName are the words, behind the id of a disk or snapshot, in the id of its guest state. Azure has no such resources.
const (
	guestSegment = "guestState"
	guestName    = "vmgs"
)

// GuestState is the id of the guest state of a disk, a snapshot or a disk's restore point: what a trusted launch or confidential virtual machine keeps beside its
// system's disk, such as the contents of its TPM.
func (id ResourceID) GuestState() ResourceID {
	kind := KindDiskGuest
	switch id.Kind {
	case KindSnapshot:
		kind = KindSnapshotGuest
	case KindDiskPoint:
		kind = KindPointGuest
	}
	id.Kind, id.Name = kind, id.Name+"/"+guestSegment+"/"+guestName
	return id
}

// guestID reads the parts of the id of a guest state.
func guestID(id ResourceID, part []string) (ResourceID, bool) {
	id.Kind, id.Name = KindDiskGuest, strings.Join(part[7:], "/")
	if strings.EqualFold(part[6], KindSnapshotGuest.Segment()) {
		id.Kind = KindSnapshotGuest
	}
	ok := strings.EqualFold(part[6], id.Kind.Segment()) && strings.EqualFold(part[8], guestSegment) &&
		strings.EqualFold(part[9], guestName) && id.Group != "" && part[7] != ""
	return id, ok
}

// pointGuestID reads the parts of the id of the guest state of a disk's restore point.
func pointGuestID(id ResourceID, part []string) (ResourceID, bool) {
	of, ok := diskPointID(id, part[:12])
	if !ok || !strings.EqualFold(part[12], guestSegment) || !strings.EqualFold(part[13], guestName) {
		return of, false
	}
	of.Kind, of.Name = KindPointGuest, strings.Join(part[7:], "/")
	return of, true
}

// Guest tells that resources of the kind hold a guest state.
func (k Kind) Guest() bool {
	return k == KindDiskGuest || k == KindSnapshotGuest || k == KindPointGuest
}

// NewGuest is the volume that holds the guest state of v, which keeps it where and under which key v is kept.
func (v Volume) NewGuest(size int64) Volume {
	g := Volume{
		ID: v.ID.GuestState(), UniqueID: uuid.New(), Created: v.Created, Location: v.Location, SKU: v.SKU, Tags: v.Tags, Size: size, Creation: Creation{Option: CreateEmpty},
		State: Unattached, Provisioning: StateSucceeded, Store: uuid.New(),
	}
	g.FollowKey(v)
	if v.State == ReadyToUpload {
		g.State = ReadyToUpload
	}
	return g
}

// FollowKey has a guest state be under the key of v.
func (v *Volume) FollowKey(owner Volume) {
	v.Settings.Encryption, v.Settings.SecurityProfile = owner.Settings.Encryption, clonePtr(owner.Settings.SecurityProfile)
}

// NoGuestState refuses access to what a disk or snapshot has not.
func NoGuestState() *Error {
	return InvalidParameter("grantAccessData.getSecureVMGuestStateSAS",
		"The disk or snapshot has no VM guest state: getSecureVMGuestStateSAS must not be set.")
}

// Secure tells that the option brings the guest state of a virtual machine along.
func (o CreateOption) Secure() bool { return o == CreateUploadSecure || o == CreateImportSecure }

// Uploads tells that a client writes the bytes.
func (o CreateOption) Uploads() bool { return o == CreateUpload || o == CreateUploadSecure }

// Imports tells that the bytes come from a URL.
func (o CreateOption) Imports() bool { return o == CreateImport || o == CreateImportSecure }

// CheckSecure refuses a guest state for a disk that can't have one, and a blob of one with another option than ImportSecure.
func (d Desired) CheckSecure(o CreateOption) error {
	switch {
	case d.Creation.SecurityDataURI != "" && o != CreateImportSecure:
		return InvalidParameter("creationData.securityDataUri", "The parameter 'creationData.securityDataUri' is only supported with createOption 'ImportSecure'.")
	case !o.Secure():
		return nil
	case o == CreateImportSecure && d.Creation.SecurityDataURI == "":
		return MissingParameter("creationData.securityDataUri")
	case len(d.Creation.SecurityDataURI) > 4096:
		return badValue("creationData.securityDataUri")
	case d.SecurityProfile == nil || d.SecurityProfile.Type == "":
		return MissingParameter("securityProfile.securityType")
	case d.HyperVGeneration == "V1":
		return InvalidParameter("hyperVGeneration", "The create option '%s' is only supported with hyperVGeneration 'V2'.", o)
	}
	return nil
}

func (s SecurityProfile) check() error {
	switch {
	case s.Type == confidentialDisk && s.EncryptionSetID == "":
		return MissingParameter("securityProfile.secureVMDiskEncryptionSetId")
	case s.Type == confidentialDisk:
		if id, ok := ParseResourceID(s.EncryptionSetID); !ok || id.Kind != KindEncryptionSet {
			return badValue("securityProfile.secureVMDiskEncryptionSetId")
		}
	case s.EncryptionSetID != "":
		return InvalidParameter("securityProfile.secureVMDiskEncryptionSetId", "The parameter 'securityProfile.secureVMDiskEncryptionSetId' is only "+
			"supported with securityType '%s'.", confidentialDisk)
	case s.Type != "" && s.Type != trustedLaunch && !slices.Contains(confidential(), s.Type):
		return badValue("securityProfile.securityType")
	}
	return nil
}

// confidentialDisk is the security type of disks under the key of an encryption set for confidential virtual machines.
const confidentialDisk = "ConfidentialVM_DiskEncryptedWithCustomerKey"

// confidentialPlatform is that of disks that are encrypted too, under the platform's key.
const confidentialPlatform = "ConfidentialVM_DiskEncryptedWithPlatformKey"

// confidential lists the other security types of confidential virtual machines that disks can have here.
func confidential() []string {
	return []string{
		"ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey", "ConfidentialVM_DiskEncryptedWithPlatformKey", "ConfidentialVM_NonPersistedTPM",
	}
}

// GuestTooLarge refuses a blob that is too large for a guest state.
func GuestTooLarge(bytes int64) *Error {
	return &Error{
		Kind: KindInvalid, Code: "InvalidParameter", Target: "creationData.securityDataUri",
		Message: fmt.Sprintf("The blob of creationData.securityDataUri has %d bytes of data; the guest state of a virtual machine has at most %d.", bytes, MaxGuestStateBytes),
	}
}

// LeaveSet has what is under the key of a confidential virtual machine's set be under the platform's, as where that set is not to be had.
func (s *Settings) LeaveSet() {
	if p := s.SecurityProfile; p != nil && p.EncryptionSetID != "" {
		p.EncryptionSetID, p.Type = "", confidentialPlatform
	}
}

// TakeSet is LeaveSet for what is to be under the key of another set, which it names where it belongs. What it gives is the encryption to ask for.
func (s *Settings) TakeSet(e Encryption) Encryption {
	p := s.SecurityProfile
	if e.SetID == "" || p == nil {
		return e
	}
	if e.Type == confidentialKey && (p.Type == confidentialDisk || p.Type == confidentialPlatform) {
		p.Type, p.EncryptionSetID = confidentialDisk, e.SetID
		return Encryption{}
	}
	s.LeaveSet()
	return e
}
