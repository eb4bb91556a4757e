package tintype

import (
	"slices"
)

// Settings are the properties of a volume that are checked, kept and shown, and that a client may change. A nil pointer
// or empty string was never set and is not shown.
type Settings struct {
	OSType              string
	HyperVGeneration    string
	NetworkAccess       string // networkAccessPolicy
	PublicNetworkAccess string
	DataAccessAuthMode  string
	Encryption          Encryption
	PurchasePlan        *PurchasePlan
	Capabilities        *Capabilities
	SecurityProfile     *SecurityProfile
	SupportsHibernation *bool

	// Of disks only.
	Tier                 string // performance tier, such as P10; shown of premium disks
	IOPS, MBps           int64
	IOPSRead, MBpsRead   int64 // Ultra and PremiumV2 only
	MaxShares            int64 // 0 when never set
	Bursting             *bool
	OptimizedForReattach *bool // optimizedForFrequentAttach
}

// Encryption is the key that encrypts the volume at rest, as asked for and shown.
type Encryption struct {
	Type  string
	SetID string // diskEncryptionSetId
}

// PurchasePlan is the plan of the image from which an OS disk came.
type PurchasePlan struct{ Name, Publisher, Product, PromotionCode string }

// Capabilities are those of the image from which an OS disk came.
type Capabilities struct {
	DiskControllerTypes     string
	AcceleratedNetwork      *bool
	Architecture            string
	SupportedSecurityOption string
}

// SecurityProfile is the security type of an OS disk.
type SecurityProfile struct{ Type, EncryptionSetID string }

// Clone copies the settings deeply enough that neither copy's change is seen in the other.
func (s Settings) Clone() Settings {
	s.PurchasePlan = clonePtr(s.PurchasePlan)
	s.Capabilities = clonePtr(s.Capabilities)
	s.SecurityProfile = clonePtr(s.SecurityProfile)
	return s
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

const platformKey = "EncryptionAtRestWithPlatformKey"

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
	ExtendedLocation                                                                 bool // an edge zone is named
	GuestEncryption                                                                  bool // encryptionSettingsCollection is enabled
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
		return InvalidParameter("extendedLocation", "The parameter 'extendedLocation' is not supported: this server has no edge zones.")
	}
	if d.GuestEncryption {
		return InvalidParameter("encryptionSettingsCollection", "The parameter 'encryptionSettingsCollection' is not supported: "+
			"this server has no key vaults. Encrypt inside the guest without it.")
	}
	return d.checkNested()
}

func (d Desired) checkNested() error {
	if e := d.Encryption; e != nil {
		if err := e.check(); err != nil {
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
	if s := d.SecurityProfile; s != nil && s.EncryptionSetID != "" {
		return InvalidParameter("securityProfile.secureVMDiskEncryptionSetId",
			"The parameter 'securityProfile.secureVMDiskEncryptionSetId' is not supported: there are no disk encryption sets on this server.")
	}
	if s := d.SecurityProfile; s != nil && s.Type != "" && s.Type != "TrustedLaunch" {
		if !slices.Contains(confidential(), s.Type) {
			return badValue("securityProfile.securityType")
		}
		return InvalidParameter("securityProfile.securityType",
			"The security type '%s' is not supported. Supported security types are TrustedLaunch.", s.Type)
	}
	return nil
}

func confidential() []string {
	return []string{
		"ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey", "ConfidentialVM_DiskEncryptedWithPlatformKey",
		"ConfidentialVM_DiskEncryptedWithCustomerKey", "ConfidentialVM_NonPersistedTPM",
	}
}

func (e Encryption) check() error {
	switch e.Type {
	case "", platformKey:
		if e.SetID == "" {
			return nil
		}
	case "EncryptionAtRestWithCustomerKey", "EncryptionAtRestWithPlatformAndCustomerKeys":
		if e.SetID == "" {
			return MissingParameter("encryption.diskEncryptionSetId")
		}
	default:
		return badValue("encryption.type")
	}
	return &Error{
		Kind: KindInvalid, Code: "InvalidParameter", Target: "encryption.diskEncryptionSetId",
		Message: "Customer-managed keys are not supported: there are no disk encryption sets on this server.",
	}
}
