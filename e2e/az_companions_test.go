package e2e

import (
	"strings"
	"testing"
)

// TestAzureCompanions has the real az make what stands beside disks and snapshots: disk accesses, encryption sets, locks
// and a copy in another region.
func TestAzureCompanions(t *testing.T) {
	need(t, "az", "qemu-img")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	image := makeImage(t, 64*mib)
	term.must("az group create -g side -l westus2 -o none")
	term.must("tintype disk create -g side -n web --file " + image + " -o none")

	term.must("az disk-access create -g side -n door -l westus2 -o none")
	if got := term.must("az disk-access list -g side --query [].name -o tsv"); got != "door" {
		t.Errorf("disk accesses: %q", got)
	}
	term.must("az disk update -g side -n web --network-access-policy AllowPrivate --disk-access door -o none")
	term.mustFail("az disk grant-access -g side -n web --duration-in-seconds 60", "AllowPrivate")
	term.mustFail("az disk-access delete -g side -n door", "in use")
	term.must("az disk update -g side -n web --network-access-policy AllowAll -o none")
	term.must("az disk-access delete -g side -n door")

	term.must("az keyvault create -g side -n side-vault -l westus2 --enable-purge-protection --retention-days 7 -o none")
	kid := vaultClient(t, s, "side-vault").create("k", 2048)
	term.must("az disk-encryption-set create -g side -n keys -l westus2 --key-url " + kid + " -o none")
	set := term.must("az disk-encryption-set show -g side -n keys --query id -o tsv")
	who := term.must("az disk-encryption-set show -g side -n keys --query identity.principalId -o tsv")
	term.must("az keyvault set-policy -n side-vault --object-id " + who + " --key-permissions get wrapKey unwrapKey -o none")
	term.must("az disk create -g side -n sealed --size-gb 1 --encryption-type EncryptionAtRestWithCustomerKey --disk-encryption-set " + set + " -o none")
	if got := term.must("az disk-encryption-set list-associated-resources -g side -n keys --query [] -o tsv"); !strings.HasSuffix(got, "/disks/sealed") {
		t.Errorf("associated with the set: %q", got)
	}
	term.mustFail("az disk-encryption-set delete -g side -n keys", "in use")

	term.must("az snapshot create -g side -n one --source web --incremental true -o none")
	one := term.must("az snapshot show -g side -n one --query id -o tsv")
	term.must("az snapshot create -g side -n far -l eastus --copy-start true --incremental true --source " + one + " -o none")
	if got := term.must("az snapshot show -g side -n far --query completionPercent -o tsv"); got != "100.0" && got != "100" {
		t.Errorf("the copy is complete to %q", got)
	}

	term.must("az lock create -g side -n keep --lock-type CanNotDelete --notes mine -o none")
	term.mustFail("az snapshot delete -g side -n far", "ScopeLocked")
	term.mustFail("az group delete -g side --yes", "ScopeLocked")
	if got := term.must("az lock list -g side --query [].name -o tsv"); got != "keep" {
		t.Errorf("locks: %q", got)
	}
	term.must("az lock delete -g side -n keep")
	if got := term.must("az resource list -g side --query [].name -o tsv"); !sameWords(got, "web", "sealed", "one", "far", "keys", "side-vault") {
		t.Errorf("the group holds %q", got)
	}
	term.must("az group delete -g side --yes")
}
