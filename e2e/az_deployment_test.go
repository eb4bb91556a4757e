package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deploymentTemplate has comments and a string over two lines, which az sends as they are.
const deploymentTemplate = `{
  // what az's users write by hand
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {
    "prefix": {"type": "string", "minLength": 1},
    "count": {"type": "int", "defaultValue": 2, "maxValue": 4},
    "sizeGB": {"type": "int", "defaultValue": 4},
    "secret": {"type": "securestring", "defaultValue": "kept-away"}
  },
  "variables": {"set": "[format('{0}-set', parameters('prefix'))]", "note": "one
line"},
  "resources": [
    {"type": "Microsoft.Compute/diskAccesses", "apiVersion": "2022-07-02", "name": "[concat(parameters('prefix'), '-door')]", "location": "[resourceGroup().location]"},
    {"type": "Microsoft.Compute/disks", "apiVersion": "2023-04-02", "name": "[concat(parameters('prefix'), copyIndex())]", "location": "[resourceGroup().location]",
     "sku": {"name": "Premium_LRS"}, "tags": {"index": "[string(copyIndex())]"}, "copy": {"name": "disks", "count": "[parameters('count')]"},
     "properties": {"diskSizeGB": "[parameters('sizeGB')]", "creationData": {"createOption": "Empty"}}},
    {"type": "Microsoft.Compute/snapshots", "apiVersion": "2022-03-02", "name": "[concat(parameters('prefix'), '-snap')]", "location": "[resourceGroup().location]",
     "dependsOn": ["disks"], "properties": {"incremental": true, "creationData": {"createOption": "Copy",
       "sourceResourceId": "[resourceId('Microsoft.Compute/disks', concat(parameters('prefix'), '0'))]"}}}
  ],
  "outputs": {
    "snapshot": {"type": "string", "value": "[resourceId('Microsoft.Compute/snapshots', concat(parameters('prefix'), '-snap'))]"},
    "sizes": {"type": "array", "copy": {"count": "[parameters('count')]", "input": "[reference(concat(parameters('prefix'), copyIndex())).diskSizeGB]"}}
  }
}`

// bicepTemplate is what Bicep's compiler writes, with symbolic names and a module.
const bicepTemplate = `{
  "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
  "languageVersion": "2.0", "contentVersion": "1.0.0.0",
  "metadata": {"_generator": {"name": "bicep", "version": "0.30.0", "templateHash": "1"}},
  "parameters": {"names": {"type": "array", "items": {"type": "string"}, "defaultValue": ["x", "y"]}},
  "resources": {
    "rg": {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2021-04-01", "name": "modules", "location": "[deployment().location]"},
    "disks": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "disks", "resourceGroup": "modules",
      "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "mode": "Incremental", "parameters": {"names": {"value": "[map(parameters('names'), lambda('n', toUpper(lambdaVariables('n'))))]"}},
        "template": {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "languageVersion": "2.0", "contentVersion": "1.0.0.0",
          "parameters": {"names": {"type": "array"}},
          "resources": {"d": {"copy": {"name": "d", "count": "[length(parameters('names'))]"}, "type": "Microsoft.Compute/disks", "apiVersion": "2023-04-02",
            "name": "[parameters('names')[copyIndex()]]", "location": "[resourceGroup().location]", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}},
          "outputs": {"state": {"type": "string", "value": "[reference('d[0]').diskState]"}}}},
      "dependsOn": ["rg"]}
  },
  "outputs": {"state": {"type": "string", "value": "[reference('disks').outputs.state.value]"}}
}`

