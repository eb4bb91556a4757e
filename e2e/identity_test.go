package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/google/uuid"
)

const (
	readerRole           = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	identityOperatorRole = "f1a07417-d97a-45cb-824c-7a7467783830"
)

// TestManagedIdentity has the Go SDK and az log in without a secret, as the user whose processes they are.
func TestManagedIdentity(t *testing.T) {
	need(t, "curl")
	at := freeAddress(t)
	s := start(t, t.TempDir(), "--identity-listen", at, "--identity-user", fmt.Sprint(os.Getuid()))
	a := newAPI(t, s)
	a.makeGroup("g")

	t.Setenv("IDENTITY_ENDPOINT", "http://"+at+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "local")
	cred, err := azidentity.NewManagedIdentityCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	options := azcore.ClientOptions{
		Transport: a.client,
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.URL + "/", Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: s.URL, Audience: s.URL + "/"},
		}},
	}
	clients, err := armcompute.NewClientFactory(a.principal.SubscriptionID, cred, &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true})
	if err != nil {
		t.Fatal(err)
	}
	list := func() error {
		_, err := clients.NewDisksClient().NewListByResourceGroupPager("g", nil).NextPage(t.Context())
		return err
	}
	if err := list(); err == nil || !strings.Contains(err.Error(), "AuthorizationFailed") {
		t.Errorf("without a role: %v", err)
	}
	who := localPrincipal(t, at)
	group, _, _ := strings.Cut(a.groupPath("g"), "?")
	give := func(scope, role, who string) {
		a.must("PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01", map[string]any{"properties": map[string]any{
			"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": who,
		}})
	}
	give(group, readerRole, who)
	if err := list(); err != nil {
		t.Errorf("a reader: %v", err)
	}
	if _, err := clients.NewDisksClient().BeginDelete(t.Context(), "g", "d", nil); err == nil || !strings.Contains(err.Error(), "AuthorizationFailed") {
		t.Errorf("a reader deletes: %v", err)
	}
	t.Run("az", func(t *testing.T) {
		need(t, "az")
		term := openAz(t, s)
		made := strings.Fields(term.must("az identity create -g g -n worker --tags a=b --query [id,principalId,clientId] -o tsv"))
		if got := term.must("az identity list -g g --query [].[name,tags.a] -o tsv"); got != "worker\tb" || len(made) != 3 {
			t.Fatalf("identities: %q %q", made, got)
		}
		term.Set("MSI_ENDPOINT", "http://"+at+"/oauth2/token")
		give(group, readerRole, made[1])
		term.mustFail("az login --identity --username "+made[2], "<Response [400]>")
		give(made[0], identityOperatorRole, who)
		term.must("az login --identity --username " + made[2] + " -o none")
		if got := term.must("az account show --query user.assignedIdentityInfo -o tsv"); got != "MSIClient-"+made[2] {
			t.Errorf("az is logged in as %q", got)
		}
		term.must("az disk list -g g -o none")
		term.mustFail("az disk create -g g -n d --size-gb 1", "AuthorizationFailed", made[1])
		term.must("az login --identity -o none")
		if got := term.must("az account show --query user.assignedIdentityInfo -o tsv"); got != "MSI" {
			t.Errorf("az is logged in as %q", got)
		}
		term.must("az disk list -g g -o none")
		term.mustFail("az disk create -g g -n d --size-gb 1", "AuthorizationFailed", who)
	})
}

// localPrincipal is the object id in the token that this process gets.
func localPrincipal(t *testing.T, at string) string {
	t.Helper()
	b, err := exec.Command("curl", "-sS", "-H", "Metadata: true", tokenURL(at)).Output()
	var body struct {
		Token string `json:"access_token"`
	}
	if err != nil || json.Unmarshal(b, &body) != nil || body.Token == "" {
		t.Fatalf("%s %v", b, err)
	}
	return parseToken(t, body.Token).claims["oid"].(string)
}

func tokenURL(at string) string {
	return "http://" + at + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
}

// TestManagedIdentityOfOthers: a process of another user gets nothing, whatever it says of itself.
func TestManagedIdentityOfOthers(t *testing.T) {
	need(t, "curl")
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	at := freeAddress(t)
	s := start(t, t.TempDir(), "--identity-listen", at, "--identity-user", "54321")
	for uid, good := range map[uint32]bool{54321: true, 54322: false, 0: false} {
		c := exec.CommandContext(t.Context(), "curl", "-sS", "-H", "Metadata: true", tokenURL(at))
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		c.Dir, c.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
		b, err := c.Output()
		if err != nil {
			t.Fatalf("%v %s", err, b)
		}
		if got := strings.Contains(string(b), "access_token"); got != good || !good && !strings.Contains(string(b), "Identity not found") {
			t.Errorf("user %d: %s", uid, b)
		}
	}
	if err := exec.CommandContext(context.Background(), program(t), "serve", "--data", s.Data+"x", "--identity-listen", "0.0.0.0:0", "--identity-user", "0").Run(); err == nil {
		t.Error("the endpoint is served to other machines")
	}
}
