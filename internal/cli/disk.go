package cli

import (
	"context"
)

// newOptions are those that name a resource to be made.
func newOptions(k *kind, skus []string, sku string) []*option {
	return []*option{
		{long: "resource-group", short: "g", required: true, help: "Name of resource group"},
		{long: "name", short: "n", required: true, help: "The name of the " + k.noun},
		{long: "location", short: "l", help: "Location; default: that of the resource group"},
		{long: "sku", choices: skus, help: "Underlying storage SKU. Default: " + sku},
		{long: "size-gb", short: "z", integer: true, help: "Size in GB (GiB)"},
		{long: "source", help: "Source to create the disk/snapshot from: managed disk id or name, or snapshot id or name"},
		{long: "source-storage-account-id", help: "Used when source blob is in a different subscription"},
		{long: "hyper-v-generation", choices: generations, help: "The hypervisor generation of the Virtual Machine. Applicable to OS disks only. Default: V1"},
		{long: "edge-zone", help: "The name of edge zone"},
		{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"},
		tagOption(),
	}
}

// creationSettings are given when a disk is made, and never changed.
func creationSettings() []setting {
	return []setting{
		{option{long: "os-type", choices: osTypes, help: "The Operating System type of the Disk"}, "properties.osType", ""},
		{option{long: "tier", help: "Performance tier of the disk (e.g, P4, S10)"}, "properties.tier", ""},
		{option{long: "logical-sector-size", integer: true, help: "Logical sector size in bytes for Ultra disks"}, "properties.creationData.logicalSectorSize", ""},
		{option{long: "support-hibernation", arity: boolean, choices: booleans, help: "Indicate the OS on a disk supports hibernation"}, "properties.supportsHibernation", ""},
		{option{long: "performance-plus", arity: boolean, choices: booleans, help: "Set this flag to true to get a boost on the performance target of the disk deployed"}, "properties.creationData.performancePlus", ""},
		{option{long: "security-type", choices: securityTypes, help: "The security type of the VM. Applicable for OS disks only"}, "properties.securityProfile.securityType", ""},
	}
}

func createDiskOptions() []*option {
	options := newOptions(diskKind, diskSKUs, "Premium_LRS")
	options = append(options,
		&option{long: "file", help: "Image file to fill the disk with: raw, VHD, VHDX, qcow2 or VMDK (Tintype's own option)"},
		&option{long: "zone", choices: zones, help: "Availability zone into which to provision the resource"},
		&option{long: "for-upload", arity: boolean, choices: booleans, hidden: true},
		&option{long: "upload-size-bytes", integer: true, help: "The size (in bytes) of the contents of the upload including the VHD footer. Min value: 20972032. Max value: 35183298347520"},
		&option{long: "upload-type", choices: uploadTypes, help: "Create the disk for upload scenario"},
	)
	options = append(options, encryptionOptions()...)
	options = append(options, optionsOf(creationSettings())...)
	options = append(options, optionsOf(diskSettings())...)
	return append(options, optionsOf(sharedSettings())...)
}

func createDisk(ctx context.Context, s *session, args *arguments) (any, error) {
	if args.has("file") {
		return importDisk(ctx, s, args)
	}
	upload := args.has("upload-type") || args.yes("for-upload")
	if args.has("upload-size-bytes") && !upload {
		return nil, azText("usage error: --upload-size-bytes should be used together with --upload-type")
	}
	if upload && !args.has("upload-size-bytes") {
		return nil, azText("usage error: --upload-size-bytes is required to create a disk for upload")
	}
	if !args.has("source") && !upload && !args.has("size-gb") {
		return nil, azText("usage error: --size-gb is required to create an empty disk")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	group := args.get("resource-group")
	src := source{option: "Empty"}
	if upload {
		src.option = "Upload"
	}
	if args.has("source") {
		var err error
		if src, err = s.resolveSource(ctx, group, args.get("source"), diskSourceUsage); err != nil {
			return nil, err
		}
		if src.uri == "" && args.has("source-storage-account-id") {
			return nil, azText(diskSourceUsage)
		}
	}
	data := src.creationData(args)
	if upload {
		data["uploadSizeBytes"] = args.int("upload-size-bytes")
	}
	body, err := s.newDisk(ctx, group, data)
	if err != nil {
		return nil, err
	}
	if args.has("size-gb") {
		store(body, "properties.diskSizeGB", args.int("size-gb"))
	}
	return s.create(ctx, diskKind, s.id(diskKind, group, args.get("name")), body)
}

// newDisk is the body of a disk to be made, but for its size.
func (s *session) newDisk(ctx context.Context, group string, creationData map[string]any) (map[string]any, error) {
	location, err := s.location(ctx, group)
	if err != nil {
		return nil, err
	}
	body := map[string]any{
		"location": location,
		"tags":     parseTags(s.args.values["tags"]),
		"sku":      map[string]any{"name": s.args.or("sku", "Premium_LRS")},
		"properties": map[string]any{
			"creationData":     creationData,
			"hyperVGeneration": s.args.or("hyper-v-generation", "V1"),
		},
	}
	if s.args.has("zone") {
		body["zones"] = []any{s.args.get("zone")}
	}
	s.createCommon(group, body)
	apply(diskSettings(), s.args, body)
	apply(creationSettings(), s.args, body)
	return body, nil
}

func updateDiskOptions() []*option {
	options := append(targetOptions(diskKind),
		&option{long: "sku", choices: diskSKUs, help: "Underlying storage SKU"},
		&option{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"})
	options = append(options, encryptionOptions()...)
	options = append(options, optionsOf(resizeSettings())...)
	options = append(options, optionsOf(diskSettings())...)
	options = append(options, optionsOf(sharedSettings())...)
	return append(options, updateOptions()...)
}

func resizeSettings() []setting {
	return []setting{{option{long: "size-gb", short: "z", integer: true, help: "Size in GB (GiB); a disk only grows"}, "properties.diskSizeGB", "diskSizeGb"}}
}

func updateDisk(ctx context.Context, s *session, _ *arguments) (any, error) {
	return s.update(ctx, diskKind, append(append(resizeSettings(), diskSettings()...), sharedSettings()...))
}
