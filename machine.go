package tintype

import (
	"encoding/json"
	"slices"

	"github.com/google/uuid"
)

// Machine is the record of a virtual machine: which disks belong together. Nothing runs it here; whoever does attaches its
// disks, which show the machine as what holds them.
type Machine struct {
	VMID    uuid.UUID
	Size    string // hardwareProfile.vmSize: kept and shown
	Zones   []string
	OS      *MachineDisk
	Data    []MachineDisk              // in the order of their LUNs
	Kept    map[string]json.RawMessage // other profiles, as they were written, without secrets
	Running bool
}

// MachineDisk is a disk's place in a machine.
type MachineDisk struct {
	ID      ResourceID
	LUN     int
	Caching string // None, ReadOnly or ReadWrite: kept and shown
	Delete  bool   // with the machine
	Option  string // createOption, as asked for
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
