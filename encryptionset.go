package tintype

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// EncryptionSet is what a disk encryption set holds: which key of a vault encrypts the disks that name it.
type EncryptionSet struct {
	Type              string // such as EncryptionAtRestWithCustomerKey; fixed at creation
	ActiveKey         KeyReference
	PreviousKeys      []KeyReference // while a rotation is in progress
	Rotate            *bool          // rotationToLatestKeyVersionEnabled
	Rotated           time.Time      // when the active key last changed; zero before
	FederatedClientID string
	Identity          Identity

	Secret *SetSecret // the set's own key; nil until a volume needs it
	Old    *SetSecret // the one before, while a rotation is in progress
	Fault  *KeyFault  // why its key is of no use; nil while it is

	principal uuid.UUID // for an identity that is asked for
}

// SetSecret is the key of an encryption set that the volumes in it are under, wrapped by a key of a vault.
type SetSecret struct {
	ID      string // by which the store knows it
	KeyURL  string // what wraps it
	Wrapped []byte
}

// KeyFault is why the key of an encryption set cannot be used.
type KeyFault struct{ Code, Message string }

// Identity is the managed identity by which an encryption set reaches its vault.
type Identity struct {
	Type      string // "", SystemAssigned, UserAssigned, "SystemAssigned, UserAssigned" or None
	Principal uuid.UUID
	Users     []string // ids of user-assigned identities
}

// System tells that the identity is also its own principal.
func (i Identity) System() bool { return strings.Contains(i.Type, "SystemAssigned") }

// KeyReference names a key in a vault.
type KeyReference struct {
	VaultID string // resource id of the vault; may be empty
	URL     string // with the key's version
}

// EncryptionSetRequest is what a PUT or PATCH asks of an encryption set. Nil or empty means: not said.
type EncryptionSetRequest struct {
	Type              string
	ActiveKey         *KeyReference
	Rotate            *bool
	FederatedClientID string
	Identity          *Identity
}

// Clone copies the set deeply.
func (s EncryptionSet) Clone() EncryptionSet {
	s.PreviousKeys = slices.Clone(s.PreviousKeys)
	s.Rotate = clonePtr(s.Rotate)
	s.Identity.Users = slices.Clone(s.Identity.Users)
	s.Secret, s.Old, s.Fault = clonePtr(s.Secret), clonePtr(s.Old), clonePtr(s.Fault)
	return s
}

// Double tells that the set's key is wrapped by the platform's as well.
func (s EncryptionSet) Double() bool { return s.Type == doubleKey }

// KeyForbidden is what a client is told whose encryption set may not use its key, or not any more.
func KeyForbidden(set ResourceID, keyURL string, cause error) *Error {
	return &Error{
		Kind: KindInvalid, Code: "KeyVaultAccessForbidden", Cause: cause,
		Message: fmt.Sprintf("Unable to access key vault resource '%s' to enable encryption at rest. Please grant get, wrap and unwrap key "+
			"permissions to disk encryption set '%s'. Please visit https://aka.ms/keyvaultaccessssecmk for more information.", keyURL, set.Name),
	}
}

const (
	customerKey     = "EncryptionAtRestWithCustomerKey"
	platformKey     = "EncryptionAtRestWithPlatformKey"
	doubleKey       = "EncryptionAtRestWithPlatformAndCustomerKeys"
	confidentialKey = "ConfidentialVmEncryptedWithCustomerKey"
)

// apply takes over the request. A changed key is a rotation.
func (s *EncryptionSet) apply(want EncryptionSetRequest, now time.Time) error {
	if err := s.applyType(want.Type); err != nil {
		return err
	}
	if want.ActiveKey != nil {
		if err := want.ActiveKey.check(); err != nil {
			return err
		}
		if s.ActiveKey.URL != "" && s.ActiveKey.URL != want.ActiveKey.URL {
			s.Rotated = now
		}
		s.ActiveKey = *want.ActiveKey
	}
	if s.ActiveKey.URL == "" {
		return MissingParameter("properties.activeKey")
	}
	if f := want.FederatedClientID; f != "" {
		if f != "None" && uuid.Validate(f) != nil {
			return badValue("federatedClientId")
		}
		if f != "None" {
			return InvalidParameter("federatedClientId", "The parameter federatedClientId is not supported: there are no vaults of other tenants here.")
		}
		s.FederatedClientID = strings.TrimSuffix(f, "None") // "None" clears it
	}
	setPtr(&s.Rotate, want.Rotate)
	if want.Identity != nil {
		return s.applyIdentity(*want.Identity)
	}
	return nil
}

func (s *EncryptionSet) applyType(want string) error {
	switch {
	case want != "" && !slices.Contains([]string{customerKey, doubleKey, confidentialKey}, want):
		return badValue("encryptionType")
	case s.Type != "" && want != "" && want != s.Type:
		return &Error{
			Kind: KindInvalid, Code: "PropertyChangeNotAllowed", Target: "encryptionType",
			Message: "Changing property 'encryptionType' is not allowed.",
		}
	}
	set(&s.Type, want, customerKey)
	return nil
}

func (s *EncryptionSet) applyIdentity(want Identity) error {
	known := []string{"SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"}
	if !slices.Contains(known, want.Type) {
		return badValue("identity.type")
	}
	if strings.Contains(want.Type, "UserAssigned") && len(want.Users) == 0 {
		return MissingParameter("identity.userAssignedIdentities")
	}
	if len(want.Users) > 1 {
		return InvalidParameter("identity.userAssignedIdentities", "A disk encryption set can have one user-assigned identity.")
	}
	principal := s.Identity.Principal
	if principal == uuid.Nil {
		principal = s.principal
	}
	s.Identity = Identity{Type: want.Type, Users: slices.Clone(want.Users)}
	if s.Identity.System() {
		s.Identity.Principal = principal
	}
	return nil
}

// check says whether the reference names one version of a key.
func (k KeyReference) check() error {
	if k.URL == "" {
		return MissingParameter("activeKey.keyUrl")
	}
	const target = "properties.activeKey.keyUrl"
	u, err := url.Parse(k.URL)
	if err != nil || len(k.URL) > 2048 || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return badValue(target)
	}
	part := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(part) != 3 || part[0] != "keys" || part[1] == "" || part[2] == "" {
		return InvalidParameter(target, "The value of parameter %s is invalid: a key's URL has the form "+
			"https://VAULT/keys/NAME/VERSION.", target)
	}
	if len(k.VaultID) > 1024 || k.VaultID != "" && !strings.HasPrefix(k.VaultID, "/subscriptions/") {
		return badValue("properties.activeKey.sourceVault.id")
	}
	return nil
}
