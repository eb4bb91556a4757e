package e2e

import (
	"strings"
	"testing"
)

// azFlags are az's commands about disks and snapshots with the flags that other tests leave out, what --query asks of the
// answer, and the words that are to come. Blanks in a command separate words.
var azFlags = []struct{ command, query, want string }{
	{
		"disk create -n d1 --size-gb 4 --sku Premium_LRS --tier P10 --os-type Linux --hyper-v-generation V2 --architecture Arm64 --accelerated-network true --tags a=b",
		"[tier,osType,hyperVGeneration,supportedCapabilities.architecture,supportedCapabilities.acceleratedNetwork,tags.a]",
		"P10 Linux V2 Arm64 true b",
	},
	{
		"disk create -n d2 --size-gb 1024 --sku UltraSSD_LRS --zone 1 --disk-iops-read-write 2000 --disk-mbps-read-write 200 --logical-sector-size 512",
		"[diskIopsReadWrite,diskMBpsReadWrite,creationData.logicalSectorSize,zones[0]]",
		"2000 200 512 1",
	},
	{"disk create -n d3 --size-gb 1024 --sku Premium_LRS --enable-bursting true", "[burstingEnabled]", "true"},
	{"disk create -n d4 --size-gb 1024 --sku Premium_LRS --performance-plus true", "[creationData.performancePlus]", "true"},
	{
		"disk create -n d5 --size-gb 8 --public-network-access Disabled --network-access-policy DenyAll",
		"[publicNetworkAccess,networkAccessPolicy]", "Disabled DenyAll",
	},
	{
		"disk create -n d6 --size-gb 8 --support-hibernation true --os-type Linux --hyper-v-generation V2",
		"[supportsHibernation,osType]", "true Linux",
	},
	{
		"disk create -n d7 --size-gb 8 --data-access-auth-mode AzureActiveDirectory --encryption-type EncryptionAtRestWithPlatformKey",
		"[dataAccessAuthMode,encryption.type]", "AzureActiveDirectory EncryptionAtRestWithPlatformKey",
	},
	{"disk create -n d9 --size-gb 8 --no-wait", "", ""},
	{"disk wait -n d9 --created --interval 1 --timeout 30", "", ""},
	{"disk wait -n d9 --custom diskState=='Unattached' --interval 1 --timeout 30", "", ""},
	{"disk wait -n none --deleted --interval 1 --timeout 30", "", ""},
	{
		"disk update -n d1 --size-gb 8 --set tags.c=d --sku Standard_LRS --network-access-policy DenyAll",
		"[diskSizeGb,tags.c,sku.name,networkAccessPolicy]", "8 d Standard_LRS DenyAll",
	},
	{"disk update -n d2 --disk-iops-read-write 3000 --disk-mbps-read-write 300", "[diskIopsReadWrite,diskMBpsReadWrite]", "3000 300"},
	{"disk update -n d3 --enable-bursting false", "[burstingEnabled]", "false"},
	{
		"disk update -n d9 --accelerated-network true --architecture x64 --public-network-access Disabled --data-access-auth-mode None --set tags.x=1",
		"[publicNetworkAccess,supportedCapabilities.architecture,tags.x]", "Disabled x64 1",
	},
	{"disk update -n d9 --public-network-access Enabled --remove tags.x", "[publicNetworkAccess,tags.x]", "Enabled None"},
	{
		"snapshot create -n s1 --source d1 --incremental true --sku Standard_ZRS --architecture x64 --hyper-v-generation V1 --public-network-access Disabled --network-access-policy AllowAll --tags q=r --encryption-type EncryptionAtRestWithPlatformKey",
		"[incremental,sku.name,supportedCapabilities.architecture,publicNetworkAccess,tags.q,hyperVGeneration]",
		"true Standard_ZRS x64 Disabled r V1",
	},
	{"snapshot create -n s2 --source d1 --no-wait", "", ""},
	{"snapshot wait -n s2 --created --interval 1 --timeout 30", "", ""},
	{
		"snapshot update -n s2 --architecture Arm64 --public-network-access Enabled --network-access-policy DenyAll --sku Premium_LRS --set tags.z=1",
		"[sku.name,networkAccessPolicy,tags.z]", "Premium_LRS DenyAll 1",
	},
	{"disk list", "sort_by(@,&name)[].name", "d1 d2 d3 d4 d5 d6 d7 d9"},
	{"snapshot list", "sort_by(@,&name)[].name", "s1 s2"},
	{"disk delete -n d9 --yes --no-wait", "", ""},
	{"disk wait -n d9 --deleted --interval 1 --timeout 30", "", ""},
}

// TestAzEveryFlag has the real az send every flag of its disk and snapshot commands that a host can honour.
func TestAzEveryFlag(t *testing.T) {
	need(t, "az")
	term := openAz(t, start(t, t.TempDir(), zoneArgs(t.TempDir())...))
	term.must("az group create -g flags -l westus2 -o none")
	for _, row := range azFlags {
		line := "az " + row.command + " -g flags"
		switch {
		case row.query != "":
			line += " -o tsv --query " + row.query
		case !strings.Contains(row.command, " wait "):
			line += " -o none"
		}
		if got := strings.Join(strings.Fields(term.must(line)), " "); got != row.want {
			t.Errorf("%s\ngives %q, not %q", line, got, row.want)
		}
	}
	term.mustFail("az disk create -g flags -n far --size-gb 8 --edge-zone microsoftlosangeles1", "edge zones")
	term.mustFail("az snapshot grant-access -g flags -n s2 --duration-in-seconds 60", "DenyAll")
}
