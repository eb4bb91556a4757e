package tintype

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// MachineDiskRequest is a disk's place as a client asks for it, with what the disk is to be when there is none yet.
type MachineDiskRequest struct {
	Option, DiskID, Caching, DeleteOption string
	LUN                                   *int
	Detach                                bool // toBeDetached

	Name, Storage string // Storage: storageAccountType
	SizeGB        int64  // 0: not said
	SetID         string // diskEncryptionSet
	Security      *SecurityProfile
}

// NewDisk is a disk that a machine's request has made with it. Unique is to be its unique id, which is in its name when it was given none.
// Want says neither region nor zones nor tags: they are the machine's.
type NewDisk struct {
	ID     ResourceID
	Unique uuid.UUID
	Want   Desired
}

// MachineChanges are what a machine's request asks for besides its record.
type MachineChanges struct {
	Made  []NewDisk
	Sizes map[string]int64 // in GiB, of disks that are there, by their keys
}

// WrongSize refuses to change the size of a disk with its machine.
func WrongSize(machine string, disk ResourceID) *Error {
	return &Error{
		Kind: KindConflict, Code: "ResizeDiskError", Target: "diskSizeGB",
		Message: fmt.Sprintf("Managed disk size change via Virtual Machine '%s' is not allowed. Please resize disk resource at %s.", machine, disk),
	}
}

// placing finds the places of a machine's disks.
type placing struct {
	*Machine
	id    ResourceID
	fresh bool
	image *Image
	MachineChanges
	// unnamed tells that one of them has its name from here.
	unnamed bool
}

// system settles the place of the system's disk.
func (p *placing) system(want MachineRequest) error {
	const target = "osDisk"
	r := want.OS
	switch {
	case r == nil && (!p.fresh || p.image == nil):
		return nil
	case r == nil:
		r = &MachineDiskRequest{Option: PlaceFromImage}
	}
	place, err := r.place(target)
	if err != nil {
		return err
	}
	switch {
	case r.DiskID != "" && p.fresh && p.image != nil:
		return InvalidParameter(target, "Cannot attach an existing OS disk if the VM is created from a platform or user image.")
	case r.DiskID != "":
		place.Option = PlaceAttach
		if p.OS != nil {
			place.Option = p.OS.Option // also of one that takes its place
			if p.OS.ID.Key() == place.ID.Key() {
				place.keep(*p.OS, *r)
			}
		}
	case !p.fresh && p.OS != nil:
		if err := sameDisk(*p.OS, *r, target); err != nil {
			return err
		}
		place.ID, place.Option = p.OS.ID, p.OS.Option
		place.keep(*p.OS, *r)
	case place.Option == PlaceAttach:
		return MissingParameter(target + ".managedDisk.id")
	case place.Option == PlaceEmpty:
		return InvalidParameter(target+".createOption", "The create option 'Empty' is not supported for the disk of a virtual machine's system. "+
			"Supported create options are Attach,FromImage.")
	case !p.fresh:
		return fixed(target + ".createOption")
	case p.image == nil:
		return MissingParameter("imageReference")
	default:
		place.ID = p.make(*r, "OsDisk_1", Desired{Creation: p.fromImage(nil), SecurityProfile: p.security(*r)})
	}
	p.sized(place, *r)
	p.OS = &place
	return nil
}

// sized notes the size that is asked for a disk that is there.
func (p *placing) sized(at MachineDisk, r MachineDiskRequest) {
	made := slices.ContainsFunc(p.Made, func(n NewDisk) bool { return n.ID == at.ID })
	if r.SizeGB == 0 || made {
		return
	}
	if p.Sizes == nil {
		p.Sizes = map[string]int64{}
	}
	p.Sizes[at.ID.Key()] = r.SizeGB
}

// trustedLaunch is the security type of machines, and of their systems' disks, that needs nothing else.
const trustedLaunch = "TrustedLaunch"

