package e2e

import (
	"strings"
	"testing"
)

// TestAzureTags has the real az keep names of tags, tags of a subscription and who manages a group.
func TestAzureTags(t *testing.T) {
	need(t, "az")
	term := openAz(t, start(t, t.TempDir()))
	const listed = " --query [].[tagName,count.value,join(',',values[].tagValue)] -o tsv"
	list := func(want string) {
		t.Helper()
		if got := term.must("az tag list" + listed); got != want {
			t.Errorf("names of tags: %q, want %q", got, want)
		}
	}
	term.must("az tag create --name Env -o none")
	term.must("az tag add-value --name env --value test -o none")
	list("Env\t0\ttest")
	by := "/subscriptions/x/resourceGroups/y/providers/Microsoft.Solutions/applications/a"
	if got := term.must("az group create -g g -l westus2 --tags env=test --managed-by " + by + " --query managedBy -o tsv"); got != by {
		t.Errorf("managed by %q", got)
	}
	list("Env\t1\ttest")
	term.mustFail("az tag remove-value --name env --value test", "TagValueInUse")
	term.mustFail("az tag create --name azure.owner", "InvalidTagName")
	term.must("az group create -g h -l westus2 --tags azure.owner=x -o none") // only predefined names may not
	if got := term.must("az group update -g g --set tags.env=x --query managedBy -o tsv"); got != by {
		t.Errorf("after an update managed by %q", got)
	}
	term.must("az tag remove-value --name env --value test")
	term.must("az tag delete -y --resource-id " + term.must("az group show -g g --query id -o tsv"))
	term.must("az tag delete --name Env -y")
	list("azure.owner\t1\tx")

	sub := "/subscriptions/" + term.must("az account show --query id -o tsv")
	term.must("az tag create --resource-id " + sub + " --tags team=disks -o none")
	term.must("az tag update --resource-id " + sub + " --operation Merge --tags cost=1 -o none")
	if got := term.must("az tag list --resource-id " + sub + " --query properties.tags -o json"); !strings.Contains(got, `"team": "disks"`) || !strings.Contains(got, `"cost": "1"`) {
		t.Errorf("tags of the subscription: %s", got)
	}
}

// TestAzureDelegation has the real az give somebody the right to give one role alone, and a group an owner.
func TestAzureDelegation(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g one -l westus2 -o none")
	scope := term.must("az group show -g one --query id -o tsv")
	delegate := newPrincipal(t, term, "-n delegate --role Reader --scopes "+scope)
	object := term.must("az ad sp show --id " + delegate.AppID + " --query id -o tsv")
	worker := term.must("az ad sp show --id " + newPrincipal(t, term, "-n worker").AppID + " --query id -o tsv")
	const reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	// Without blanks, at which the terminal of these tests cuts words.
	const condition = "!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})||" +
		"@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]ForAnyOfAnyValues:GuidEquals{" + reader + "}"
	const accessAdmin = "f58310d9-a9f6-439a-9e8d-f62e7b41a168" // Role Based Access Control Administrator
	term.must(azRoles + "role assignment create --assignee-object-id " + object + " --assignee-principal-type ServicePrincipal " +
		"--role " + accessAdmin + " --scope " + scope + " --condition " + condition + " --condition-version 2.0 -o none")
	if got := term.must(azRoles + "role assignment list --scope " + scope + " --query [?conditionVersion=='2.0'].condition -o tsv"); got != condition {
		t.Errorf("condition: %q", got)
	}
	as := loginAs(t, s, delegate)
	give := "role assignment create --assignee-object-id " + worker + " --assignee-principal-type ServicePrincipal --scope " + scope
	as.must(azRoles + give + " --role Reader -o none")
	as.mustFail(azRoles+give+" --role Owner", "AuthorizationFailed")
	term.mustFail(azRoles+give+" --role Contributor --condition @Principal[x]StringEquals'y' --condition-version 2.0", "The given role assignment condition is invalid")

	group := term.must("az ad group create --display-name Team --mail-nickname team --query id -o tsv")
	as.mustFail("az ad group member add -g Team --member-id "+worker, "Insufficient privileges")
	term.must("az ad group owner add -g Team --owner-object-id " + object)
	if got := term.must("az ad group owner list -g Team --query [].id -o tsv"); got != object {
		t.Errorf("owners: %q", got)
	}
	as.must("az ad group member add -g " + group + " --member-id " + worker)
	term.mustFail("az ad group owner remove -g Team --owner-object-id "+object, "at least one owner")
}
