package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"tintype/internal/nbd/nbdclient"
	"tintype/internal/rig"
)

// TestCustomerKeys has az make a vault, a key and an encryption set, and puts a disk under it. What is written does not reach
// the host's files. Without the key nothing can be read, over a restart too, and other disks go on; with it the same bytes are
// back.
func TestCustomerKeys(t *testing.T) {
	need(t, "az")
	home := t.TempDir()
	data := filepath.Join(home, "data")
	s := launch(t, data)
	term := openAz(t, s)
	term.must("az group create -g sealed -l westus2 -o none")
	term.must("az keyvault create -g sealed -n tt-vault -l westus2 --enable-purge-protection --retention-days 7 -o none")
	keys := vaultClient(t, s, "tt-vault")
	kid := keys.create("root", 3072)
	term.must("az disk-encryption-set create -g sealed -n set -l westus2 --enable-auto-key-rotation true --source-vault tt-vault --key-url " + kid + " -o none")
	set := "--encryption-type EncryptionAtRestWithCustomerKey --disk-encryption-set set -o none"
	term.mustFail("az disk create -g sealed -n mine --size-gb 1 "+set, "KeyVaultAccessForbidden")
	who := term.must("az disk-encryption-set show -g sealed -n set --query identity.principalId -o tsv")
	term.must("az keyvault set-policy -n tt-vault --object-id " + who + " --key-permissions get wrapKey unwrapKey -o none")
	term.must("az disk create -g sealed -n mine --size-gb 1 " + set)
	term.must("az disk create -g sealed -n plain --size-gb 1 -o none")

	a := newAPI(t, s)
	mine, plain := a.id("sealed", "disks", "mine"), a.id("sealed", "disks", "plain")
	uri := a.attach(mine, false)
	c, other := dial(t, uri), dial(t, a.attach(plain, false))
	for _, err := range []error{write(c, needles(1<<20), 4096), c.Flush(), write(other, needles(4096), 0), other.Flush()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	term.must("az snapshot create -g sealed -n snap --source mine " + set)
	leaks(t, "of a disk under a customer's key", home)
	if n := underCustomers(t, data); n == 0 {
		t.Error("no key of a disk is wrapped by a customer's")
	}

	// A new version of the key: the set follows, and the disk is under it.
	keys.rotate("root")
	within(t, "the set does not follow its key", func() bool {
		return term.must("az disk-encryption-set show -g sealed -n set --query activeKey.keyUrl -o tsv") != kid
	})
	keys.enable("root", kid[strings.LastIndexByte(kid, '/')+1:], false) // nobody needs the old one
	same := func(when string, c reader) {
		t.Helper()
		got := make([]byte, 1<<20)
		if _, err := c.ReadAt(got, 4096); err != nil || !bytes.Equal(got, needles(1<<20)) {
			t.Errorf("%s: other bytes, %v", when, err)
		}
	}
	same("after the rotation", c)

	// Without its key the disk can't be read.
	keys.enable("root", "", false)
	buf := make([]byte, 4096)
	within(t, "a disk without its key is read", func() bool { _, err := c.ReadAt(buf, 4096); return err != nil })
	if _, err := c.WriteAt(buf, 4096); err == nil {
		t.Error("a disk without its key is written")
	}
	if _, err := other.ReadAt(buf, 0); err != nil || !bytes.Equal(buf, needles(4096)) {
		t.Errorf("another disk: %v", err)
	}
	term.mustFail("az snapshot create -g sealed -n late --source mine "+set, "not available")
	term.must("az disk-encryption-set list-associated-resources -g sealed -n set --query [] -o none")
	term.mustFail("az disk-encryption-set delete -g sealed -n set", "in use")
	s.Kill()
	s = launch(t, data)
	a = newAPI(t, s)
	other = dial(t, a.attach(plain, false))
	if _, err := other.ReadAt(buf, 0); err != nil || !bytes.Equal(buf, needles(4096)) {
		t.Errorf("another disk after a restart: %v", err)
	}
	vaultClient(t, s, "tt-vault").enable("root", "", true)
	within(t, "the disk does not come back", func() bool {
		back, err := nbdclient.Dial(t.Context(), uri)
		if err == nil {
			same("with its key again", back)
			err = back.Close()
		}
		return err == nil
	})
	leaks(t, "at the end", home)
	a.must("PUT", versioned(a.id("sealed", "disks", "copy")), copyOf(a.id("sealed", "snapshots", "snap")))
	same("of a copy under the platform's key", dial(t, a.attach(a.id("sealed", "disks", "copy"), false)))
}

// vaultKeys is Azure's own client of a vault's keys.
type vaultKeys struct {
	*azkeys.Client
	t *testing.T
}

func vaultClient(t *testing.T, s *rig.Server, name string) vaultKeys {
	t.Helper()
	p, err := s.Principal()
	if err != nil {
		t.Fatal(err)
	}
	options := azcore.ClientOptions{
		Transport: httpClient(t, s), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.URL + "/"},
	}
	cred, err := azidentity.NewClientSecretCredential(p.Tenant, p.AppID, p.Password, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azkeys.NewClient(strings.Replace(s.URL, "://", "://"+name+".vault.", 1), cred, &azkeys.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return vaultKeys{client, t}
}

// create makes a key and returns its id.
func (k vaultKeys) create(name string, bits int32) string {
	k.t.Helper()
	made, err := k.CreateKey(k.t.Context(), name, azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA), KeySize: &bits}, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(*made.Key.KID)
}

func (k vaultKeys) rotate(name string) {
	k.t.Helper()
	if _, err := k.RotateKey(k.t.Context(), name, nil); err != nil {
		k.t.Fatal(err)
	}
}

func (k vaultKeys) enable(name, version string, on bool) {
	k.t.Helper()
	want := azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: &on}}
	if _, err := k.UpdateKey(k.t.Context(), name, version, want, nil); err != nil {
		k.t.Fatal(err)
	}
}

type reader interface {
	ReadAt(p []byte, off int64) (int, error)
}

// within waits for something that happens in the background.
func within(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatal(what)
}

// underCustomers counts the keys of disks that are wrapped by a customer's.
func underCustomers(t *testing.T, data string) (n int) {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(data, "engine", "data-keys"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(p), " customer ")
}
