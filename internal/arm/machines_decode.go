package arm

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

// keptProfiles are the parts of a machine that this server keeps and shows, and does nothing with.
func keptProfiles(p *wire.MachineProperties) map[string]*json.RawMessage {
	return map[string]*json.RawMessage{
		"osProfile": &p.OSProfile, "networkProfile": &p.NetworkProfile, "diagnosticsProfile": &p.DiagnosticsProfile,
		"securityProfile": &p.SecurityProfile, "additionalCapabilities": &p.Additional, "licenseType": &p.LicenseType,
	}
}

// decodeMachine reads what a PUT or PATCH asks for.
func decodeMachine(w wire.Machine) (tintype.MachineRequest, error) {
	want := tintype.MachineRequest{Zones: w.Zones}
	p := w.Properties
	if p == nil {
		return want, nil
	}
	if p.HardwareProfile != nil {
		want.Size = p.HardwareProfile.VMSize
	}
	if err := decodeProfiles(p, &want); err != nil {
		return want, err
	}
	if s := p.StorageProfile; s != nil {
		if s.OSDisk != nil {
			d := decodeMachineDisk(*s.OSDisk)
			want.OS = &d
		}
		want.Image = decodeMachineImage(s.ImageReference)
		if s.DataDisks != nil {
			want.Data = []tintype.MachineDiskRequest{}
		}
		for _, d := range s.DataDisks {
			want.Data = append(want.Data, decodeMachineDisk(d))
		}
	}
	return want, checkSecurity(p)
}

// decodeProfiles reads the profiles that are kept, and who may log in by the machine's osProfile.
func decodeProfiles(p *wire.MachineProperties, want *tintype.MachineRequest) error {
	for name, profile := range keptProfiles(p) {
		if !said(*profile) {
			continue
		}
		if want.Kept == nil {
			want.Kept = map[string]json.RawMessage{}
		}
		text, err := withoutSecrets(*profile)
		if err != nil {
			return err
		}
		want.Kept[name] = text
	}
	if !said(p.OSProfile) {
		return nil
	}
	var os wire.OSProfile
	if err := json.Unmarshal(p.OSProfile, &os); err != nil {
		return invalidContent(describeJSON(err))
	}
	want.Login = &tintype.Login{User: os.AdminUsername, Computer: os.ComputerName, Password: os.AdminPassword != ""}
	if l := os.Linux; l != nil {
		want.Login.NoPassword = l.DisablePassword != nil && *l.DisablePassword
		want.Login.Keys = l.SSH != nil && len(l.SSH.Keys) > 0
	}
	return nil
}

func said(profile json.RawMessage) bool { return len(profile) > 0 && string(profile) != "null" }

func decodeMachineImage(w *wire.MachineImage) *tintype.ImageReference {
	if w == nil {
		return nil
	}
	r := tintype.ImageReference{ID: w.ID, Gallery: cmp.Or(w.SharedGalleryID, w.CommunityImageID)}
	switch lower := strings.ToLower(w.ID); {
	case w.ID == "" && (w.Publisher != "" || w.Offer != "" || w.SKU != ""):
		r.Platform = strings.Join([]string{w.Publisher, w.Offer, w.SKU, w.Version}, ":")
	case strings.Contains(lower, "/providers/microsoft.compute/galleries/"):
		r.Gallery = w.ID
	case r == tintype.ImageReference{}:
		return nil
	}
	return &r
}

// checkSecurity refuses a securityProfile that is none.
func checkSecurity(p *wire.MachineProperties) error {
	var s wire.MachineSecurity
	if !said(p.SecurityProfile) {
		return nil
	}
	if err := json.Unmarshal(p.SecurityProfile, &s); err != nil {
		return invalidContent(describeJSON(err))
	}
	return nil
}

func decodeMachineDisk(w wire.MachineDisk) tintype.MachineDiskRequest {
	d := tintype.MachineDiskRequest{
		Option: w.CreateOption, Caching: w.Caching, DeleteOption: w.DeleteOption, LUN: w.LUN, Detach: w.ToBeDetached != nil && *w.ToBeDetached,
		Name: w.Name, SizeGB: w.DiskSizeGB,
	}
	m := w.ManagedDisk
	if m == nil {
		return d
	}
	d.DiskID, d.Storage = m.ID, m.StorageAccountType
	if m.DiskEncryptionSet != nil {
		d.SetID = m.DiskEncryptionSet.ID
	}
	if s := m.SecurityProfile; s != nil {
		d.Security = &tintype.SecurityProfile{Type: s.EncryptionType}
		if s.DiskEncryptionSet != nil {
			d.Security.EncryptionSetID = s.DiskEncryptionSet.ID
		}
		switch {
		case strings.EqualFold(s.EncryptionType, stateOnly):
			d.Security.Type = "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey"
		case strings.EqualFold(s.EncryptionType, noTPM):
			d.Security.Type = "ConfidentialVM_NonPersistedTPM"
		case strings.EqualFold(s.EncryptionType, diskAndState) && d.Security.EncryptionSetID != "":
			d.Security.Type = "ConfidentialVM_DiskEncryptedWithCustomerKey"
		case strings.EqualFold(s.EncryptionType, diskAndState):
			d.Security.Type = "ConfidentialVM_DiskEncryptedWithPlatformKey"
		}
	}
	return d
}

