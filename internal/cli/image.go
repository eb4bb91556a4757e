package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

func imagePlace() *place {
	return &place{
		words: "image", noun: "virtual machine image", plural: "virtual machine images", path: "Microsoft.Compute/images", api: pointsAPI,
		name: &option{long: "name", alias: "image-name", short: "n", required: true, help: "The name of the image"},
	}
}

func imageCommands(env Env) *cobra.Command {
	p := imagePlace()
	return family(env, "image", "Manage images of virtual machines", append(p.common(), command{
		name: "image create", short: "Create an image of a virtual machine, a disk or a snapshot.", run: createImage, table: placeColumns, options: p.options(
			&option{long: "source", required: true, help: "OS disk source from the same region: a virtual machine, a managed OS disk or an OS snapshot, by ID; a snapshot or a disk of the group by name too"},
			&option{long: "os-type", choices: []string{"Linux", "Windows"}, help: "OS type of the source; not for a virtual machine"},
			&option{long: "data-disk-sources", arity: atLeast1, help: "Space-separated list of data disk sources, including managed disk IDs and snapshot IDs"},
			&option{long: "hyper-v-generation", choices: []string{"V1", "V2"}, help: "The hypervisor generation of the Virtual Machine created from the image"},
			&option{long: "storage-sku", help: "The SKU of the storage account with which to create the VM image"},
			&option{long: "zone-resilient", arity: boolean, choices: booleans, help: "Specifies whether an image is zone resilient or not"},
			locationOption(), tagOption(),
		),
	}))
}

// imageDisk is what an image's disk is made from.
func imageDisk(id string) map[string]any {
	if strings.Contains(strings.ToLower(id), "/snapshots/") {
		return map[string]any{"snapshot": map[string]any{"id": id}}
	}
	return map[string]any{"managedDisk": map[string]any{"id": id}}
}

// imageSource completes the name of a snapshot or, where there is none, of a disk.
func (s *session) imageSource(ctx context.Context, name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name, nil
	}
	id := s.id(snapshotKind, s.args.get("resource-group"), name)
	_, err := s.get(ctx, id, computeAPI)
	if notFound(err) {
		return s.id(diskKind, s.args.get("resource-group"), name), nil
	}
	return id, err
}

func createImage(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	source, err := s.imageSource(ctx, args.get("source"))
	if err != nil {
		return nil, err
	}
	properties := map[string]any{}
	if args.has("hyper-v-generation") {
		properties["hyperVGeneration"] = args.get("hyper-v-generation")
	}
	if strings.Contains(strings.ToLower(source), "/virtualmachines/") {
		properties["sourceVirtualMachine"] = map[string]any{"id": source}
	} else {
		if !args.has("os-type") {
			return nil, usagef("usage error: os type is required to create the image, please specify '--os-type OS_TYPE'")
		}
		disk := imageDisk(source)
		disk["osType"], disk["osState"] = args.get("os-type"), "Generalized"
		storage := map[string]any{"osDisk": disk, "zoneResilient": args.yes("zone-resilient")}
		all := []any{disk}
		var data []any
		for lun, name := range args.values["data-disk-sources"] {
			id, err := s.imageSource(ctx, name)
			if err != nil {
				return nil, err
			}
			d := imageDisk(id)
			d["lun"] = lun
			data, all = append(data, d), append(all, d)
		}
		if args.has("storage-sku") {
			for _, d := range all {
				d.(map[string]any)["storageAccountType"] = args.get("storage-sku")
			}
		}
		if data != nil {
			storage["dataDisks"] = data
		}
		properties["storageProfile"] = storage
	}
	return imagePlace().create(ctx, s, args.get("name"), map[string]any{"properties": properties})
}
