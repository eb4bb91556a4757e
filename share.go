package tintype

import (
	"fmt"
	"slices"
	"strings"
)

// Sharer is one of those who have a shared disk: a virtual machine to which it belongs, a host that has it attached, or both as one.
type Sharer struct {
	Machine string // id; "" when a host alone has the disk
	HeldBy  string // id of the host; "" while the machine's has not attached it
}

func (s Sharer) id() string {
	if s.Machine != "" {
		return s.Machine
	}
	return s.HeldBy
}

// Shared tells that several machines and hosts may have the disk at once.
func (v Volume) Shared() bool { return v.Settings.MaxShares > 1 }

// SharedBy lists the ids of the machines and hosts that have a shared disk, in the order in which they came.
func (v Volume) SharedBy() (ids []string) {
	for _, s := range v.Sharers {
		ids = append(ids, s.id())
	}
	return ids
}

// sharerOf finds the sharer that is the host, or the machine of its name; -1 when there is none.
func (v Volume) sharerOf(host string) int {
	id := HostID(v.ID.Subscription, host)
	return slices.IndexFunc(v.Sharers, func(s Sharer) bool {
		return s.HeldBy == id || s.HeldBy == "" && strings.EqualFold(s.Machine[strings.LastIndexByte(s.Machine, '/')+1:], host)
	})
}

// HeldFor tells that a host has the disk attached for the machine.
func (v Volume) HeldFor(machine string) bool {
	if !v.Shared() {
		return v.State == Attached
	}
	return slices.ContainsFunc(v.Sharers, func(s Sharer) bool { return s.HeldBy != "" && strings.EqualFold(s.Machine, machine) })
}

// Share has the host attach a shared disk. It is refused when as many have the disk as may.
func (v *Volume) Share(host string) error {
	at := v.sharerOf(host)
	if at < 0 {
		if err := v.room(HostID(v.ID.Subscription, host)); err != nil {
			return err
		}
		v.Sharers, at = append(slices.Clone(v.Sharers), Sharer{}), len(v.Sharers)
	}
	v.Sharers = slices.Clone(v.Sharers)
	v.Sharers[at].HeldBy = HostID(v.ID.Subscription, host)
	v.settleSharers()
	return nil
}

// Unshare ends the host's attachment of a shared disk.
func (v *Volume) Unshare(host string) {
	id := HostID(v.ID.Subscription, host)
	var left []Sharer
	for _, s := range v.Sharers {
		if s.HeldBy == id {
			s.HeldBy = ""
		}
		if s != (Sharer{}) {
			left = append(left, s)
		}
	}
	v.Sharers = left
	v.settleSharers()
}

// ShareWith gives a shared disk to the machine, with the host of the machine's name, if that has it.
func (v *Volume) ShareWith(machine string) error {
	if slices.ContainsFunc(v.Sharers, func(s Sharer) bool { return strings.EqualFold(s.Machine, machine) }) {
		return nil
	}
	host := HostID(v.ID.Subscription, machine[strings.LastIndexByte(machine, '/')+1:])
	at := slices.IndexFunc(v.Sharers, func(s Sharer) bool { return s.Machine == "" && strings.EqualFold(s.HeldBy, host) })
	if at >= 0 {
		v.Sharers = slices.Clone(v.Sharers)
		v.Sharers[at].Machine = machine
	} else {
		if err := v.room(machine); err != nil {
			return err
		}
		v.Sharers = append(slices.Clone(v.Sharers), Sharer{Machine: machine})
	}
	v.settleSharers()
	return nil
}

// UnshareWith takes a shared disk from the machine. The host that has it attached for the machine keeps it.
func (v *Volume) UnshareWith(machine string) {
	var left []Sharer
	for _, s := range v.Sharers {
		if strings.EqualFold(s.Machine, machine) {
			s.Machine = ""
		}
		if s != (Sharer{}) {
			left = append(left, s)
		}
	}
	v.Sharers = left
	v.settleSharers()
}

func (v Volume) room(id string) error {
	if int64(len(v.Sharers)) < v.Settings.MaxShares {
		return nil
	}
	return &Error{
		Kind: KindConflict, Code: "ConflictingUserInput", Target: v.ID.String(),
		Message: fmt.Sprintf("Cannot attach the disk %s to VM %s because it is already attached to VMs %s. "+
			"This disk can be attached to only %d VMs at a time.", v.ID.Name, id, strings.Join(v.SharedBy(), ", "), v.Settings.MaxShares),
	}
}

// settleSharers has the fields that tell of one holder tell of the first.
func (v *Volume) settleSharers() {
	v.HeldBy, v.Machine = "", ""
	if v.State == Attached {
		v.State = Unattached
	}
	for _, s := range v.Sharers {
		if v.HeldBy == "" && s.HeldBy != "" {
			v.State, v.HeldBy = Attached, s.HeldBy
		}
		if v.Machine == "" {
			v.Machine = s.Machine
		}
	}
}

// MaxShares is how many may have a disk of the sku and size at once. Source: Azure's page on shared disks.
func (s SKU) MaxShares(sizeGB int64) int64 {
	switch s {
	case UltraSSDLRS, PremiumV2LRS:
		return 15
	case StandardLRS, StandardZRS:
		return 1
	}
	switch {
	case sizeGB <= 512:
		return 3
	case sizeGB <= 4096:
		return 5
	}
	return 10
}

// CheckShares refuses more sharers than a disk of its sku and size can have, in Azure's words, and what shared disks have not. want is what a
// request asks for, nil when it says nothing.
func (v Volume) CheckShares(want *int64) error {
	n := max(v.Settings.MaxShares, 1)
	if want != nil {
		n = *want
	}
	switch {
	case n < 1 || n > v.SKU.MaxShares(v.SizeGB()):
		return &Error{
			Kind: KindInvalid, Code: "BadRequest", Target: "maxShares",
			Message: fmt.Sprintf("MaxShares '%d' for disk '%s' of size '%d' GB is invalid. Please refer to "+
				"https://docs.microsoft.com/azure/virtual-machines/windows/disks-shared-enable#disk-sizes", n, v.ID.Name, v.SizeGB()),
		}
	case n > 1 && v.Settings.Bursting != nil && *v.Settings.Bursting:
		return InvalidParameter("burstingEnabled", "On-demand bursting is not supported for disk '%s', which has maxShares %d.", v.ID.Name, n)
	}
	return nil
}

// CheckSharedPlace refuses a place in a machine that a shared disk cannot have.
func (v Volume) CheckSharedPlace(at MachineDisk, system bool) error {
	switch {
	case !v.Shared():
		return nil
	case system:
		return InvalidParameter("osDisk.managedDisk.id", "Shared disk '%s' with maxShares %d can only be attached as a data disk.", v.ID.Name, v.Settings.MaxShares)
	case at.Caching != "None":
		return &Error{
			Kind: KindInvalid, Code: "BadRequest", Target: "dataDisk.caching",
			Message: fmt.Sprintf("Shared disk '%s' with maxShares %d supports only Disk CachingType 'None'.", v.ID.Name, v.Settings.MaxShares),
		}
	case at.Delete:
		return InvalidParameter("dataDisk.deleteOption", "Shared disk '%s' with maxShares %d supports only deleteOption 'Detach'.", v.ID.Name, v.Settings.MaxShares)
	}
	return nil
}
