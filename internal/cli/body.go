package cli

import (
	"errors"
	"strings"
)

// This file holds the parts of a body that disks and snapshots have in common.

func encryptionOptions() []*option {
	return []*option{
		{long: "disk-access", help: "Name or ID of the disk access resource for using private endpoints on disks"},
		{long: "disk-encryption-set", help: "Name or ID of disk encryption set that is used to encrypt the disk"},
		{long: "encryption-type", choices: encryptions, help: "Encryption type"},
		{long: "accelerated-network", arity: boolean, choices: booleans, help: "Customers can set on Managed Disks or Snapshots to enable the accelerated networking if the OS disk image support"},
		{long: "architecture", choices: architectures, help: "CPU architecture"},
	}
}

// siblingID turns the name of a Microsoft.Compute resource of the group into an id.
func (s *session) siblingID(group, collection, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return s.groupID(group) + "/providers/Microsoft.Compute/" + collection + "/" + name
}

// createCommon stores the common options into a new resource's body.
func (s *session) createCommon(group string, body map[string]any) {
	if s.args.has("disk-encryption-set") || s.args.has("encryption-type") {
		encryption := map[string]any{}
		if s.args.has("encryption-type") {
			encryption["type"] = s.args.get("encryption-type")
		}
		if s.args.has("disk-encryption-set") {
			encryption["diskEncryptionSetId"] = s.siblingID(group, "diskEncryptionSets", s.args.get("disk-encryption-set"))
		}
		store(body, "properties.encryption", encryption)
	}
	if s.args.has("disk-access") {
		store(body, "properties.diskAccessId", s.siblingID(group, "diskAccesses", s.args.get("disk-access")))
	}
	if s.args.has("edge-zone") {
		body["extendedLocation"] = map[string]any{"name": s.args.get("edge-zone"), "type": "EdgeZone"}
	}
	if abilities := s.abilities(nil); abilities != nil {
		store(body, "properties.supportedCapabilities", abilities)
	}
	apply(sharedSettings(), s.args, body)
}

// abilities merges --accelerated-network and --architecture into have.
func (s *session) abilities(have map[string]any) map[string]any {
	if !s.args.has("accelerated-network") && !s.args.has("architecture") {
		return have
	}
	if have == nil {
		have = map[string]any{}
	}
	if s.args.has("accelerated-network") {
		have["acceleratedNetwork"] = s.args.yes("accelerated-network")
	}
	if s.args.has("architecture") {
		have["architecture"] = s.args.get("architecture")
	}
	return have
}

func (s *session) updateAbilities(shown map[string]any) error {
	have, ok := shown["supportedCapabilities"].(map[string]any)
	if shown["supportedCapabilities"] != nil && !ok {
		return errors.New("the server's supportedCapabilities is not an object")
	}
	if merged := s.abilities(have); merged != nil {
		shown["supportedCapabilities"] = merged
	}
	return nil
}

func (s *session) updateEncryption(group string, shown map[string]any) error {
	if !s.args.has("disk-encryption-set") && !s.args.has("encryption-type") {
		return nil
	}
	encryption, ok := shown["encryption"].(map[string]any)
	if !ok {
		encryption = map[string]any{}
		shown["encryption"] = encryption
	}
	const customer = "EncryptionAtRestWithCustomerKey"
	wanted := s.args.get("encryption-type")
	if s.args.has("disk-encryption-set") {
		if encryption["type"] != customer && wanted != customer {
			return azText("usage error: Please set --encryption-type to EncryptionAtRestWithCustomerKey")
		}
		encryption["diskEncryptionSetId"] = s.siblingID(group, "diskEncryptionSets", s.args.get("disk-encryption-set"))
	}
	if wanted != "" {
		encryption["type"] = wanted
		if wanted != customer {
			delete(encryption, "diskEncryptionSetId")
		}
	}
	return nil
}
