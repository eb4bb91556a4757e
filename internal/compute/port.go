package compute

import (
	"errors"

	"tintype"
	"tintype/internal/catalog"
)

// port is where a volume is exported. A shared disk has one for each host that has it attached: their exports are of one disk, which has no
// cache beside it, so that what one has written all others read, and the flush of one makes durable what all have written. The end of one
// host's attachment cuts that host's connections alone.
type port struct {
	key  string // of the resource
	host string // of a shared disk; "" of all others
}

func portOf(v tintype.Volume, host string) port {
	if !v.Shared() {
		host = ""
	}
	return port{key: v.ID.Key(), host: host}
}

// exportName names the export: the same for as long as the resource exists.
func (p port) exportName(v tintype.Volume) string {
	if p.host == "" {
		return v.UniqueID.String()
	}
	return v.UniqueID.String() + "-" + p.host
}

// attachShared records a host's attachment of a shared disk unless it has it; fresh tells which.
func attachShared(tx *catalog.Tx, v *tintype.Volume, want catalog.Attachment) (fresh bool, err error) {
	have, err := tx.SharedAttachment(want.Key, want.Host)
	switch {
	case len(want.Since) > 0:
		return false, tintype.NotAllowed("Shared disk %s cannot be attached with snapshots to compare with.", v.ID.Name)
	case err == nil && have.ReadOnly != want.ReadOnly:
		return false, tintype.NotAllowed("Disk %s is already attached to %s with another access (readOnly %v). Detach it first.",
			v.ID.Name, tintype.HostID(v.ID.Subscription, want.Host), have.ReadOnly)
	case err == nil:
		return false, nil
	case !errors.Is(err, catalog.ErrNotFound):
		return false, err
	}
	if err := attachable(*v, tintype.Attached); err != nil {
		return false, err
	}
	if err := v.Share(want.Host); err != nil {
		return false, err
	}
	return true, errors.Join(tx.AddSharedAttachment(want), tx.PutVolume(*v))
}

// attachable refuses to attach a volume that is in another state than Unattached and those in also.
func attachable(v tintype.Volume, also ...tintype.DiskState) error {
	for _, state := range append(also, tintype.Unattached) {
		if v.State == state {
			return nil
		}
	}
	if v.State == tintype.ActiveSAS {
		return tintype.NotAllowed("There is an active shared access signature outstanding for %s %s. "+
			"Call EndGetAccess before attaching the %s.", v.ID.Kind.Noun(), v.ID.Name, v.ID.Kind.Noun())
	}
	return tintype.NotAllowed("Cannot attach disk %s because it is in state %s. Finish the upload first.", v.ID.Name, v.State)
}
