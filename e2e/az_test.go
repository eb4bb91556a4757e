package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAzurePage follows Azure's page "Create a snapshot of a virtual hard disk" with the real az, then takes the
// snapshot out as a VHD with curl and lets qemu-img judge it.
func TestAzurePage(t *testing.T) {
	need(t, "az", "curl", "qemu-img")
	term := openAz(t, start(t, t.TempDir(), zoneArgs(t.TempDir())...))
	image := makeImage(t, 64*mib)
	term.must("az group create -g page -l westus2 -o none")
	term.must("tintype disk create -g page -n web --file " + image + " -o none")

	diskID := term.must("az disk show -g page -n web --query id -o tsv")
	term.must("az snapshot create -g page --source " + diskID + " --name first")
	term.must("az snapshot create -g page --source " + diskID + " --name zoned --sku Standard_ZRS")
	term.must("az snapshot create -g page --source web --name byname --incremental true")

	table := term.must("az snapshot list -g page -o table")
	for _, word := range []string{"first", "zoned", "byname", "westus2", "Succeeded", "Name", "ResourceGroup"} {
		if !strings.Contains(table, word) {
			t.Errorf("the table lacks %s:\n%s", word, table)
		}
	}
	if sku := term.must("az snapshot show -g page -n zoned --query sku.name -o tsv"); sku != "Standard_ZRS" {
		t.Errorf("the zoned snapshot's sku is %s", sku)
	}

	term.must("az disk create -g page -n restored --source first -o none")
	if size := term.must("az disk show -g page -n restored --query diskSizeBytes -o tsv"); size != "67108864" && size != "1073741824" {
		t.Errorf("the restored disk has %s bytes", size)
	}
	sas := term.must("az snapshot grant-access -g page -n first --duration-in-seconds 3600 --query accessSas -o tsv")
	vhd := filepath.Join(t.TempDir(), "first.vhd")
	term.must("curl -sSf -o " + vhd + " " + sas)
	acceptVHD(t, term, image, vhd)

	term.must("az snapshot revoke-access -g page -n first")
	term.mustFail("curl -sSf -o "+vhd+" "+sas, "403")
	term.must("az snapshot delete -g page -n first")
	term.must("az disk delete -g page -n web --yes")
	term.mustFail("az disk show -g page -n web", "ResourceNotFound")
	if left := term.must("az snapshot list -g page --query [].name -o tsv"); !sameWords(left, "byname", "zoned") {
		t.Errorf("left: %q", left)
	}
	term.must("az group delete -g page --yes")
}

func sameWords(text string, want ...string) bool {
	got := strings.Fields(text)
	if len(got) != len(want) {
		return false
	}
	for _, w := range want {
		if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+w+" ") {
			return false
		}
	}
	return true
}

// acceptVHD requires that qemu-img takes a file for a fixed VHD with the image's content.
func acceptVHD(t *testing.T, term *terminal, image, vhd string) {
	t.Helper()
	var info struct {
		Format      string
		VirtualSize int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal([]byte(term.must("qemu-img info -f vpc --output json "+vhd)), &info); err != nil {
		t.Fatal(err)
	}
	raw, err := os.Stat(image)
	if err != nil {
		t.Fatal(err)
	}
	if info.Format != "vpc" || info.VirtualSize != raw.Size() {
		t.Errorf("qemu-img sees %s of %d bytes, want vpc of %d", info.Format, info.VirtualSize, raw.Size())
	}
	if out := term.must("qemu-img compare -f raw -F vpc " + image + " " + vhd); !strings.Contains(out, "identical") {
		t.Errorf("qemu-img compare: %s", out)
	}
	packed, err := os.Stat(vhd)
	if err != nil {
		t.Fatal(err)
	}
	if packed.Size() != raw.Size()+512 {
		t.Errorf("the VHD has %d bytes, want the disk and 512", packed.Size())
	}
}
