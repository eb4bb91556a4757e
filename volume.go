package tintype

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Sizes that a client may ask for. Azure's largest disk other than Ultra has 32767 GiB; the store can hold 64 TiB.
const (
	GiB       int64 = 1 << 30
	MinSizeGB int64 = 1
	MaxSizeGB int64 = 32767
	// MaxAdjustableGB is the largest Ultra or Premium SSD v2 disk, and the largest volume of the store.
	MaxAdjustableGB int64 = 65536
	VHDFooterSize   int64 = 512
	// Bounds of creationData.uploadSizeBytes, the footer included, as Azure's specification gives them.
	MinUploadBytes int64 = 20_972_032
	MaxUploadBytes int64 = 35_183_298_347_520
)

// ProvisioningState is where a resource stands.
type ProvisioningState string

// The provisioning states.
const (
	StateUpdating  ProvisioningState = "Updating"
	StateSucceeded ProvisioningState = "Succeeded"
	StateDeleting  ProvisioningState = "Deleting"
)

// DiskState says what may be done with a disk's or snapshot's bytes now.
type DiskState string

// The disk states that occur here.
const (
	Unattached    DiskState = "Unattached"
	Attached      DiskState = "Attached"
	ActiveSAS     DiskState = "ActiveSAS"
	ReadyToUpload DiskState = "ReadyToUpload"
	ActiveUpload  DiskState = "ActiveUpload"
	// Reserved is only shown: of an unattached disk that belongs to a virtual machine.
	Reserved DiskState = "Reserved"
)

// Volume is a disk or a snapshot: a named resource whose bytes a store keeps.
type Volume struct {
	ID       ResourceID
	UniqueID uuid.UUID
	Created  time.Time
	Location string
	Zones    []string // disks only; at most one
	Creation Creation
	Size     int64 // in bytes; of an upload, without the footer

	SKU      SKU
	Tags     map[string]string
	Settings Settings

	Provisioning ProvisioningState
	State        DiskState
	HeldBy       string // id of the host that has it attached; "" when none
	Machine      string // disks only: id of the virtual machine that it belongs to; "" when none
	// Sharers are those who have a shared disk, in the order in which they came; State, HeldBy and Machine tell of the first of them.
	Sharers []Sharer

	Immutable *Immutability // snapshots only; nil when there never was a policy

	Incremental bool      // snapshots only
	Family      uuid.UUID // incremental snapshots only: shared by all of one disk

	Guest bool // a guest state comes and goes with it

	Store uuid.UUID // names the bytes in the store; zero until they exist

	Copy *BackgroundCopy // snapshots only; nil when all bytes are there, as they are of everything made on this server

	At time.Time // when it was as shown; not kept
}

// Clone copies the volume deeply.
func (v Volume) Clone() Volume {
	v.Zones = slices.Clone(v.Zones)
	v.Tags = maps.Clone(v.Tags)
	v.Settings = v.Settings.Clone()
	v.Sharers = slices.Clone(v.Sharers)
	v.Immutable, v.Copy = clonePtr(v.Immutable), clonePtr(v.Copy)
	return v
}

// Shown is the state that clients see, and who manages the volume.
func (v Volume) Shown() (state DiskState, by string) {
	switch {
	case v.Machine == "":
		return v.State, v.HeldBy
	case v.State == Unattached:
		return Reserved, v.Machine
	}
	return v.State, v.Machine
}

// Access says how a snapshot's bytes can be had, as snapshotAccessState has it. All of them are there at once, but for
// an upload that has not ended: what Azure calls instant access is shown for as long as it was asked for.
func (v Volume) Access() string {
	if v.Uploading() || v.Copy != nil {
		return "Pending"
	}
	until := v.Created.Add(time.Duration(v.Creation.InstantMinutes) * time.Minute)
	if v.Creation.InstantMinutes > 0 && v.At.Before(until) {
		return "AvailableWithInstantAccess"
	}
	return "Available"
}

// BackgroundCopy is what is still under way, or has failed, of a snapshot that is copied from another server.
type BackgroundCopy struct {
	Code, Message string  // why it failed; Code is "" while it is under way
	Percent       float64 // of its bytes that are there; not kept
}

// Whole refuses to use a snapshot whose bytes are not all there yet.
func (v Volume) Whole() error {
	switch {
	case v.Copy == nil:
		return nil
	case v.Copy.Code != "":
		return NotAllowed("Snapshot %s cannot be used because its copy from another server failed: %s.", v.ID.Name, v.Copy.Code)
	}
	return NotAllowed("Snapshot %s cannot be used until its copy from another server has ended. See its completionPercent.", v.ID.Name)
}

// SizeGB is the size in GiB, rounded up, as clients see it.
func (v Volume) SizeGB() int64 { return (v.Size + GiB - 1) / GiB }

// Uploading tells that the volume waits for its bytes: its size isn't shown and nothing may be made of it.
func (v Volume) Uploading() bool { return v.State == ReadyToUpload || v.State == ActiveUpload }