// How machines name the security types of their disks.
const (
	stateOnly    = "VMGuestStateOnly"
	noTPM        = "NonPersistedTPM"
	diskAndState = "DiskWithVMGuestState"
)

// encodeDiskSecurity shows the security type of a confidential machine's disk.
func encodeDiskSecurity(s *tintype.SecurityProfile) *wire.DiskSecurity {
	if s == nil || !strings.HasPrefix(s.Type, "ConfidentialVM_") {
		return nil
	}
	w := &wire.DiskSecurity{EncryptionType: diskAndState}
	switch {
	case s.EncryptionSetID != "":
		w.DiskEncryptionSet = &wire.Reference{ID: s.EncryptionSetID}
	case strings.Contains(s.Type, stateOnly):
		w.EncryptionType = stateOnly
	case strings.Contains(s.Type, noTPM):
		w.EncryptionType = noTPM
	}
	return w
}

// withoutSecrets leaves out what is meant for the guest alone, wherever in the profile and in whatever case it is written.
func withoutSecrets(profile json.RawMessage) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(profile, &v); err != nil {
		return nil, invalidContent(describeJSON(err))
	}
	dropSecrets(v)
	return json.Marshal(v)
}

func dropSecrets(v any) {
	secrets := []string{"adminPassword", "customData", "additionalUnattendContent"}
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			// As encoding/json does, by which a name is found to be one of these: it folds more than lower case does.
			if slices.ContainsFunc(secrets, func(s string) bool { return strings.EqualFold(s, name) }) {
				delete(v, name)
				continue
			}
			dropSecrets(value)
		}
	case []any:
		for _, value := range v {
			dropSecrets(value)
		}
	}
}

func (h machineHandler) encode(ctx context.Context, c tintype.Companion, version string) (wire.Machine, error) {
	m := *c.Machine
	w := wire.Machine{
		Name: c.ID.Name, ID: c.ID.String(), Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags, Zones: m.Zones,
		Properties: &wire.MachineProperties{
			HardwareProfile: &wire.HardwareProfile{VMSize: m.Size}, ProvisioningState: string(tintype.StateSucceeded), VMID: guid(m.VMID),
			StorageProfile: &wire.StorageProfile{DataDisks: []wire.MachineDisk{}}, TimeCreated: formatTime(c.Created),
		},
	}
	if version >= machineETagSince {
		w.ETag = m.ETag()
	}
	for name, profile := range keptProfiles(w.Properties) {
		*profile = m.Kept[name]
	}
	disks, err := h.MachineDisks(ctx, m)
	if err != nil {
		return w, err
	}
	place := func(d tintype.MachineDisk) wire.MachineDisk {
		v := disks[d.ID.Key()]
		w := wire.MachineDisk{
			Name: d.ID.Name, CreateOption: d.Option, Caching: d.Caching, DeleteOption: "Detach", DiskSizeGB: v.SizeGB(),
			ManagedDisk: &wire.ManagedDisk{ID: d.ID.String(), StorageAccountType: string(v.SKU)},
		}
		if set := v.Settings.Encryption.SetID; set != "" {
			w.ManagedDisk.DiskEncryptionSet = &wire.Reference{ID: set}
		}
		w.ManagedDisk.SecurityProfile = encodeDiskSecurity(v.Settings.SecurityProfile)
		if d.Delete {
			w.DeleteOption = "Delete"
		}
		return w
	}
	if m.Image != "" {
		w.Properties.StorageProfile.ImageReference = &wire.MachineImage{ID: m.Image}
	}
	if m.OS != nil {
		os := place(*m.OS)
		os.OSType = disks[m.OS.ID.Key()].Settings.OSType
		w.Properties.StorageProfile.OSDisk = &os
	}
	for _, d := range m.Data {
		data, lun, stays := place(d), d.LUN, false
		data.LUN, data.ToBeDetached = &lun, &stays
		w.Properties.StorageProfile.DataDisks = append(w.Properties.StorageProfile.DataDisks, data)
	}
	return w, nil
}
