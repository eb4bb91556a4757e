package e2e

import (
	"strings"
	"testing"
)

// azRestFlags are the flags that azFlags and other tests leave out: of shared disks, encryption sets, disk accesses, and what
// az has for every resource. The place of $ID/ is that of the group's Microsoft.Compute.
var azRestFlags = []struct{ command, query, want string }{
	{
		"disk create -g rest -n u --size-gb 1024 --sku UltraSSD_LRS --zone 1 --disk-iops-read-only 200 --disk-mbps-read-only 30",
		"[diskIopsReadOnly,diskMBpsReadOnly]", "200 30",
	},
	{"disk update -g rest -n u --disk-iops-read-only 300 --disk-mbps-read-only 40", "[diskIopsReadOnly,diskMBpsReadOnly]", "300 40"},
	{"disk create -g rest -n t --size-gb 8 --os-type Linux --hyper-v-generation V2 --security-type TrustedLaunch", "securityProfile.securityType", "TrustedLaunch"},
	{"disk create -g rest -n d --size-gb 8 --max-shares 1 --disk-encryption-set keys", "encryption.type", "EncryptionAtRestWithCustomerKey"},
	{"disk create -g rest -n e --size-gb 8", "encryption.type", "EncryptionAtRestWithPlatformKey"},
	{
		"disk update -g rest -n e --disk-encryption-set keys --encryption-type EncryptionAtRestWithCustomerKey",
		"[encryption.type,encryption.diskEncryptionSetId!=null]", "EncryptionAtRestWithCustomerKey true",
	},
	{"disk update --ids $ID/disks/d $ID/disks/e --set tags.a=1 --force-string --no-wait", "", ""},
	{"disk wait --ids $ID/disks/d $ID/disks/e --updated --interval 1 --timeout 30", "", ""},
	{"disk wait -g rest -n d --exists --interval 1 --timeout 30", "", ""},
	{"disk update -g rest -n d --add zones 1 --remove zones", "tags.a", "1"},
	{"disk show --ids $ID/disks/d $ID/disks/e", "[].tags.a", "1 1"},
	{"disk grant-access --ids $ID/disks/d $ID/disks/e --duration-in-seconds 60 --access-level Read", "length([].accessSas)", "2"},
	{"disk revoke-access --ids $ID/disks/d $ID/disks/e", "", ""},
	{
		"snapshot create -g rest -n s --source d --disk-encryption-set keys --encryption-type EncryptionAtRestWithCustomerKey --network-access-policy AllowPrivate --disk-access door --accelerated-network true",
		"[encryption.type,networkAccessPolicy,diskAccessId!=null,supportedCapabilities.acceleratedNetwork]",
		"EncryptionAtRestWithCustomerKey AllowPrivate true true",
	},
	{"snapshot create -g rest -n r --source e", "name", "r"},
	{
		"snapshot update -g rest -n r --disk-encryption-set keys --encryption-type EncryptionAtRestWithCustomerKey --network-access-policy AllowPrivate --disk-access door --accelerated-network false",
		"[encryption.type,networkAccessPolicy,supportedCapabilities.acceleratedNetwork]", "EncryptionAtRestWithCustomerKey AllowPrivate false",
	},
	{"snapshot update --ids $ID/snapshots/r $ID/snapshots/s --network-access-policy AllowAll --set tags.a=1 --force-string --no-wait", "", ""},
	{"snapshot wait --ids $ID/snapshots/r $ID/snapshots/s --updated --interval 1 --timeout 30", "", ""},
	{"snapshot update -g rest -n r --remove tags.a", "tags.a", ""},
	{"snapshot wait -g rest -n r --exists --interval 1 --timeout 30", "", ""},
	{"snapshot wait -g rest -n r --custom provisioningState=='Succeeded' --interval 1 --timeout 30", "", ""},
	{"snapshot show --ids $ID/snapshots/r $ID/snapshots/s", "sort_by(@,&name)[].name", "r s"},
	{"snapshot grant-access --ids $ID/snapshots/r $ID/snapshots/s --duration-in-seconds 60", "length([].accessSas)", "2"},
	{"snapshot revoke-access --ids $ID/snapshots/r $ID/snapshots/s", "", ""},
	{"snapshot delete --ids $ID/snapshots/r $ID/snapshots/s", "", ""},
	{"snapshot wait -g rest -n r --deleted --interval 1 --timeout 30", "", ""},
	{"disk delete --ids $ID/disks/d $ID/disks/e --yes", "", ""},
	{"disk list -g rest", "sort_by(@,&name)[].name", "t u"},
}

// azRefusedFlags name what is not to be had from this server, with words of the refusal.
var azRefusedFlags = []struct{ command, words string }{
	{"disk create -n x --gallery-image-reference /SharedGalleries/g/Images/i/Versions/1.0.0 --gallery-image-reference-lun 0", "InvalidResourceType"},
	{"disk create -n x --size-gb 8 --hyper-v-generation V2 --os-type Linux --security-type ConfidentialVM_DiskEncryptedWithCustomerKey --secure-vm-disk-encryption-set keys", "ecur"},
	{"disk create -n x --source https://a.blob.core.windows.net/c/b.vhd --source-storage-account-id $ID/../Microsoft.Storage/storageAccounts/a", "import from host"},
	{"disk create -n x --size-gb 8 --hyper-v-generation V2 --security-type TrustedLaunch --security-data-uri https://a.blob.core.windows.net/c/g.vhd --source https://a.blob.core.windows.net/c/b.vhd", "import from host"},
	{"disk grant-access -n t --duration-in-seconds 60 --access-level Read --secure-vm-guest-state-sas", "guest state"},
	{"snapshot create -n x --source https://a.blob.core.windows.net/c/b.vhd --source-storage-account-id $ID/../Microsoft.Storage/storageAccounts/a", "import from host"},
	{"snapshot create -n x --source t --edge-zone microsoftlosangeles1", "edge zones"},
}

// TestAzRestOfFlags has the real az send the flags that TestAzEveryFlag does not.
func TestAzRestOfFlags(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir(), zoneArgs(t.TempDir())...)
	term := openAz(t, s)
	group := term.must("az group create -g rest -l westus2 -o tsv --query id")
	term.must("az disk-access create -g rest -n door -l westus2 -o none")
	term.must("az keyvault create -g rest -n tt-rest -l westus2 --enable-purge-protection --retention-days 7 -o none")
	kid := vaultClient(t, s, "tt-rest").create("k", 2048)
	who := term.must("az disk-encryption-set create -g rest -n keys -l westus2 --key-url " + kid + " --query identity.principalId -o tsv")
	term.must("az keyvault set-policy -n tt-rest --object-id " + who + " --key-permissions get wrapKey unwrapKey -o none")
	full := func(command string) string {
		return "az " + strings.ReplaceAll(command, "$ID/", group+"/providers/Microsoft.Compute/")
	}
	for _, row := range azRestFlags {
		line := full(row.command)
		if row.query != "" {
			line += " -o tsv --query " + row.query
		} else if !strings.Contains(row.command, " wait ") {
			line += " -o none"
		}
		got, err := term.try(line)
		if got = strings.Join(strings.Fields(got), " "); strings.Contains(row.command, " wait ") {
			got = strings.Trim(got, "[]nul, ") // what az shows of having waited for several
		}
		if err != nil || got != row.want {
			t.Errorf("%s\ngives %q, not %q: %v", line, got, row.want, err)
		}
	}
	for _, row := range azRefusedFlags {
		term.mustFail(full(row.command)+" -g rest -o none", row.words)
	}
}
