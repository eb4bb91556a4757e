package tintype

import (
	"slices"
	"strings"
)

// Apply makes v what the request wants, as far as v's settings, sku and tags go; replace is set for a PUT, which also
// clears tags that it leaves out. Size, creation and zones are checked elsewhere. v is a new resource or an existing one.
func (v *Volume) Apply(r Region, want Desired, replace bool) error {
	if err := want.CheckEnums(); err != nil {
		return err
	}
	if err := CheckTags(want.Tags); err != nil {
		return err
	}
	if want.SKU != "" {
		sku, err := v.ID.Kind.CheckSKU(r, want.SKU)
		if err != nil {
			return err
		}
		v.SKU = sku
	}
	if want.Tags != nil || replace {
		v.Tags = want.Tags
	}
	if err := v.applyAccess(want); err != nil {
		return err
	}
	v.applyOS(want)
	if err := v.Settings.checkKeys(); err != nil {
		return err
	}
	if v.ID.Kind == KindDisk {
		return v.applyDisk(want)
	}
	return nil
}

// applyAccess takes over who may reach the bytes, and which key encrypts them. The companions are looked up elsewhere.
func (v *Volume) applyAccess(want Desired) error {
	s := &v.Settings
	set(&s.NetworkAccess, want.NetworkAccess, "AllowAll")
	set(&s.PublicNetworkAccess, want.PublicNetworkAccess, "Enabled")
	set(&s.DataAccessAuthMode, want.DataAccessAuthMode, "")
	if err := s.applyDiskAccess(want.DiskAccessID); err != nil {
		return err
	}
	if e := want.Encryption; e != nil {
		checked, err := e.check()
		if err != nil {
			return err
		}
		s.Encryption = checked
	}
	if s.Encryption.Type == "" {
		s.Encryption.Type = platformKey
	}
	return nil
}

// applyDiskAccess keeps a disk access exactly with the policy that needs one. az sends back the one that it read when it
// opens a disk again: that one is dropped.
func (s *Settings) applyDiskAccess(want *string) error {
	had := s.DiskAccessID
	if want != nil {
		if id, ok := ParseResourceID(*want); *want != "" && (!ok || id.Kind != KindDiskAccess) {
			return badValue("diskAccessId")
		}
		s.DiskAccessID = *want
	}
	switch private := s.NetworkAccess == "AllowPrivate"; {
	case private && s.DiskAccessID == "":
		return MissingParameter("diskAccessId")
	case !private && want != nil && *want != "" && !strings.EqualFold(*want, had):
		return InvalidParameter("diskAccessId", "Parameter 'diskAccessId' must only be set with networkAccessPolicy 'AllowPrivate'.")
	case !private:
		s.DiskAccessID = ""
	}
	return nil
}

func (v *Volume) applyOS(want Desired) {
	s := &v.Settings
	set(&s.OSType, want.OSType, "")
	set(&s.HyperVGeneration, want.HyperVGeneration, "")
	setPtr(&s.PurchasePlan, want.PurchasePlan)
	setPtr(&s.Capabilities, want.Capabilities)
	setPtr(&s.SecurityProfile, want.SecurityProfile)
	setPtr(&s.SupportsHibernation, want.SupportsHibernation)
	setPtr(&s.GuestEncryption, want.GuestEncryption)
}

// applyDisk takes over what only disks have. A performance that the sku does not let a client choose is dropped, as the
// real service does with a body that was read back.
func (v *Volume) applyDisk(want Desired) error {
	s := &v.Settings
	for _, n := range []struct {
		target string
		want   *int64
		to     *int64
		high   int64
	}{
		{"diskIOPSReadWrite", want.IOPS, &s.IOPS, 400_000},
		{"diskMBpsReadWrite", want.MBps, &s.MBps, 10_000},
		{"diskIOPSReadOnly", want.IOPSRead, &s.IOPSRead, 400_000},
		{"diskMBpsReadOnly", want.MBpsRead, &s.MBpsRead, 10_000},
	} {
		if n.want == nil {
			continue
		}
		if *n.want < 1 || *n.want > n.high {
			return outOfRange(n.target, *n.want, 1, n.high)
		}
		*n.to = *n.want
	}
	if !v.SKU.Adjustable() {
		s.IOPS, s.MBps, s.IOPSRead, s.MBpsRead = 0, 0, 0, 0
	}
	if v.SKU.Adjustable() {
		s.MaxShares = max(s.MaxShares, 1)
	}
	if want.MaxShares != nil {
		s.MaxShares = *want.MaxShares
	}
	if want.Tier != "" {
		if tierRank(want.Tier) < 0 && !slices.Contains(standardTiers(), want.Tier) {
			return badValue("tier")
		}
		s.Tier = want.Tier
	}
	setPtr(&s.Bursting, want.Bursting)
	setPtr(&s.OptimizedForReattach, want.OptimizedForReattach)
	return nil
}

// standardTiers are the tiers of standard disks: known, and never shown.
func standardTiers() []string {
	var all []string
	for _, t := range premiumTiers() {
		all = append(all, "S"+t.Tier[1:], "E"+t.Tier[1:])
	}
	return all
}

// Performance is what is shown of a disk: what its sku and size give, or a higher tier that was asked for, or what the
// client set where the sku lets it.
func (v Volume) Performance() Performance {
	p := v.SKU.Performance(v.SizeGB())
	if p.Tier != "" {
		if rank := tierRank(v.Settings.Tier); rank > tierRank(p.Tier) {
			p = premiumTiers()[rank].Performance
		}
	}
	if v.Creation.Performance {
		p = p.plus()
	}
	if v.SKU.Adjustable() {
		if v.Settings.IOPS != 0 {
			p.IOPS = v.Settings.IOPS
		}
		if v.Settings.MBps != 0 {
			p.MBps = v.Settings.MBps
		}
		if v.Settings.IOPSRead != 0 {
			p.IOPSRead = v.Settings.IOPSRead
		}
		if v.Settings.MBpsRead != 0 {
			p.MBpsRead = v.Settings.MBpsRead
		}
	}
	return p
}

func set(to *string, want, initial string) {
	if want != "" {
		*to = want
	}
	if *to == "" {
		*to = initial
	}
}

func setPtr[T any](to **T, want *T) {
	if want != nil {
		*to = clonePtr(want)
	}
}

// MaxSizeGB is the size of the sku's largest disk.
func (s SKU) MaxSizeGB() int64 {
	if s.Adjustable() {
		return MaxAdjustableGB
	}
	return MaxSizeGB
}

// CheckSizeGB bounds a size that a client asks for.
func (s SKU) CheckSizeGB(gb int64) error {
	high := s.MaxSizeGB()
	if gb < MinSizeGB || gb > high {
		return outOfRange("diskSizeGB", gb, MinSizeGB, high)
	}
	return nil
}

// CannotShrink refuses a size below the present one.
func CannotShrink(id ResourceID) *Error {
	return InvalidParameter("diskSizeGB", "The disk/snapshot resource with id %s cannot be resized down. "+
		"Reducing disk/snapshot size is not supported to prevent data loss.", id)
}
