package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/google/uuid"

	"tintype/internal/vhd"
)

// azImages runs az where Debian's stops in itself: testdata/az_images.py says why.
const azImages = "/usr/bin/python3 testdata/az_images.py "

// TestAzImages has the real az keep images, and share a disk. `az disk create --image-reference` looks the image up in Azure's marketplace before it
// asks for a disk, and reads the id of an image that is not there as one of the marketplace: it stops in itself (KeyError child_name_1), so the
// disks of an image are made with its request, by `az rest`.
func TestAzImages(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	group := term.must("az group create -g img -l westus2 -o tsv --query id")
	term.must("az disk create -g img -n os --size-gb 2 --os-type Linux --hyper-v-generation V2 -o none")
	term.must("az disk create -g img -n data --size-gb 1 -o none")
	term.must("az snapshot create -g img -n snap --source os -o none")
	id := term.must(azImages + "image create -g img -n one --source snap --os-type Linux --hyper-v-generation V2 --data-disk-sources data " +
		"--data-disk-caching ReadOnly --storage-sku Premium_LRS --tags a=b -o tsv --query id")
	term.must("az snapshot delete -g img -n snap")
	term.must("az disk delete -g img -n data --yes")
	got := term.must(azImages + "image show -g img -n one -o tsv --query " +
		"[hyperVGeneration,storageProfile.osDisk.diskSizeGb,storageProfile.osDisk.storageAccountType,storageProfile.dataDisks[0].caching,tags.a,provisioningState]")
	if strings.Join(strings.Fields(got), " ") != "V2 2 Premium_LRS ReadOnly b Succeeded" {
		t.Errorf("the image shows %q", got)
	}
	if got := term.must(azImages + "image update -g img -n one --tags c=d -o tsv --query tags.c"); got != "d" {
		t.Errorf("updated: %q", got)
	}
	body := `{"location":"westus2","properties":{"creationData":{"createOption":"FromImage","imageReference":{"id":"` + id + `","lun":0}}}}`
	term.must("az rest -m put -u " + group + "/providers/Microsoft.Compute/disks/made?api-version=2024-03-02 --body " + body + " -o none")
	if got := term.must("az disk show -g img -n made -o tsv --query [creationData.imageReference.lun,diskSizeGb]"); !sameWords(got, "0", "1") {
		t.Errorf("the disk of the image: %q", got)
	}
	term.mustFail(azImages+"disk create -g img -n x --image-reference "+id, "child_name_1")
	term.mustFail(azImages+"disk create -g img -n x --image-reference Canonical:UbuntuServer:18.04-LTS:18.04.2", "VMImage was not found")
	term.must(azImages + "image delete -g img -n one")
	if got := term.must(azImages + "image list -g img -o tsv --query [].name"); got != "" {
		t.Errorf("left: %q", got)
	}

	got = term.must("az disk create -g img -n shared --size-gb 4 --sku Premium_LRS --max-shares 3 -o tsv --query maxShares")
	if more := term.must("az disk update -g img -n shared --max-shares 2 -o tsv --query maxShares"); got != "3" || more != "2" {
		t.Errorf("shared by %s, then %s", got, more)
	}
	term.mustFail("az disk update -g img -n shared --max-shares 4", "MaxShares '4'")
}

// TestAzMachineOfImage has the real az make a virtual machine of an image, by the template that it sends. It looks for the machine's network at its
// end, which is another provider's: --no-wait spares it that.
func TestAzMachineOfImage(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g vms -l westus2 -o none")
	term.must("az disk create -g vms -n os --size-gb 2 --os-type Linux --hyper-v-generation V2 -o none")
	term.must("az disk create -g vms -n data --size-gb 1 -o none")
	id := term.must(azImages + "image create -g vms -n golden --source os --os-type Linux --hyper-v-generation V2 --data-disk-sources data -o tsv --query id")
	term.must(azImages + "vm create -g vms -n vm --image " + id + " --nics nic --size Standard_D2s_v3 --admin-username me --admin-password Not-a-secret-12 " +
		"--data-disk-sizes-gb 3 --os-disk-delete-option Delete --no-wait -o none")
	term.must(azImages + "vm wait -g vms -n vm --created --interval 1 --timeout 120")
	got := term.must(azImages + "vm show -g vms -n vm -o tsv --query " +
		"[storageProfile.osDisk.createOption,storageProfile.osDisk.managedDisk.storageAccountType,storageProfile.osDisk.deleteOption,storageProfile.imageReference.id,osProfile.adminUsername,length(storageProfile.dataDisks)]")
	if !sameWords(got, "FromImage", "Premium_LRS", "Delete", id, "me", "2") {
		t.Errorf("the machine: %q", got)
	}
	all := term.must("az disk list -g vms -o tsv --query [].name")
	for _, name := range []string{"vm_OsDisk_1_", `vm_disk\d_`, "vm_lun_0_2_"} {
		if !regexp.MustCompile(`(?m)^` + name + `[0-9a-f]{32}$`).MatchString(all) {
			t.Errorf("no %s: %q", name, all)
		}
	}
	term.must(azImages + "vm disk attach -g vms --vm-name vm -n more --new --size-gb 1")
	if got := term.must("az disk show -g vms -n more -o tsv --query managedBy"); !strings.HasSuffix(got, "/virtualMachines/vm") {
		t.Errorf("the new disk is of %q", got)
	}
	term.must("tintype disk attach -g vms -n more --host vm")
	term.must(azImages + "vm deallocate -g vms -n vm")
	state := azImages + "vm get-instance-view -g vms -n vm -o tsv --query instanceView.statuses[1].code"
	if off, disk := term.must(state), term.must("az disk show -g vms -n more -o tsv --query diskState"); off != "PowerState/deallocated" || disk != "Reserved" {
		t.Errorf("deallocated: %q, its disk %q", off, disk)
	}
	term.mustFail("tintype disk attach -g vms -n more --host vm", "Start it first")
	term.must(azImages + "vm start -g vms -n vm")
	if on := term.must(state); on != "PowerState/running" {
		t.Errorf("started: %q", on)
	}
	term.mustFail(azImages+"vm create -g vms -n none --image Canonical:UbuntuServer:18.04-LTS:18.04.2 --nics nic --admin-username me --admin-password Not-a-secret-12", "was not found")
	term.must(azImages + "vm delete -g vms -n vm --yes")
	if all := term.must("az disk list -g vms -o tsv --query [].name"); strings.Contains(all, "_OsDisk_") || !strings.Contains(all, "vm_lun_0_2_") {
		t.Errorf("left: %q", all)
	}
}

