package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// TestRestorePoints has az make a restore point of a machine with two disks, and a disk of it; and a disk from a signed URL of this
// server.
func TestRestorePoints(t *testing.T) {
	need(t, "az")
	term := openAz(t, start(t, t.TempDir()))
	term.must("tintype group create -g g -l westus2 -o none")
	write := func(disk, text string) {
		t.Helper()
		guest := dial(t, term.must("tintype disk attach -g g --host vm -n "+disk))
		defer guest.Close()
		if _, err := guest.WriteAt(bytes.Repeat([]byte(text), 4096), 0); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(disk, text string) {
		t.Helper()
		guest := dial(t, term.must("tintype disk attach -g g --host reader -n "+disk))
		defer guest.Close()
		got := make([]byte, len(text)*4096)
		if _, err := guest.ReadAt(got, 0); err != nil || !bytes.Equal(got, bytes.Repeat([]byte(text), 4096)) {
			t.Errorf("%s does not hold %q: %v", disk, text, err)
		}
	}
	for _, disk := range []string{"os", "data"} {
		term.must("tintype disk create --size-gb 1 -o none -g g -n " + disk)
		write(disk, "before "+disk)
	}
	group := term.must("tintype group show -g g --query id -o tsv")
	id := func(disk string) string { return group + "/providers/Microsoft.Compute/disks/" + disk }
	vm := group + "/providers/Microsoft.Compute/virtualMachines/vm"
	body := fmt.Sprintf(`{"location":"westus2","properties":{"hardwareProfile":{"vmSize":"Standard_B1s"},"storageProfile":{`+
		`"osDisk":{"createOption":"Attach","osType":"Linux","managedDisk":{"id":"%s"}},"dataDisks":[{"lun":0,"createOption":"Attach","managedDisk":{"id":"%s"}}]}}}`,
		id("os"), id("data"))
	term.must("az rest -m put -o none -u " + vm + "?api-version=2024-07-01 -b " + body)
	if got := term.must("az rest -m get -o tsv --query properties.storageProfile.dataDisks[0].name -u " + vm + "?api-version=2024-07-01"); got != "data" {
		t.Errorf("the machine has %q", got) // az vm and az restore-point of Debian 12 do not find their own client library
	}
	if got := term.must("az disk show -g g -n data --query managedBy -o tsv"); got != vm {
		t.Errorf("managedBy is %q", got)
	}
	collection := group + "/providers/Microsoft.Compute/restorePointCollections/c"
	rest := func(method, id, rest string) string {
		return term.must("az rest -m " + method + " -u " + id + "?api-version=2024-07-01 " + rest)
	}
	rest("put", collection, `-o none -b {"location":"westus2","properties":{"source":{"id":"`+vm+`"}}}`)
	rest("put", collection+"/restorePoints/p", "-o none -b {}")
	write("data", "after data")
	point := rest("get", collection+"/restorePoints/p", "-o tsv --query properties.sourceMetadata.storageProfile.dataDisks[0].diskRestorePoint.id")
	term.must("az disk create -g g -n back -l westus2 -o none --source " + point)
	holds("back", "before data")

	term.must("tintype snapshot create -g g -n s -o none --source data")
	url := strings.Trim(term.must("az snapshot grant-access -g g -n s --duration-in-seconds 3600 --query accessSas -o tsv"), `"`)
	term.must("az disk create -g g -n imported -l westus2 -o none --source " + url)
	holds("imported", "after data")

	rest("delete", collection, "")
	for _, disk := range []string{"os", "data"} {
		term.must("tintype disk detach -g g -n " + disk)
	}
	term.must("az rest -m delete -u " + vm + "?api-version=2024-07-01")
	if got := term.must("az disk show -g g -n data --query diskState -o tsv"); got != "Unattached" {
		t.Errorf("after the machine is gone, its disk is %s", got)
	}
}

// TestPrivateDoor reads a private disk at the private door, and at no other, as long as the connection is approved.
func TestPrivateDoor(t *testing.T) {
	private := freeAddress(t)
	s := start(t, t.TempDir(), "--private-listen", private)
	term := open(t, s)
	term.must("tintype group create -g g -l westus2 -o none")
	a := newAPI(t, s)
	access := a.id("g", "diskAccesses", "a")
	a.must("PUT", versioned(access), map[string]any{"location": "westus2"})
	state := func(status string) {
		t.Helper()
		a.must("PUT", versioned(access+"/privateEndpointConnections/l"), map[string]any{
			"properties": map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": status}},
		})
	}
	state("Approved")
	term.must("tintype disk create -g g -n d --size-gb 1 -o none --network-access-policy AllowPrivate --disk-access " + access)
	sas, err := url.Parse(term.must("tintype disk grant-access -g g -n d --duration-in-seconds 600 --query accessSas -o tsv"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(private)
	if sas.Port() != port {
		t.Errorf("the signed URL leads to %s, the private door is %s", sas.Host, private)
	}
	public := *sas
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	public.Host = base.Host
	answers := func(u url.URL, want int) {
		t.Helper()
		resp, err := httpClient(t, s).Head(u.String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %d, want %d", u.Host, resp.StatusCode, want)
		}
	}
	answers(*sas, http.StatusOK)
	answers(public, http.StatusForbidden)
	term.must("tintype disk revoke-access -g g -n d")
	term.must("tintype disk export -g g -n d --file " + filepath.Join(t.TempDir(), "d.raw"))
	sas, err = url.Parse(term.must("tintype disk grant-access -g g -n d --duration-in-seconds 600 --query accessSas -o tsv"))
	if err != nil {
		t.Fatal(err)
	}
	answers(*sas, http.StatusOK)
	state("Rejected")
	answers(*sas, http.StatusForbidden)
}
