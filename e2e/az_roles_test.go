package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
)

// azRoles begins the command lines that Debian's az cannot run without help; the file says why.
const azRoles = "/usr/bin/python3 testdata/az_roles.py "

// principal is what `az ad sp create-for-rbac` prints.
type principal struct {
	AppID    string `json:"appId"`
	Password string `json:"password"`
	Tenant   string `json:"tenant"`
}

// newPrincipal has the terminal's az make a service principal.
func newPrincipal(t *testing.T, term *terminal, line string) principal {
	t.Helper()
	var p principal
	if err := json.Unmarshal([]byte(term.must(azRoles+"ad sp create-for-rbac -o json --only-show-errors "+line)), &p); err != nil || p.AppID == "" || p.Password == "" {
		t.Fatalf("%+v %v", p, err)
	}
	return p
}

// loginAs is another terminal, with a configuration of its own, in which az is logged in as the principal.
func loginAs(t *testing.T, s *rig.Server, p principal) *terminal {
	t.Helper()
	term := open(t, s)
	term.Set("AZURE_CONFIG_DIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := s.LoginAzAs(ctx, term.Shell, p.AppID, p.Password); err != nil {
		t.Fatal(err)
	}
	return term
}

// TestAzureRoles has the real az give roles to service principals that it makes, and sees what they then may do.
func TestAzureRoles(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g one -l westus2 -o none")
	term.must("az group create -g two -l westus2 -o none")
	sub := term.must("az account show --query id -o tsv")
	one, two := "/subscriptions/"+sub+"/resourceGroups/one", "/subscriptions/"+sub+"/resourceGroups/two"

	reader := newPrincipal(t, term, "-n reader --role Reader --scopes "+one)
	writer := newPrincipal(t, term, "-n writer --role Contributor --scopes "+two)
	term.must("az disk create -g one -n seen --size-gb 1 -o none")

	asReader, asWriter := loginAs(t, s, reader), loginAs(t, s, writer)
	if got := asReader.must("az disk show -g one -n seen --query name -o tsv"); got != "seen" {
		t.Errorf("the reader reads %q", got)
	}
	asReader.mustFail("az disk create -g one -n made --size-gb 1", "AuthorizationFailed", "Microsoft.Compute/disks/write", reader.AppID)
	asReader.mustFail("az disk list -g two", "AuthorizationFailed")
	asWriter.must("az disk create -g two -n made --size-gb 1 -o none")
	asWriter.mustFail("az disk create -g two -n copied --source "+one+"/providers/Microsoft.Compute/disks/seen", "AuthorizationFailed")
	asWriter.mustFail(azRoles+"role assignment create --assignee "+writer.AppID+" --role Owner -g two", "AuthorizationFailed", "roleAssignments/write")

	if got := term.must(azRoles + "role assignment list -g one --query [].[principalName,roleDefinitionName] -o tsv"); got != reader.AppID+"\tReader" {
		t.Errorf("assignments at one: %q", got)
	}
	term.must(azRoles + "role assignment create --assignee " + reader.AppID + " --role Reader -g one -o none") // a second time changes nothing
	if got := term.must(azRoles + "role assignment list --all --assignee " + reader.AppID + " --query [].scope -o tsv"); got != one {
		t.Errorf("assignments of the reader: %q", got)
	}
	if got := term.must(azRoles + "role definition list -n Reader --query [].permissions[0].actions[0] -o tsv"); got != "*/read" {
		t.Errorf("Reader: %q", got)
	}

	role := filepath.Join(t.TempDir(), "role.json")
	text := `{"Name":"Disk Namer","Description":"makes disks","Actions":["Microsoft.Compute/disks/*","Microsoft.Resources/subscriptions/resourceGroups/read"],` +
		`"NotActions":["Microsoft.Compute/disks/delete"],"AssignableScopes":["/subscriptions/` + sub + `"]}`
	if err := os.WriteFile(role, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	term.must(azRoles + "role definition create --role-definition " + role + " -o none")
	id := term.must(azRoles + "role definition list --custom-role-only true --query [].name -o tsv")
	term.must(azRoles + "role assignment create --assignee " + reader.AppID + " --role " + id + " -g one -o none")
	asReader.must("az disk create -g one -n made --size-gb 1 -o none")
	asReader.mustFail("az disk delete -g one -n made --yes", "AuthorizationFailed", "Microsoft.Compute/disks/delete")
	term.mustFail(azRoles+"role definition delete -n "+id, "RoleDefinitionHasAssignments")
	term.must(azRoles + "role assignment delete --assignee " + reader.AppID + " --role " + id + " -g one")
	asReader.mustFail("az disk create -g one -n again --size-gb 1", "AuthorizationFailed")
	term.must(azRoles + "role definition delete -n " + id)

	log := term.must("az monitor activity-log list --offset 1h --max-events 500 --query [].[operationName.value,status.value,caller] -o tsv")
	for _, line := range []string{
		"Microsoft.Compute/disks/write\tFailed\t" + reader.AppID, "Microsoft.Compute/disks/write\tSucceeded\t" + writer.AppID, "Tintype.Identity/signIns/action\tSucceeded\t" + reader.AppID,
	} {
		if !strings.Contains(log, line) {
			t.Errorf("the activity log lacks %q:\n%s", line, log)
		}
	}
	if got := term.must("az monitor activity-log list -g two --offset 1h --caller " + writer.AppID + " --status Failed --query length([]) -o tsv"); got == "0" {
		t.Error("the activity log of group two has no refusal")
	}

	term.must("az ad sp delete --id " + reader.AppID)
	asReader.mustFail("az disk list -g one", "InvalidAuthenticationToken")
	if got := term.must(azRoles + "role assignment list -g one --query [].principalId -o tsv"); got != "" {
		t.Errorf("assignments at one: %q", got)
	}
	if strings.Contains(term.must("az ad sp list --all --query [].appId -o tsv"), reader.AppID) {
		t.Error("the deleted principal is listed")
	}
}

// TestAzureDeviceLogin logs a user in with the real az and a device code: what the user does in a browser, curl does here.
func TestAzureDeviceLogin(t *testing.T) {
	need(t, "az", "curl")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	const word = "correct-horse-battery"
	term.must("az ad user create --display-name Ann --user-principal-name ann@example --password " + word + " -o none")
	id := term.must("az ad user show --id ann@example --query id -o tsv")
	term.must("az group create -g one -l westus2 -o none")
	term.must(azRoles + "role assignment create --assignee ann@example --role Reader -g one -o none")
	if got := term.must(azRoles + "role assignment list -g one --query [].[principalName,principalId,principalType] -o tsv"); got != "ann@example\t"+id+"\tUser" {
		t.Errorf("assignments: %q", got)
	}

	ann := open(t, s)
	ann.Set("AZURE_CONFIG_DIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := s.RegisterAz(ctx, ann.Shell); err != nil {
		t.Fatal(err)
	}
	said, ended := filepath.Join(t.TempDir(), "said"), make(chan error, 1)
	go func() {
		_, err := ann.Run(ctx, "sh", "-c", "exec az login --use-device-code -o none 2>'"+said+"'")
		ended <- err
	}()
	code := waitForCode(t, said)
	cookies := filepath.Join(t.TempDir(), "cookies")
	page := term.must("curl -sSf -c " + cookies + " " + s.URL + "/device")
	mark := regexp.MustCompile(`name="mark" value="([^"]+)"`).FindStringSubmatch(page)
	if mark == nil {
		t.Fatal(page)
	}
	done := term.must("curl -sSf -b " + cookies + " --data-urlencode mark=" + mark[1] + " -d user_code=" + code + " -d username=ann@example -d password=" + word + " -d answer=yes " + s.URL + "/device")
	if !strings.Contains(done, "Azure CLI is signed in as ann@example") {
		t.Fatal(done)
	}
	if err := <-ended; err != nil {
		text, _ := os.ReadFile(said)
		t.Fatalf("%v\n%s", err, text)
	}
	if got := ann.must("az group show -g one --query name -o tsv"); got != "one" {
		t.Errorf("ann reads %q", got)
	}
	ann.mustFail("az group delete -g one --yes", "AuthorizationFailed", "ann@example")
	term.must("az ad user update --id ann@example --account-enabled false")
	ann.mustFail("az group show -g one", "InvalidAuthenticationToken")
}

// waitForCode reads the code that az tells its user.
func waitForCode(t *testing.T, file string) string {
	t.Helper()
	code := regexp.MustCompile(`enter the code ([A-Z0-9]{4}-[A-Z0-9]{4})`)
	for range 600 {
		if text, err := os.ReadFile(file); err == nil {
			if m := code.FindSubmatch(text); m != nil {
				return string(m[1])
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	text, err := os.ReadFile(file)
	t.Fatalf("az tells no code (%v): %s", err, text)
	return ""
}

// TestAzureCertificateLogin has the real az make a service principal with a certificate, and log in with it.
func TestAzureCertificateLogin(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.Set("HOME", t.TempDir()) // where az puts the certificate
	term.must("az group create -g one -l westus2 -o none")
	sub := term.must("az account show --query id -o tsv")
	var p struct {
		AppID string `json:"appId"`
		File  string `json:"fileWithCertAndPrivateKey"`
	}
	out := term.must(azRoles + "ad sp create-for-rbac -o json --only-show-errors -n certified --create-cert --role Reader --scopes /subscriptions/" + sub)
	if err := json.Unmarshal([]byte(out), &p); err != nil || p.File == "" {
		t.Fatalf("%s %v", out, err)
	}
	other := loginAs(t, s, principal{AppID: p.AppID, Password: p.File})
	if got := other.must("az group list --query [].name -o tsv"); got != "one" {
		t.Errorf("groups: %q", got)
	}
}