// TestAzGuestState has the real az upload a disk with the guest state of its machine, and read both of its snapshot.
func TestAzGuestState(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term, a := openAz(t, s), newAPI(t, s)
	const data, state = 20 << 20, 4 << 20
	term.must("az group create -g tl -l westus2 -o none")
	term.must("az disk create -g tl -n d --upload-type UploadWithSecurityData --upload-size-bytes 20972032 --security-type TrustedLaunch " +
		"--hyper-v-generation V2 --os-type Linux -o none")
	urls := func(command string) (disk, guest string) {
		t.Helper()
		var sas struct {
			AccessSAS             string `json:"accessSas"`
			SecurityDataAccessSAS string `json:"securityDataAccessSas"`
		}
		mustDo(t, json.Unmarshal([]byte(term.must(command+" --duration-in-seconds 600 -o json")), &sas))
		if sas.SecurityDataAccessSAS == "" || sas.SecurityDataAccessSAS == sas.AccessSAS {
			t.Fatalf("%s gives %+v", command, sas)
		}
		return sas.AccessSAS, sas.SecurityDataAccessSAS
	}
	disk, guest := urls("az disk grant-access -g tl -n d --access-level Write --secure-vm-guest-state-sas")
	for sas, size := range map[string]int64{disk: data, guest: state} {
		footer := vhd.FixedFooter(size, vhd.Identity{Unique: uuid.New()})
		a.putPage(sas, 0, strings.Repeat(string(rune('a'+size/state)), 512), 201)
		a.putPage(sas, size, string(footer[:]), 201)
	}
	term.must("az disk revoke-access -g tl -n d")
	term.must("az snapshot create -g tl -n s --source d -o none")
	term.must("az disk delete -g tl -n d --yes")
	term.must("az disk create -g tl -n back --source s -o none")
	if got := term.must("az disk show -g tl -n back -o tsv --query securityProfile.securityType"); got != "TrustedLaunch" {
		t.Errorf("the disk made of the snapshot: %q", got)
	}
	disk, guest = urls("az disk grant-access -g tl -n back --secure-vm-guest-state-sas")
	for sas, size := range map[string]int64{disk: data, guest: state} {
		status, body := a.get(sas)
		if status != 200 || int64(len(body)) != size+512 || string(body[:2]) != strings.Repeat(string(rune('a'+size/state)), 2) {
			t.Errorf("%d, %d bytes of %d, %.8q", status, len(body), size, body)
		}
	}
	term.must("az disk revoke-access -g tl -n back")
	term.must("az group delete -g tl --yes")
}

// TestGoSDKImages keeps an image with Azure's own Go client at the newest api-version.
func TestGoSDKImages(t *testing.T) {
	s := start(t, t.TempDir())
	a := newAPI(t, s)
	a.makeGroup("sdk")
	disk := a.id("sdk", "disks", "d")
	a.must("PUT", versioned(disk), emptyDisk(1))
	ctx, images := t.Context(), factory(t, s).NewImagesClient()
	created, err := images.BeginCreateOrUpdate(ctx, "sdk", "i", armcompute.Image{
		Location: to.Ptr("westus2"),
		Properties: &armcompute.ImageProperties{
			HyperVGeneration: to.Ptr(armcompute.HyperVGenerationTypesV2),
			StorageProfile: &armcompute.ImageStorageProfile{OSDisk: &armcompute.ImageOSDisk{
				OSType: to.Ptr(armcompute.OperatingSystemTypesLinux), OSState: to.Ptr(armcompute.OperatingSystemStateTypesGeneralized),
				ManagedDisk: &armcompute.SubResource{ID: &disk},
			}},
		},
	}, nil)
	image := done(t, created, err)
	if *image.Properties.ProvisioningState != "Succeeded" || *image.Properties.StorageProfile.OSDisk.DiskSizeGB != 1 {
		t.Errorf("%+v", image.Properties)
	}
	updated, err := images.BeginUpdate(ctx, "sdk", "i", armcompute.ImageUpdate{Tags: map[string]*string{"k": to.Ptr("v")}}, nil)
	if got := done(t, updated, err); *got.Tags["k"] != "v" {
		t.Errorf("%+v", got.Tags)
	}
	for pager := images.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil || len(page.Value) != 1 {
			t.Fatalf("%d images, %v", len(page.Value), err)
		}
	}
	deleted, err := images.BeginDelete(ctx, "sdk", "i", nil)
	done(t, deleted, err)
	if _, err := images.Get(ctx, "sdk", "i", nil); err == nil {
		t.Error("a deleted image is there")
	}
}