// security is the security type of the disk that is made for the machine's system: unless that is said, the machine's, if it is one for which no
// more has to be said.
func (p *placing) security(r MachineDiskRequest) *SecurityProfile {
	if r.Security == nil && strings.EqualFold(p.Machine.Security(), trustedLaunch) {
		return &SecurityProfile{Type: trustedLaunch}
	}
	return r.Security
}

// data settles the places of the data disks. A new machine has all of its image's, said or not.
func (p *placing) data(want []MachineDiskRequest) error {
	if p.fresh && p.image != nil {
		for _, d := range p.image.Data {
			lun := d.LUN
			at := slices.IndexFunc(want, func(r MachineDiskRequest) bool { return r.LUN != nil && *r.LUN == lun })
			if at < 0 {
				want = append(slices.Clip(want), MachineDiskRequest{Option: PlaceFromImage, LUN: &lun, Caching: d.Caching})
			}
		}
	}
	before := p.Data
	p.Data = nil
	luns := map[int]bool{}
	for i, d := range want {
		if d.Detach {
			continue
		}
		place, err := d.place("dataDisk")
		switch {
		case err != nil:
			return err
		case d.LUN == nil:
			return MissingParameter("dataDisk.lun")
		case *d.LUN < 0 || *d.LUN >= maxDataDisks:
			return outOfRange("dataDisk.lun", int64(*d.LUN), 0, maxDataDisks-1)
		case luns[*d.LUN]:
			return NotAllowed("A disk at LUN %d already exists.", *d.LUN)
		}
		luns[*d.LUN], place.LUN = true, *d.LUN
		if err := p.settle(&place, d, before, i); err != nil {
			return err
		}
		p.sized(place, d)
		p.Data = append(p.Data, place)
	}
	slices.SortFunc(p.Data, func(a, b MachineDisk) int { return a.LUN - b.LUN })
	return nil
}

// settle finds the disk of a data disk's place: the one that it names, the one that is there already, or a new one.
func (p *placing) settle(place *MachineDisk, d MachineDiskRequest, before []MachineDisk, i int) error {
	const target = "dataDisk"
	have := slices.IndexFunc(before, func(b MachineDisk) bool {
		if d.DiskID != "" {
			return b.ID.Key() == place.ID.Key()
		}
		return b.LUN == place.LUN && (d.Name == "" || strings.EqualFold(d.Name, b.ID.Name))
	})
	imaged := func() bool {
		lun := int64(place.LUN)
		_, ok := p.image.Disk(&lun)
		return ok
	}
	switch {
	case have >= 0:
		if err := sameDisk(before[have], d, target); d.DiskID == "" && err != nil {
			return err
		}
		place.ID, place.Option = before[have].ID, before[have].Option
		place.keep(before[have], d)
	case d.DiskID != "":
		place.Option = PlaceAttach
	case place.Option == PlaceAttach:
		return MissingParameter(target + ".managedDisk.id")
	case place.Option == PlaceFromImage && (p.image == nil || !imaged()):
		return InvalidParameter(target+".createOption", "The image of the virtual machine has no data disk at LUN %d, or the virtual machine exists already: "+
			"createOption 'FromImage' is not allowed.", place.LUN)
	case place.Option == PlaceFromImage:
		lun := int64(place.LUN)
		place.ID = p.make(d, fmt.Sprintf("lun_%d_2", place.LUN), Desired{Creation: p.fromImage(&lun)})
	case p.image != nil && imaged():
		return NotAllowed("A disk at LUN %d already exists.", place.LUN) // the image's
	case d.SizeGB == 0:
		return MissingParameter(target + ".diskSizeGB")
	default:
		place.ID = p.make(d, fmt.Sprintf("disk%d", i+2), Desired{Creation: &CreationRequest{Option: string(CreateEmpty)}})
	}
	return nil
}

func (p *placing) fromImage(lun *int64) *CreationRequest {
	return &CreationRequest{Option: string(CreateFromImage), Image: &ImageReference{ID: p.Image, LUN: lun}}
}