// TestAzureDeployments has the real az deploy templates.
func TestAzureDeployments(t *testing.T) {
	need(t, "az")
	term := openAz(t, start(t, t.TempDir()))
	write := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("disks.json", deploymentTemplate)
	term.must("az group create -g dep -l westus2 -o none")
	const one = "az deployment group create -g dep -n one -o none --parameters prefix=web --template-file "
	term.mustFail("az deployment group validate -g dep -f "+file+" --parameters prefix=web count=9", "less than or equal to")
	term.must("az deployment group validate -g dep -f " + file + " --parameters prefix=web -o none")
	if out := term.must("az deployment group what-if -g dep -f " + file + " --parameters prefix=web --no-pretty-print --query changes[].changeType -o tsv"); !sameWords(out, "Create", "Create", "Create", "Create") {
		t.Errorf("what-if of an empty group: %q", out)
	}
	term.must(one + file)
	var outputs struct {
		Snapshot struct{ Value string }
		Sizes    struct{ Value []int }
	}
	if err := json.Unmarshal([]byte(term.must("az deployment group show -g dep -n one --query properties.outputs")), &outputs); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(outputs.Snapshot.Value, "/snapshots/web-snap") || len(outputs.Sizes.Value) != 2 || outputs.Sizes.Value[1] != 4 {
		t.Errorf("outputs: %+v", outputs)
	}
	if got := term.must("az resource list -g dep --query [].name -o tsv"); !sameWords(got, "web0", "web1", "web-snap", "web-door") {
		t.Errorf("the group holds %q", got)
	}
	if out := term.must("az deployment group what-if -g dep -f " + file + " --parameters prefix=web sizeGB=8"); !strings.Contains(out, "properties.diskSizeGB: 4 => 8") || !strings.Contains(out, "2 to modify") {
		t.Errorf("what-if of a change:\n%s", out)
	}
	if got := term.must("az deployment operation group list -g dep -n one --query [].properties.provisioningState -o tsv"); !sameWords(got, "Succeeded", "Succeeded", "Succeeded", "Succeeded", "Succeeded") {
		t.Errorf("operations: %q", got)
	}
	if got := term.must("az deployment group export -g dep -n one"); !strings.Contains(got, `"count": "[parameters('count')]"`) {
		t.Errorf("exported: %s", got)
	}
	if all := term.must("az deployment group list -g dep"); strings.Contains(all, "kept-away") || !strings.Contains(all, `"name": "one"`) {
		t.Errorf("listed: %s", all)
	}
	term.mustFail("az deployment group create -g dep -n bad --parameters prefix=other sizeGB=99999999 -f "+file, "InvalidParameter")
	got, err := term.Run(t.Context(), "az", "deployment", "group", "list", "-g", "dep", "--filter", "provisioningState eq 'Failed'", "--query", "[].name", "-o", "tsv")
	if err != nil || got != "bad" {
		t.Errorf("failed ones: %q %v", got, err)
	}
	term.must("az deployment group delete -g dep -n one")
	term.mustFail("az deployment group show -g dep -n one", "DeploymentNotFound")

	term.must("az deployment sub create -n all -l westus2 -o none -f " + write("main.json", bicepTemplate))
	if got := term.must("az deployment sub show -n all --query properties.outputs.state.value -o tsv"); got != "Unattached" {
		t.Errorf("the module's output is %q", got)
	}
	if got := term.must("az disk list -g modules --query [].name -o tsv"); !sameWords(got, "X", "Y") {
		t.Errorf("the module made %q", got)
	}

	disk := term.must("az resource show -g dep -n web0 --resource-type Microsoft.Compute/disks --query id -o tsv")
	term.must("az tag update --resource-id " + disk + " --operation merge --tags team=store -o none")
	term.must("az resource tag --ids " + disk + " -i --tags more=1 -o none")
	if got := term.must("az tag list --resource-id " + disk + " --query properties.tags"); !strings.Contains(got, `"team": "store"`) || !strings.Contains(got, `"more": "1"`) || !strings.Contains(got, `"index": "0"`) {
		t.Errorf("tags: %s", got)
	}
	if got := term.must("az resource list --tag team=store --query [].name -o tsv"); got != "web0" {
		t.Errorf("resources with the tag: %q", got)
	}
	if got := term.must("az tag list --query [].tagName -o tsv"); !sameWords(got, "index", "more", "team") {
		t.Errorf("names of tags: %q", got)
	}
	term.must("az resource update --ids " + disk + " --set properties.diskSizeGB=16 -o none")
	if got := term.must("az group export -g dep"); strings.Count(got, `"type": "Microsoft.Compute/`) != 5 { // with what the failed deployment made
		t.Errorf("exported: %s", got)
	}
	term.must("az resource delete --ids " + disk)
	term.mustFail("az resource show --ids "+disk, "ResourceNotFound")
}
