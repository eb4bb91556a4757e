package tintype

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Machine is the record of a virtual machine: which disks belong together. Nothing runs it here; whoever does attaches its
// disks, which show the machine as what holds them.
type Machine struct {
	VMID uuid.UUID
	// Generalized tells that its disks hold nothing of their own, so that an image may be made of them.
	Generalized bool
	Power       Power
	Size        string // hardwareProfile.vmSize: kept and shown
	Zones       []string
	OS          *MachineDisk
	Data        []MachineDisk // in the order of their LUNs
	// Image is the id of the image that its system's disk was made of, as it was written; "" when that was attached.
	Image string
	Kept  map[string]json.RawMessage // other profiles, as they were written, without secrets
	// Revision counts the machine's writes, from 1.
	Revision int64
}

// ETag names the machine as it is now, for conditional writes. No other machine has had it, not even one of the same name before.
func (m Machine) ETag() string { return fmt.Sprintf(`"%x-%d"`, m.VMID[:8], max(1, m.Revision)) }

// MachineDisk is a disk's place in a machine.
type MachineDisk struct {
	ID      ResourceID
	LUN     int
	Caching string // None, ReadOnly or ReadWrite: kept and shown
	Delete  bool   // with the machine
	Option  string // how it came to the machine: PlaceAttach, PlaceEmpty or PlaceFromImage
}

// How a disk came to its machine.
const (
	PlaceAttach    = "Attach"    // it was there
	PlaceEmpty     = "Empty"     // it was made with the machine, and empty
	PlaceFromImage = "FromImage" // it was made with the machine, of the machine's image
)

// Disks lists the machine's disks, that of its system first.
func (m Machine) Disks() []MachineDisk {
	if m.OS == nil {
		return slices.Clone(m.Data)
	}
	return append([]MachineDisk{*m.OS}, m.Data...)
}

// Clone copies the machine deeply enough that neither copy's change is seen in the other.
func (m Machine) Clone() Machine {
	m.Zones, m.Data, m.OS = slices.Clone(m.Zones), slices.Clone(m.Data), clonePtr(m.OS)
	return m
}

// MachineRequest is what a PUT or PATCH of a machine asks for. Nil or empty means: not said.
type MachineRequest struct {
	Size  string
	Zones []string
	OS    *MachineDiskRequest
	Data  []MachineDiskRequest // nil: not said
	Image *ImageReference      // what the system's disk is to be made of
	Login *Login               // what the osProfile in Kept says
	Kept  map[string]json.RawMessage

	// Unnamed says why no disk may be made for the machine whose name the request does not say; nil: it may.
	Unnamed *Error
	// IfMatch is the ETag that the machine must have, or "*" for any; IfNoneMatch the one that it must not have.
	IfMatch, IfNoneMatch string
}

// CheckConditions refuses a write on a condition that the machine, nil when there is none, does not meet.
func (want MachineRequest) CheckConditions(m *Machine) error {
	tag := ""
	if m != nil {
		tag = m.ETag()
	}
	holds := func(condition string) bool { return m != nil && (condition == "*" || condition == tag) }
	switch {
	case want.IfMatch != "" && !holds(want.IfMatch):
		return PreconditionFailed("Etag provided in if-match header %.64s does not match etag %s of resource.", want.IfMatch, tag)
	case want.IfNoneMatch != "" && holds(want.IfNoneMatch):
		return PreconditionFailed("Etag provided in if-none-match header %.64s matches etag %s of resource.", want.IfNoneMatch, tag)
	}
	return nil
}

// Bounds of a machine. Azure's largest have 64 data disks.
const (
	maxDataDisks = 64
	maxVMSize    = 64
)

// Apply takes over the request, and says which disks have to be made for it, and how large others are to be. fresh tells that the machine is new; image is what the request's
// reference names, nil when it names none. Disks that exist are looked up elsewhere.
func (m *Machine) Apply(id ResourceID, want MachineRequest, fresh bool, image *Image) (c MachineChanges, err error) {
	if len(want.Size) > maxVMSize || len(want.Data) > maxDataDisks {
		return c, InvalidParameter("storageProfile.dataDisks", "The maximum number of data disks allowed to be attached to a VM of this size is %d.", maxDataDisks)
	}
	if !fresh && want.Image != nil && (want.Image.Elsewhere() || ScopeKey(want.Image.ID) != ScopeKey(m.Image)) {
		return c, fixed("imageReference")
	}
	set(&m.Size, want.Size, "")
	if want.Zones != nil {
		if !fresh && !slices.Equal(want.Zones, m.Zones) {
			return c, fixed("zones")
		}
		m.Zones = slices.Clone(want.Zones)
	}
	if err := m.applyProfile(id, want, fresh, image); err != nil {
		return c, err
	}
	p := placing{Machine: m, id: id, fresh: fresh, image: image}
	if fresh && want.Image != nil {
		m.Image = want.Image.ID
	}
	if err := p.system(want); err != nil {
		return c, err
	}
	if want.Data != nil || fresh && image != nil {
		if err := p.data(want.Data); err != nil {
			return c, err
		}
	}
	if p.unnamed && want.Unnamed != nil {
		return c, want.Unnamed
	}
	for i, n := range p.Made {
		if slices.ContainsFunc(p.Made[:i], func(other NewDisk) bool { return other.ID.Key() == n.ID.Key() }) {
			return c, NamedTwice(n.ID)
		}
	}
	return p.MachineChanges, nil
}

// NamedTwice refuses a machine that has one disk at two places.
func NamedTwice(disk ResourceID) *Error {
	return InvalidParameter("storageProfile", "The disk %s is named twice.", disk.Name)
}

// fixed refuses a change of what a virtual machine has from its creation on.
func fixed(property string) *Error {
	return &Error{
		Kind: KindConflict, Code: "PropertyChangeNotAllowed", Target: property,
		Message: fmt.Sprintf("Changing property '%s' is not allowed.", property),
	}
}
