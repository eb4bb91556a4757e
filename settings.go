package tintype

// Settings are the properties of a volume that are checked, kept and shown, and that a client may change. A nil pointer
// or empty string was never set and is not shown.
type Settings struct {
	OSType              string
	HyperVGeneration    string
	NetworkAccess       string // networkAccessPolicy
	PublicNetworkAccess string
	DataAccessAuthMode  string
	DiskAccessID        string // with networkAccessPolicy AllowPrivate
	Encryption          Encryption
	PurchasePlan        *PurchasePlan
	Capabilities        *Capabilities
	SecurityProfile     *SecurityProfile
	SupportsHibernation *bool
	GuestEncryption     *bool // encryptionSettingsCollection; never true

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

// check bounds what is asked for, and fills in what goes without saying: a set alone means a customer's key.
func (e Encryption) check() (Encryption, error) {
	if e.Type == "" && e.SetID != "" {
		e.Type = customerKey
	}
	switch e.Type {
	case "", platformKey:
		if e.SetID != "" {
			return e, InvalidParameter("encryption.diskEncryptionSetId",
				"Parameter 'encryption.diskEncryptionSetId' must not be set with encryption type '%s'.", platformKey)
		}
	case customerKey, doubleKey:
		if e.SetID == "" {
			return e, MissingParameter("encryption.diskEncryptionSetId")
		}
		if id, ok := ParseResourceID(e.SetID); !ok || id.Kind != KindEncryptionSet {
			return e, badValue("encryption.diskEncryptionSetId")
		}
	default:
		return e, badValue("encryption.type")
	}
	return e, nil
}

// Companions lists the ids of the companions that a volume with the settings uses.
func (s Settings) Companions() []ResourceID {
	var all []ResourceID
	for _, text := range []string{s.DiskAccessID, s.KeySet()} {
		if id, ok := ParseResourceID(text); ok {
			all = append(all, id)
		}
	}
	return all
}

// KeySet is the id of the encryption set under whose key the volume is kept, "" for the platform's key: the set of its encryption, or that of its
// confidential virtual machine.
func (s Settings) KeySet() string {
	if s.Encryption.SetID == "" && s.SecurityProfile != nil {
		return s.SecurityProfile.EncryptionSetID
	}
	return s.Encryption.SetID
}

// KeySetType is the type that this set must have.
func (s Settings) KeySetType() string {
	if s.Encryption.SetID == "" {
		return confidentialKey
	}
	return s.Encryption.Type
}

// checkKeys refuses two sets at once.
func (s Settings) checkKeys() error {
	if s.Encryption.SetID != "" && s.SecurityProfile != nil && s.SecurityProfile.EncryptionSetID != "" {
		return InvalidParameter("encryption.diskEncryptionSetId", "Parameters 'encryption.diskEncryptionSetId' and 'securityProfile.secureVMDiskEncryptionSetId' "+
			"cannot both be set.")
	}
	return nil
}
