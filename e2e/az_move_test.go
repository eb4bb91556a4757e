package e2e

import (
	"bytes"
	"testing"
)

// TestAzureMove has the real az move a disk with data to another group: its bytes are there under the new id, and roles that were
// given on the old one are not.
func TestAzureMove(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g one -l westus2 -o none")
	term.must("az group create -g two -l westus2 -o none")
	id := term.must("az disk create -g one -n d --size-gb 1 --query id -o tsv")
	a := newAPI(t, s)
	c := dial(t, a.attach(a.id("one", "disks", "d"), false))
	if err := write(c, needles(1<<20), 4096); err != nil {
		t.Fatal(err)
	}
	move := "az resource move --destination-group two --ids " + id
	term.mustFail(move, "ResourceMoveProviderValidationFailed")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	a.detach(a.id("one", "disks", "d"))
	term.must(move)
	if got := term.must("az disk list --query [].resourceGroup -o tsv"); got != "two" && got != "TWO" {
		t.Errorf("the disk is in %q", got)
	}
	got := make([]byte, 1<<20)
	if _, err := dial(t, a.attach(a.id("two", "disks", "d"), true)).ReadAt(got, 4096); err != nil || !bytes.Equal(got, needles(1<<20)) {
		t.Errorf("other bytes, %v", err)
	}
	term.must("az group delete -g one --yes")
}
