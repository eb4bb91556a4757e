package e2e

import (
	"testing"
)

// TestAzureGroups has the real az make groups of principals, and give one of them a role.
func TestAzureGroups(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g one -l westus2 -o none")
	term.must("az group create -g two -l westus2 -o none") // az logs nobody in who may see nothing
	reader := newPrincipal(t, term, "-n reader --role Reader --scopes "+term.must("az group show -g two --query id -o tsv"))
	object := term.must("az ad sp show --id " + reader.AppID + " --query id -o tsv")
	inner := term.must("az ad group create --display-name Inner --mail-nickname inner --description within --query id -o tsv")
	if again := term.must("az ad group create --display-name Inner --mail-nickname inner --query id -o tsv --only-show-errors"); again != inner {
		t.Errorf("made twice: %s and %s", inner, again)
	}
	outer := term.must("az ad group create --display-name Outer --mail-nickname outer --query id -o tsv")
	term.must("az ad group member add -g Inner --member-id " + object)
	term.mustFail("az ad group member add -g Inner --member-id "+object, "already exist")
	term.must("az ad group member add -g " + outer + " --member-id " + inner)
	if got := term.must("az ad group member list -g Outer --query [].displayName -o tsv"); got != "Inner" {
		t.Errorf("members of Outer: %q", got)
	}
	if got := term.must("az ad group member check -g " + outer + " --member-id " + object + " --query value -o tsv"); got != "true" {
		t.Errorf("a member of a member: %q", got)
	}
	if got := term.must("az ad group list --display-name Out --query [].[displayName,mailNickname,securityEnabled] -o tsv"); got != "Outer\touter\tTrue" {
		t.Errorf("groups: %q", got)
	}
	if got := term.must("az ad group get-member-groups -g Inner -o tsv"); got != outer {
		t.Errorf("groups of Inner: %q", got)
	}

	asReader := loginAs(t, s, reader)
	asReader.mustFail("az group show -g one", "AuthorizationFailed")
	term.must(azRoles + "role assignment create --assignee-object-id " + outer + " --assignee-principal-type Group --role Reader -g one -o none")
	if got := asReader.must("az group show -g one --query name -o tsv"); got != "one" {
		t.Errorf("a member reads %q", got)
	}
	asReader.mustFail("az ad group member add -g Outer --member-id "+object, "Insufficient privileges")
	if got := term.must(azRoles + "role assignment list -g one --query [].[principalName,principalType] -o tsv"); got != "Outer\tGroup" {
		t.Errorf("assignments: %q", got)
	}
	if got := term.must(azRoles + "role assignment list --all --assignee " + object + " --include-groups --query [?resourceGroup==`one`].principalId -o tsv"); got != outer {
		t.Errorf("assignments of the member: %q", got)
	}
	term.must("az ad group member remove -g Outer --member-id " + inner)
	asReader.mustFail("az group show -g one", "AuthorizationFailed")
	term.must("az ad group delete -g Outer")
	if got := term.must(azRoles + "role assignment list -g one --query [].principalId -o tsv"); got != "" {
		t.Errorf("assignments after the group: %q", got)
	}
	term.mustFail("az ad group show -g "+outer, "does not exist")
}
