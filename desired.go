package tintype

import "slices"

// Desired is what a PUT or PATCH asks for. Nil or empty means: not said.
type Desired struct {
	Location string
	Zones    []string
	Tags     map[string]string // nil: not said
	SKU      string
	Creation *CreationRequest
	SizeGB   *int64

	OSType, HyperVGeneration, NetworkAccess, PublicNetworkAccess, DataAccessAuthMode string
	DiskAccessID                                                                     *string
	Encryption                                                                       *Encryption
	PurchasePlan                                                                     *PurchasePlan
	Capabilities                                                                     *Capabilities
	SecurityProfile                                                                  *SecurityProfile
	SupportsHibernation                                                              *bool
	Incremental                                                                      *bool
	Tier                                                                             string
	IOPS, MBps, IOPSRead, MBpsRead, MaxShares                                        *int64
	Bursting, OptimizedForReattach                                                   *bool
	ExtendedLocation                                                                 bool  // an edge zone is named
	GuestEncryption                                                                  *bool // encryptionSettingsCollection is enabled
}

// CheckEnums refuses words that are none of those which the properties know.
func (d Desired) CheckEnums() error {
	for _, e := range []struct {
		target, value string
		known         []string
	}{
		{"osType", d.OSType, []string{"Windows", "Linux"}},
		{"hyperVGeneration", d.HyperVGeneration, []string{"V1", "V2"}},
		{"networkAccessPolicy", d.NetworkAccess, []string{"AllowAll", "AllowPrivate", "DenyAll"}},
		{"publicNetworkAccess", d.PublicNetworkAccess, []string{"Enabled", "Disabled"}},
		{"dataAccessAuthMode", d.DataAccessAuthMode, []string{"None", "AzureActiveDirectory"}},
	} {
		if e.value != "" && !slices.Contains(e.known, e.value) {
			return badValue(e.target)
		}
	}
	if d.ExtendedLocation {
		return noEdgeZones()
	}
	if d.GuestEncryption != nil && *d.GuestEncryption {
		return InvalidParameter("encryptionSettingsCollection", "The parameter 'encryptionSettingsCollection' is not supported: "+
			"this server has no key vaults. Encrypt inside the guest without it.")
	}
	return d.checkNested()
}

func (d Desired) checkNested() error {
	if e := d.Encryption; e != nil {
		if _, err := e.check(); err != nil {
			return err
		}
	}
	if c := d.Capabilities; c != nil {
		if c.Architecture != "" && c.Architecture != "x64" && c.Architecture != "Arm64" {
			return badValue("supportedCapabilities.architecture")
		}
		if len(c.DiskControllerTypes) > 64 {
			return badValue("supportedCapabilities.diskControllerTypes")
		}
		known := []string{"", "TrustedLaunchSupported", "TrustedLaunchAndConfidentialVMSupported"}
		if !slices.Contains(known, c.SupportedSecurityOption) {
			return badValue("supportedCapabilities.supportedSecurityOption")
		}
	}
	if p := d.PurchasePlan; p != nil {
		for _, f := range []struct{ target, value string }{
			{"purchasePlan.name", p.Name}, {"purchasePlan.publisher", p.Publisher}, {"purchasePlan.product", p.Product},
		} {
			if f.value == "" {
				return MissingParameter(f.target)
			}
			if len(f.value) > 256 {
				return badValue(f.target)
			}
		}
		if len(p.PromotionCode) > 256 {
			return badValue("purchasePlan.promotionCode")
		}
	}
	if s := d.SecurityProfile; s != nil {
		return s.check()
	}
	return nil
}

func noEdgeZones() *Error {
	return InvalidParameter("extendedLocation", "The parameter 'extendedLocation' is not supported: this server has no edge zones.")
}