// make notes a disk that has to be made, and gives its id. One without a name has Azure's: the machine's, its place, and its unique id. Source:
// recordings, and names of disks that users of Azure have published.
func (p *placing) make(r MachineDiskRequest, place string, want Desired) ResourceID {
	n := NewDisk{ID: p.id, Unique: uuid.New(), Want: want}
	n.ID.Kind, n.ID.Name = KindDisk, r.Name
	if r.Name == "" {
		p.unnamed = true
		tail := "_" + place + "_" + strings.ReplaceAll(n.Unique.String(), "-", "")
		n.ID.Name = p.id.Name[:min(len(p.id.Name), maxResourceName-len(tail))] + tail
	}
	n.Want.SKU = r.Storage
	if r.Storage == "" {
		n.Want.SKU = string(StandardLRS)
		if premiumVM.MatchString(p.Size) {
			n.Want.SKU = string(PremiumLRS)
		}
	}
	if r.SizeGB != 0 {
		n.Want.SizeGB = &r.SizeGB
	}
	if r.SetID != "" {
		n.Want.Encryption = &Encryption{SetID: r.SetID}
	}
	p.Made = append(p.Made, n)
	return n.ID
}

// premiumVM matches the sizes whose disks are on Premium SSD unless they say otherwise: an "s" in front of their version says that they can have it.
// Source: Azure's page on the names of sizes.
var premiumVM = regexp.MustCompile(`(?i)^[^_]+_[^_]*s`)

// keep leaves of a disk's place what the request does not say.
func (d *MachineDisk) keep(have MachineDisk, said MachineDiskRequest) {
	if said.Caching == "" {
		d.Caching = have.Caching
	}
	if said.DeleteOption == "" {
		d.Delete = have.Delete
	}
}

// sameDisk refuses to change how the disk that a machine has at a place was made.
func sameDisk(have MachineDisk, want MachineDiskRequest, target string) error {
	switch {
	case want.Option != "" && !strings.EqualFold(want.Option, have.Option):
		return fixed(target + ".createOption")
	case want.Name != "" && !strings.EqualFold(want.Name, have.ID.Name):
		return fixed(target + ".name")
	}
	return nil
}

// place checks what the request says of a place. The option is what was asked for.
func (d MachineDiskRequest) place(target string) (MachineDisk, error) {
	p := MachineDisk{Caching: d.Caching, Delete: strings.EqualFold(d.DeleteOption, "Delete"), Option: PlaceAttach}
	for _, known := range []string{PlaceAttach, PlaceEmpty, PlaceFromImage} {
		if strings.EqualFold(d.Option, known) {
			p.Option = known
		}
	}
	oneOf := func(value string, known ...string) bool {
		return value == "" || slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, value) })
	}
	switch {
	case !oneOf(d.Option, PlaceAttach, PlaceEmpty, PlaceFromImage):
		return p, InvalidParameter(target+".createOption", "The create option '%.32s' is not supported for disks of a virtual "+
			"machine. Supported create options are Attach,Empty,FromImage.", d.Option)
	case !oneOf(d.Caching, "None", "ReadOnly", "ReadWrite"):
		return p, badValue(target + ".caching")
	case !oneOf(d.DeleteOption, "Detach", "Delete"):
		return p, badValue(target + ".deleteOption")
	case d.Name != "" && d.DiskID == "":
		if err := CheckName(KindDisk, d.Name); err != nil {
			return p, err
		}
	}
	if d.DiskID != "" {
		var ok bool
		if p.ID, ok = ParseResourceID(d.DiskID); !ok || p.ID.Kind != KindDisk {
			return p, badValue(target + ".managedDisk.id")
		}
	}
	if p.Caching == "" {
		p.Caching = "None"
		if target == "osDisk" {
			p.Caching = "ReadWrite"
		}
	}
	return p, nil
}
