package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// TestGoSDKLogin gets tokens with Azure's own library: with the tenant's id, where the discovery of instances has to be
// switched off, and as ADFS, where it is off by itself; and for the audiences that clients ask for.
func TestGoSDKLogin(t *testing.T) {
	s := start(t, t.TempDir())
	for _, tc := range []struct {
		tenant, scope string
		disable       bool
	}{
		{s.cred.Tenant, s.url + "/.default", true},
		{s.cred.Tenant, s.url + "//.default", true},
		{"adfs", s.url + "/.default", false},
		{"adfs", "https://management.azure.com/.default", false},
	} {
		cred, err := azidentity.NewClientSecretCredential(tc.tenant, s.cred.AppID, s.cred.Password,
			&azidentity.ClientSecretCredentialOptions{
				DisableInstanceDiscovery: tc.disable,
				ClientOptions: azcore.ClientOptions{
					Transport: s.client, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.url + "/"},
				},
			})
		if err != nil {
			t.Fatal(err)
		}
		token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tc.scope}})
		if err != nil {
			t.Errorf("%s %s: %v", tc.tenant, tc.scope, err)
			continue
		}
		if code, body := s.call(t, token.Token, "GET", "/subscriptions"+"?api-version=2022-12-01", ""); code != 200 {
			t.Errorf("%s %s: the token is refused: %d %s", tc.tenant, tc.scope, code, body)
		}
	}
}

// TestWrongSubscriptionAndAudience uses a good login where it does not reach.
func TestWrongSubscriptionAndAudience(t *testing.T) {
	s := start(t, t.TempDir())
	token := s.token(t)
	for path, want := range map[string]string{
		"/subscriptions/00000000-0000-4000-8000-000000000000/resourcegroups": "AuthorizationFailed",
		"/subscriptions/x/resourcegroups":                                    "InvalidSubscriptionId",
	} {
		if code, body := s.call(t, token, "GET", path+groupVersion, ""); code/100 != 4 || !strings.Contains(body, `"`+want+`"`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := s.call(t, token+"x", "GET", "/subscriptions"+groupVersion, ""); code != 401 {
		t.Errorf("a changed token: %d %s", code, body)
	}
}

// az is a terminal with env.sh sourced.
type az struct {
	t   *testing.T
	env []string
}

func newAz(t *testing.T, s *running) *az {
	t.Helper()
	if _, err := exec.LookPath("az"); err != nil {
		if os.Getenv("TINTYPE_CI") != "" {
			t.Fatal(err)
		}
		t.Skip("az is not installed: apt-get install --no-install-recommends azure-cli")
	}
	if testing.Short() {
		t.Skip("az takes its time, and -short was asked for")
	}
	a := &az{t: t, env: os.Environ()}
	text, err := os.ReadFile(filepath.Join(s.data, "client", "env.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && !strings.HasPrefix(line, "#") {
			a.env = append(a.env, name+"="+strings.Trim(value, "'"))
		}
	}
	return a
}

// run runs a program whose words are separated by blanks, and gives its standard output.
func (a *az) run(line string) (string, error) {
	words := strings.Fields(line)
	cmd := exec.CommandContext(a.t.Context(), words[0], words[1:]...)
	cmd.Env = a.env
	cmd.WaitDelay = 5 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return errs.String(), err
	}
	return strings.TrimSpace(string(out)), nil
}

func (a *az) must(line, want string) {
	a.t.Helper()
	out, err := a.run(line)
	if err != nil || want != "" && !strings.Contains(out, want) {
		a.t.Errorf("%s: %v\n%s\nwant %q", line, err, out, want)
	}
}

func TestAz(t *testing.T) {
	s := start(t, t.TempDir())
	a := newAz(t, s)
	login := filepath.Join(s.data, "client", "az-login.sh")
	a.must("dash "+login, "")
	a.must("dash "+login, "") // again, as after a restart with another port
	a.must("az account show --query [id,tenantId,state] -o tsv", s.cred.SubscriptionID)
	a.must("az account list-locations --query [?name=='westus2'].displayName -o tsv", "West US 2")
	a.must("az group create -n g1 -l westus2 --tags a=b --query properties.provisioningState", "Succeeded")
	a.must("az group exists -n G1", "true")
	a.must("az group exists -n g2", "false")
	a.must("az group update -n g1 --set tags.c=d --query tags.c -o tsv", "d")
	a.must("az group list --tag c=d --query [].name -o tsv", "g1")
	a.must("az disk create -g g1 -n d1 --size-gb 1 --query provisioningState", "Succeeded")
	a.must("az resource list --resource-type Microsoft.Compute/disks --query [].name -o tsv", "d1")
	a.must("az resource list --tag x=y -o json", "[]")
	a.must("az provider show -n Microsoft.Compute --query registrationState -o tsv", "Registered")
	a.must("az provider register -n Microsoft.Compute", "")
	if out, err := a.run("az group show -n g2"); err == nil || !strings.Contains(out, "(ResourceGroupNotFound) Resource group 'g2' could not be found.") {
		t.Errorf("%v %s", err, out)
	}
	a.must("az group delete -n g1 --yes", "")
	a.must("az group exists -n g1", "false")
	if out, err := a.run("az login --service-principal -u " + s.cred.AppID + " -p wrong --tenant " + s.cred.Tenant); err == nil ||
		!strings.Contains(out, "AADSTS7000215") {
		t.Errorf("a wrong secret: %v %s", err, out)
	}
}

// TestAzByMetadataURL logs in without registering a cloud: az reads the array of clouds.
func TestAzByMetadataURL(t *testing.T) {
	s := start(t, t.TempDir())
	a := newAz(t, s)
	a.env = append(a.env, "AZURE_CONFIG_DIR="+t.TempDir(),
		"ARM_CLOUD_METADATA_URL="+s.url+"/metadata/endpoints?api-version=2019-05-01")
	a.must("az cloud set -n Tintype", "")
	a.must("az login --service-principal -u "+s.cred.AppID+" -p "+s.cred.Password+" --tenant "+s.cred.Tenant, s.cred.SubscriptionID)
	a.must("az group list", "[]")
}

func TestPrincipalKeys(t *testing.T) {
	s := start(t, t.TempDir())
	b, err := os.ReadFile(filepath.Join(s.data, "client", "principal.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]string
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"tenant", "subscriptionId", "appId", "password", "resourceManager"} {
		if keys[k] == "" {
			t.Errorf("principal.json has no %s", k)
		}
	}
	if len(keys) != 5 || keys["resourceManager"] != s.url {
		t.Errorf("%d keys, resourceManager %s", len(keys), keys["resourceManager"])
	}
}
