package tintype

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Machine is the record of a virtual machine: which disks belong together. Nothing runs it here; whoever does attaches its
// disks, which show the machine as what holds them.
type Machine struct {
	VMID uuid.UUID
	// Generalized tells that its disks hold nothing of their own, so that an image may be made of them.
	Generalized bool
	Size        string // hardwareProfile.vmSize: kept and shown
	Zones       []string
	OS          *MachineDisk
	Data        []MachineDisk              // in the order of their LUNs
	Kept        map[string]json.RawMessage // other profiles, as they were written, without secrets
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
}

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
	Kept  map[string]json.RawMessage
	Image bool // the system's disk is to be made of an image

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

// MachineDiskRequest is a disk's place as a client asks for it.
type MachineDiskRequest struct {
	Option, DiskID, Caching, DeleteOption string
	LUN                                   *int
	Detach                                bool // toBeDetached
}

// Bounds of a machine. Azure's largest have 64 data disks.
const (
	maxDataDisks = 64
	maxVMSize    = 64
)

// Apply takes over the request. The disks are looked up elsewhere.
func (m *Machine) Apply(want MachineRequest) error {
	if want.Image {
		return InvalidParameter("storageProfile.imageReference", "The parameter 'storageProfile.imageReference' is not supported: this server "+
			"runs no virtual machines and makes no disk for one. Create the disk and attach it with createOption 'Attach'.")
	}
	if len(want.Size) > maxVMSize || len(want.Data) > maxDataDisks {
		return InvalidParameter("storageProfile.dataDisks", "The maximum number of data disks allowed to be attached to a VM of this size is %d.", maxDataDisks)
	}
	if want.OS != nil {
		place, err := want.OS.place("storageProfile.osDisk")
		if err != nil {
			return err
		}
		m.OS = &place
	}
	if want.Data != nil {
		if err := m.applyData(want.Data); err != nil {
			return err
		}
	}
	set(&m.Size, want.Size, "")
	if want.Zones != nil {
		m.Zones = slices.Clone(want.Zones)
	}
	if want.Kept != nil {
		m.Kept = want.Kept
	}
	return nil
}

func (m *Machine) applyData(want []MachineDiskRequest) error {
	m.Data = nil
	luns := map[int]bool{}
	for _, d := range want {
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
		m.Data = append(m.Data, place)
	}
	slices.SortFunc(m.Data, func(a, b MachineDisk) int { return a.LUN - b.LUN })
	return nil
}

func (d MachineDiskRequest) place(target string) (MachineDisk, error) {
	// A machine that is read and written again says of its disks how they were once made.
	if !slices.Contains([]string{"", "Attach"}, d.Option) && d.DiskID == "" {
		return MachineDisk{}, InvalidParameter(target+".createOption", "The create option '%.32s' is not supported for disks of a virtual "+
			"machine. Supported create options are Attach.", d.Option)
	}
	if d.DiskID == "" {
		return MachineDisk{}, MissingParameter(target + ".managedDisk.id")
	}
	id, ok := ParseResourceID(d.DiskID)
	if !ok || id.Kind != KindDisk {
		return MachineDisk{}, badValue(target + ".managedDisk.id")
	}
	if !slices.Contains([]string{"", "None", "ReadOnly", "ReadWrite"}, d.Caching) {
		return MachineDisk{}, badValue(target + ".caching")
	}
	if !slices.Contains([]string{"", "Detach", "Delete"}, d.DeleteOption) {
		return MachineDisk{}, badValue(target + ".deleteOption")
	}
	p := MachineDisk{ID: id, Caching: d.Caching, Delete: strings.EqualFold(d.DeleteOption, "Delete")}
	if p.Caching == "" {
		p.Caching = "None"
		if strings.HasSuffix(target, "osDisk") {
			p.Caching = "ReadWrite"
		}
	}
	return p, nil
}
