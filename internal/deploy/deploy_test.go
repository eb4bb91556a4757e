package deploy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/catalog"
)

const (
	diskType = `"type":"Microsoft.Compute/disks","apiVersion":"2023-04-02","location":"[resourceGroup().location]"`
	oneDisk  = diskType + `,"name":"d","properties":{"diskSizeGB":4,"creationData":{"createOption":"Empty"}}`
	snapshot = `"type":"Microsoft.Compute/snapshots","apiVersion":"2023-04-02","location":"[resourceGroup().location]"`
)

// whole is a template with most of the language in it.
const whole = `
	"parameters":{"names":{"type":"array"},"secret":{"type":"securestring"},"size":{"type":"int","defaultValue":4},"made":{"type":"string","defaultValue":"[newGuid()]"}},
	"variables":{"tags":{"who":"me"}},
	"resources":[
		{` + snapshot + `,"name":"s","tags":"[variables('tags')]","dependsOn":["loop"],
			"properties":{"incremental":true,"creationData":{"createOption":"Copy","sourceResourceId":"[resourceId('Microsoft.Compute/disks',parameters('names')[0])]"}}},
		{` + diskType + `,"name":"[parameters('names')[copyIndex()]]","copy":{"name":"loop","count":"[length(parameters('names'))]"},
			"properties":{"diskSizeGB":"[parameters('size')]","creationData":{"createOption":"Empty"}}},
		{"type":"Microsoft.Compute/diskAccesses","apiVersion":"2020-05-01","name":"door","location":"westus2"},
		{` + diskType + `,"name":"never","condition":false,"properties":{"diskSizeGB":4,"creationData":{"createOption":"Empty"}}},
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental",
			"expressionEvaluationOptions":{"scope":"inner"},"parameters":{"of":{"value":"[reference('s').uniqueId]"}},
			"template":{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",
				"parameters":{"of":{"type":"string"}},"resources":[],"outputs":{"of":{"type":"string","value":"[parameters('of')]"}}}}}
	],
	"outputs":{
		"unique":{"type":"string","value":"[reference('s').uniqueId]"},"inner":{"type":"string","value":"[reference('inner').outputs.of.value]"},
		"made":{"type":"string","value":"[parameters('made')]"},"hidden":{"type":"secureString","value":"[parameters('secret')]"},
		"where":{"type":"string","value":"[reference(resourceId('Microsoft.Compute/disks','a'),'2023-04-02','Full').location]"},
		"sizes":{"type":"array","copy":{"count":2,"input":"[reference(parameters('names')[copyIndex()]).diskSizeGB]"}}}`

const wholeParameters = `{"names":{"value":["a","b"]},"secret":{"value":"hunter2"}}`

func TestDeploy(t *testing.T) {
	r := newRig(t)
	a := r.do("PUT", dep+"first"+version, sections(whole, wholeParameters, "Incremental"))
	if a.status != 201 || a.at("properties", "provisioningState") != "Accepted" || a.at("type") != "Microsoft.Resources/deployments" {
		t.Fatalf("%d %s", a.status, a.text)
	}
	poll := strings.TrimPrefix(a.header.Get("Azure-AsyncOperation"), "https://h")
	d := r.ended("first")
	if d.at("properties", "provisioningState") != "Succeeded" {
		t.Fatalf("%s\n%s", d.text, r.do("GET", dep+"first/operations"+version, nil).text)
	}
	if s := r.do("GET", poll, nil); s.status != 200 || s.at("status") != "Succeeded" {
		t.Errorf("poll: %d %s", s.status, s.text)
	}
	snap := r.do("GET", group+"/providers/Microsoft.Compute/snapshots/s?api-version=2023-04-02", nil)
	unique := snap.at("properties", "uniqueId")
	want := map[string]any{
		"unique": map[string]any{"type": "String", "value": unique}, "inner": map[string]any{"type": "String", "value": unique},
		"made":   map[string]any{"type": "String", "value": d.at("properties", "parameters", "made", "value")},
		"hidden": map[string]any{"type": "SecureString"}, "where": map[string]any{"type": "String", "value": "westus2"},
		"sizes": map[string]any{"type": "Array", "value": []any{4.0, 4.0}},
	}
	if diff := cmp.Diff(want, d.at("properties", "outputs")); diff != "" || unique == nil {
		t.Error(diff)
	}
	if snap.at("tags", "who") != "me" {
		t.Errorf("tags: %s", snap.text)
	}
	if n := len(d.at("properties", "outputResources").([]any)); n != 5 {
		t.Errorf("%d resources: %s", n, d.text)
	}
	if gone := r.do("GET", group+"/providers/Microsoft.Compute/disks/never?api-version=2023-04-02", nil); gone.status != 404 {
		t.Errorf("a false condition made %s", gone.text)
	}
	ops := r.do("GET", group+"/deployments/first/operations"+version, nil)
	list, _ := ops.at("value").([]any)
	if len(list) != 6 || ops.at("value", 5, "properties", "provisioningOperation") != "EvaluateDeploymentOutput" {
		t.Errorf("operations: %s", ops.text)
	}
	if one := r.do("GET", ops.at("value", 0, "id").(string)+version, nil); one.status != 200 || one.at("properties", "provisioningState") != "Succeeded" {
		t.Errorf("operation: %s", one.text)
	}
	for _, text := range []string{a.text, d.text, ops.text} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the secret is shown: %s", text)
		}
	}
	r.noSecret("hunter2")
	e := r.do("POST", dep+"first/exportTemplate"+version, nil)
	if e.status != 200 || e.at("template", "contentVersion") != "1.0.0.0" {
		t.Errorf("export: %d %s", e.status, e.text)
	}
	l := r.do("GET", group+"/providers/Microsoft.Resources/deployments/"+version+"&$top=1", nil)
	if n := len(l.at("value").([]any)); n != 1 || l.at("nextLink") == nil {
		t.Errorf("list: %s", l.text)
	}
	next := r.do("GET", strings.TrimPrefix(l.at("nextLink").(string), "https://h"), nil)
	if len(next.at("value").([]any)) != 1 || next.at("nextLink") != nil || next.at("value", 0, "name") == l.at("value", 0, "name") {
		t.Errorf("next page: %s", next.text)
	}
	if a := r.do("PUT", dep+"first"+version, sections(whole, wholeParameters, "Incremental")); a.status != 200 {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	if d := r.ended("first"); d.at("properties", "provisioningState") != "Succeeded" {
		t.Errorf("again: %s", d.text)
	}
	del := r.do("DELETE", dep+"first"+version, nil)
	if del.status != 202 || r.do("GET", strings.TrimPrefix(del.header.Get("Location"), "https://h"), nil).status != 204 {
		t.Errorf("delete: %d", del.status)
	}
	if r.do("DELETE", dep+"first"+version, nil).status != 204 || r.do("HEAD", dep+"first"+version, nil).status != 404 || r.do("HEAD", dep+"inner"+version, nil).status != 204 {
		t.Error("after the deletion")
	}
	if a := r.do("GET", dep+"first"+version, nil); a.at("error", "code") != "DeploymentNotFound" {
		t.Errorf("missing: %s", a.text)
	}
}

// noSecret requires that the catalog holds no such text in an ended deployment.
func (r *rig) noSecret(secret string) {
	r.t.Helper()
	rec, text, err := r.service.load(r.t.Context(), strings.ToLower(dep+"first"))
	if err != nil || strings.Contains(fmt.Sprint(rec), secret) || strings.Contains(string(text), secret) {
		r.t.Errorf("the catalog keeps the secret: %v %v", rec, err)
	}
}

func TestRefusedDeployments(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		body, code, message string
	}{
		{`{}`, "InvalidRequestContent", "properties"},
		{`{"properties":{"mode":"Incremental"}}`, "InvalidTemplate", "missing"},
		{`{"properties":{"mode":"Wild","template":{}}}`, "InvalidDeploymentMode", "Wild"},
		{`{"properties":{"mode":"Incremental","templateLink":{"uri":"https://x"}}}`, "InvalidContentLink", ""},
		{`{"location":"westus2","properties":{"mode":"Incremental","template":{}}}`, "InvalidDeployment", "location"},
		{sections(`"resources":[{`+oneDisk+`,"tags":{"a":"[nope()]"}}]`, `{}`, "Incremental"), "InvalidTemplate", "'nope' is not valid"},
		{sections(`"resources":[]`, `{"x":{"value":1}}`, "Incremental"), "InvalidTemplate", "not present in the original template"},
		{strings.Replace(sections(`"resources":[]`, `{}`, "Incremental"), "2019-04-01/deployment", "2018-05-01/subscriptionDeployment", 1), "InvalidTemplate", "schema"},
		{sections(`"resources":[{"type":"Microsoft.Nothing/x","apiVersion":"1","name":"x"}]`, `{}`, "Incremental"), "InvalidTemplateDeployment", "InvalidResourceNamespace"},
		{sections(`"resources":[{"type":"Microsoft.Compute/disks","apiVersion":"1999-01-01","name":"x","location":"westus2"}]`, `{}`, "Incremental"), "InvalidTemplateDeployment", "NoRegisteredProviderFound"},
		{sections(`"resources":[{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"n","properties":{"template":{
			"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1","resources":[{"type":"Microsoft.Nothing/x","apiVersion":"1","name":"x"}]}}}]`, `{}`, "Incremental"), "InvalidTemplateDeployment", "InvalidResourceNamespace"},
	} {
		for _, path := range []string{version, "/validate" + version, "/whatIf" + version} {
			method := http.MethodPost
			if path == version {
				method = http.MethodPut
			}
			a := r.do(method, dep+"x"+path, c.body)
			if a.status != 400 || a.at("error", "code") != c.code || !strings.Contains(a.text, c.message) {
				t.Errorf("%s %s: %d %s, want %s %q", path, c.body, a.status, a.text, c.code, c.message)
			}
		}
	}
	r.token = "reader"
	if a := r.do("PUT", dep+"x"+version, sections(`"resources":[{`+oneDisk+`}]`, `{}`, "Incremental")); a.status != 403 || !strings.Contains(a.text, "Authorization failed for template resource 'd'") {
		t.Errorf("a reader: %d %s", a.status, a.text)
	}
	r.token = "good"
	for path, want := range map[string]string{
		group + "x/providers/Microsoft.Resources/deployments/x": "ResourceGroupNotFound", dep + "bad~name": "InvalidDeploymentName",
		"/subscriptions/" + testSub + "/providers/Microsoft.Resources/deployments/x": "LocationRequired",
	} {
		if a := r.do("PUT", path+version, sections(`"resources":[]`, `{}`, "Incremental")); a.at("error", "code") != want {
			t.Errorf("%s: %d %s, want %s", path, a.status, a.text, want)
		}
	}
	if a := r.do("POST", dep+"x/cancel"+version, nil); a.status != 404 {
		t.Errorf("cancel: %d %s", a.status, a.text)
	}
}

func TestFailedDeployment(t *testing.T) {
	r := newRig(t)
	d := r.deploy("f", sections(`"resources":[{`+oneDisk+`},
		{`+diskType+`,"name":"bad","properties":{"diskSizeGB":-4,"creationData":{"createOption":"Empty"}}},
		{`+snapshot+`,"name":"s","dependsOn":["bad"],"properties":{"creationData":{"createOption":"Copy","sourceResourceId":"[resourceId('Microsoft.Compute/disks','bad')]"}}}]`, `{}`, "Incremental"))
	if d.at("properties", "provisioningState") != "Failed" || d.at("properties", "error", "code") != "DeploymentFailed" ||
		d.at("properties", "error", "details", 0, "target") != group+"/providers/Microsoft.Compute/disks/bad" || d.at("properties", "error", "details", 1) != nil {
		t.Errorf("%s", d.text)
	}
	ops := r.do("GET", dep+"f/operations"+version, nil)
	if len(ops.at("value").([]any)) != 2 || !strings.Contains(ops.text, `"statusMessage":{"error"`) {
		t.Errorf("operations: %s", ops.text)
	}
	d = r.deploy("o", sections(`"resources":[],"outputs":{"o":{"type":"int","value":"[reference(resourceId('Microsoft.Compute/disks','none'),'2023-04-02').x]"}}`, `{}`, "Incremental"))
	if d.at("properties", "provisioningState") != "Failed" || d.at("properties", "error", "details", 0, "code") != "DeploymentOutputEvaluationFailed" {
		t.Errorf("%s", d.text)
	}
}

func TestCompleteAndSubscription(t *testing.T) {
	r := newRig(t)
	r.deploy("one", sections(`"resources":[{`+oneDisk+`},{`+strings.Replace(oneDisk, `"d"`, `"e"`, 1)+`}]`, `{}`, "Incremental"))
	what := r.whatIf(dep+"two", sections(`"resources":[{`+oneDisk+`}]`, `{}`, "Complete"))
	if got := changes(what); got != "d NoChange, e Delete" {
		t.Errorf("%s: %s", got, what.text)
	}
	d := r.deploy("two", sections(`"resources":[{`+oneDisk+`}]`, `{}`, "Complete"))
	if d.at("properties", "provisioningState") != "Succeeded" {
		t.Error(d.text)
	}
	left := r.do("GET", group+"/resources"+version, nil)
	if len(left.at("value").([]any)) != 1 || left.at("value", 0, "name") != "d" {
		t.Errorf("left: %s", left.text)
	}
	sub := "/subscriptions/" + testSub + "/providers/Microsoft.Resources/deployments/all"
	a := r.do("PUT", sub+version, `{"location":"westus2","properties":{"mode":"Incremental","template":{
		"$schema":"https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[
			{"type":"Microsoft.Resources/resourceGroups","apiVersion":"2021-04-01","name":"new","location":"[deployment().location]"},
			{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"in","resourceGroup":"new","dependsOn":["new"],
				"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"template":{
					"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[{`+oneDisk+`}]}}}]}}}`)
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if a = r.do("GET", sub+version, nil); a.at("properties", "provisioningState") == "Succeeded" {
			break
		}
	}
	if a := r.do("GET", strings.Replace(group, "/g", "/new", 1)+"/providers/Microsoft.Compute/disks/d?api-version=2023-04-02", nil); a.status != 200 {
		t.Errorf("the disk in the new group: %s", a.text)
	}
	if a := r.do("DELETE", strings.Replace(group, "/g", "/new", 1)+version, nil); a.status != 202 {
		t.Errorf("delete: %s", a.text)
	}
}

// TestCompleteKeepsDisksOfMachines: what a machine of the template has made for itself stays with it, and goes after it.
func TestCompleteKeepsDisksOfMachines(t *testing.T) {
	r := newRig(t)
	const machine = `{"type":"Microsoft.Compute/virtualMachines","apiVersion":"2023-03-01","location":"westus2","name":"vm","properties":{"storageProfile":{
		"dataDisks":[{"lun":0,"createOption":"Empty","name":"made","diskSizeGB":4}]}}}`
	whole := sections(`"resources":[`+machine+`]`, `{}`, "Complete")
	for range 2 {
		if d := r.deploy("one", whole); d.at("properties", "provisioningState") != "Succeeded" {
			t.Fatal(d.text)
		}
	}
	list := r.do("GET", group+"/resources"+version, nil)
	if len(list.at("value").([]any)) != 2 || list.at("value", 0, "name") != "made" || list.at("value", 0, "managedBy") != list.at("value", 1, "id") {
		t.Errorf("%s", list.text)
	}
	if got := changes(r.whatIf(dep+"one", whole)); !strings.Contains(got, "made Ignore") {
		t.Errorf("%s", got)
	}
	none := sections(`"resources":[]`, `{}`, "Complete")
	if got := changes(r.whatIf(dep+"none", none)); got != "made Delete, vm Delete" {
		t.Errorf("%s", got)
	}
	if d := r.deploy("none", none); d.at("properties", "provisioningState") != "Succeeded" {
		t.Error(d.text)
	}
	if list := r.do("GET", group+"/resources"+version, nil); len(list.at("value").([]any)) != 0 {
		t.Errorf("left: %s", list.text)
	}
}

func (r *rig) whatIf(name, body string) answer {
	r.t.Helper()
	a := r.do("POST", name+"/whatIf"+version, body)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if a.status != 202 {
			return a
		}
		a = r.do("GET", strings.TrimPrefix(a.header.Get("Location"), "https://h"), nil)
	}
	return a
}

// changes is a what-if's answer in short.
func changes(a answer) string {
	list, _ := a.at("properties", "changes").([]any)
	var out []string
	for i := range list {
		id, _ := a.at("properties", "changes", i, "resourceId").(string)
		out = append(out, fmt.Sprint(lastSegment(id), " ", a.at("properties", "changes", i, "changeType")))
	}
	return strings.Join(out, ", ")
}

func TestWhatIf(t *testing.T) {
	r := newRig(t)
	r.deploy("one", sections(`"resources":[{`+oneDisk+`,"tags":{"a":"1","b":"2"}},{`+strings.Replace(oneDisk, `"d"`, `"other"`, 1)+`}]`, `{}`, "Incremental"))
	change := strings.Replace(oneDisk, `"diskSizeGB":4`, `"diskSizeGB":8`, 1)
	what := r.whatIf(dep+"w", sections(`"resources":[{`+change+`,"tags":{"a":"3"}},{`+strings.Replace(oneDisk, `"d"`, `"new"`, 1)+`}]`, `{}`, "Incremental"))
	if got := changes(what); what.status != 200 || what.at("status") != "Succeeded" || got != "d Modify, new Create, other Ignore" {
		t.Fatalf("%s: %d %s", got, what.status, what.text)
	}
	want := []any{
		map[string]any{"path": "properties.diskSizeGB", "propertyChangeType": "Modify", "before": 4.0, "after": 8.0},
		map[string]any{"path": "tags.a", "propertyChangeType": "Modify", "before": "1", "after": "3"},
		map[string]any{"path": "tags.b", "propertyChangeType": "Delete", "before": "2"},
	}
	if diff := cmp.Diff(want, what.at("properties", "changes", 0, "delta")); diff != "" {
		t.Error(diff)
	}
	if a := r.do("GET", group+"/providers/Microsoft.Compute/disks/new?api-version=2023-04-02", nil); a.status != 404 {
		t.Errorf("what-if made a disk: %s", a.text)
	}
	only := strings.Replace(sections(`"resources":[{`+oneDisk+`}]`, `{}`, "Incremental"), `"mode"`, `"whatIfSettings":{"resultFormat":"ResourceIdOnly"},"mode"`, 1)
	if a := r.whatIf(dep+"w", only); changes(a) != "d Deploy, other Ignore" || strings.Contains(a.text, "before") {
		t.Errorf("ids only: %s", a.text)
	}
}

// TestRestart stops the server in the middle of a deployment, and requires that it ends after the next start, without
// making again what was made.
func TestRestart(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, `{%s,"dependsOn":[%s]},`, strings.Replace(oneDisk, `"d"`, fmt.Sprintf(`"d%d"`, i), 1), map[bool]string{true: fmt.Sprintf(`"d%d"`, i-1)}[i > 0])
	}
	body := sections(`"parameters":{"g":{"type":"string","defaultValue":"[newGuid()]"},"s":{"type":"secureString"}},"resources":[`+strings.TrimSuffix(b.String(), ",")+
		`],"outputs":{"g":{"type":"string","value":"[parameters('g')]"}}`, `{"s":{"value":"x"}}`, "Incremental")
	first := r.do("PUT", dep+"long"+version, body)
	if first.status != 201 {
		t.Fatal(first.text)
	}
	if a := r.do("PUT", dep+"long"+version, body); a.status != 409 || a.at("error", "code") != "DeploymentActive" {
		t.Errorf("while it runs: %d %s", a.status, a.text)
	}
	for n := 0; n < 3; n = len(r.do("GET", dep+"long/operations"+version, nil).at("value").([]any)) {
		time.Sleep(time.Millisecond)
	}
	r.stop()
	r.start()
	d := r.ended("long")
	if d.at("properties", "provisioningState") != "Succeeded" || d.at("properties", "outputs", "g", "value") != first.at("properties", "parameters", "g", "value") {
		t.Errorf("%s", d.text)
	}
	if n := len(d.at("properties", "outputResources").([]any)); n != 40 {
		t.Errorf("%d resources are named", n)
	}
	if n := len(r.do("GET", group+"/resources"+version, nil).at("value").([]any)); n != 40 {
		t.Errorf("%d resources", n)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, `{%s,"dependsOn":[%s]},`, strings.Replace(oneDisk, `"d"`, fmt.Sprintf(`"d%d"`, i), 1), map[bool]string{true: fmt.Sprintf(`"d%d"`, i-1)}[i > 0])
	}
	if a := r.do("PUT", dep+"long"+version, sections(`"resources":[`+strings.TrimSuffix(b.String(), ",")+`]`, `{}`, "Incremental")); a.status != 201 {
		t.Fatal(a.text)
	}
	if a := r.do("POST", dep+"long/cancel"+version, nil); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if d := r.ended("long"); d.at("properties", "provisioningState") != "Canceled" {
		t.Error(d.text)
	}
	if a := r.do("POST", dep+"long/cancel"+version, nil); a.status != 409 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// TestMadeAnew has a run end whose deployment was deleted with its group and made anew under the same name: the new one stays as it is.
func TestMadeAnew(t *testing.T) {
	r := newRig(t)
	r.deploy("same", sections(`"resources":[{`+oneDisk+`}]`, `{}`, "Incremental"))
	now := r.do("GET", dep+"same"+version, nil)
	rec, _, err := r.service.load(t.Context(), strings.ToLower(now.at("id").(string)))
	if err != nil {
		t.Fatal(err)
	}
	before := r.do("GET", group+"/deployments/same/operations"+version, nil)
	rec.Operation, rec.State = uuid.NewString(), failed
	if err := r.service.save(t.Context(), rec, nil); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a record in place of another deployment's: %v", err)
	}
	op := operation{ID: "0000ABCDEF012345", Action: "Create", State: succeeded, Target: &resource{ID: "x"}}
	if err := r.service.saveOperation(t.Context(), rec, op); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("an operation among another deployment's: %v", err)
	}
	if d := r.do("GET", dep+"same"+version, nil); d.text != now.text {
		t.Errorf("%s\nbefore: %s", d.text, now.text)
	}
	if ops := r.do("GET", group+"/deployments/same/operations"+version, nil); ops.text != before.text {
		t.Errorf("%s\nbefore: %s", ops.text, before.text)
	}
}

// TestExport deploys what was exported of one group to another.
func TestExport(t *testing.T) {
	r := newRig(t)
	r.deploy("one", sections(`"resources":[{`+oneDisk+`,"tags":{"a":"[[x]"}},{`+snapshot+`,"name":"s","dependsOn":["d"],
		"properties":{"incremental":true,"creationData":{"createOption":"Copy","sourceResourceId":"[resourceId('Microsoft.Compute/disks','d')]"}}}]`, `{}`, "Incremental"))
	if a := r.do("PUT", group+"2"+version, `{"location":"westus2"}`); a.status != 201 {
		t.Fatal(a.text)
	}
	for _, options := range []string{"", "SkipAllParameterization"} {
		e := r.do("POST", group+"/exportTemplate"+version, map[string]any{"resources": []string{"*"}, "options": options})
		if e.status != 200 || e.at("error") != nil || strings.Contains(e.text, "uniqueId") {
			t.Fatalf("%d %s", e.status, e.text)
		}
		if n := len(e.at("template", "parameters").(map[string]any)); (n == 0) != (options != "") {
			t.Errorf("%q gives %d parameters", options, n)
		}
		to := strings.Replace(dep, "/g/", "/g2/", 1) + "copy"
		if a := r.do("PUT", to+version, map[string]any{"properties": map[string]any{"mode": "Incremental", "template": e.at("template")}}); a.status != 201 && a.status != 200 {
			t.Fatal(a.text)
		}
		a := r.do("GET", to+version, nil)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if a.at("properties", "provisioningState") != "Accepted" && a.at("properties", "provisioningState") != "Running" {
				break
			}
			a = r.do("GET", to+version, nil)
		}
		if a.at("properties", "provisioningState") != "Succeeded" {
			t.Errorf("%s\n%s", a.text, e.text)
		}
	}
	s := r.do("GET", group+"2/providers/Microsoft.Compute/snapshots/s?api-version=2023-04-02", nil)
	if s.at("properties", "creationData", "sourceResourceId") != group+"2/providers/Microsoft.Compute/disks/d" {
		t.Errorf("%s", s.text)
	}
}

func TestTags(t *testing.T) {
	r := newRig(t)
	r.deploy("one", sections(`"resources":[{`+oneDisk+`,"tags":{"a":"1"}}]`, `{}`, "Incremental"))
	const disk = group + "/providers/Microsoft.Compute/disks/d"
	const tags = "/providers/Microsoft.Resources/tags/default" + version
	for _, at := range []string{disk, group} {
		steps := []struct {
			method, body string
			want         map[string]any
		}{
			{"PUT", `{"properties":{"tags":{"a":"1"}}}`, map[string]any{"a": "1"}},
			{"PATCH", `{"operation":"Merge","properties":{"tags":{"A":"2","b":"3"}}}`, map[string]any{"a": "2", "b": "3"}},
			{"PATCH", `{"operation":"Delete","properties":{"tags":{"a":"other","b":"3"}}}`, map[string]any{"a": "2"}},
			{"PATCH", `{"operation":"Replace","properties":{"tags":{"c":"4"}}}`, map[string]any{"c": "4"}},
		}
		for _, s := range steps {
			a := r.do(s.method, at+tags, s.body)
			if diff := cmp.Diff(s.want, a.at("properties", "tags")); a.status != 200 || diff != "" || a.at("id") != at+strings.TrimSuffix(tags, version) {
				t.Errorf("%s %s: %d %s %s", s.method, s.body, a.status, a.text, diff)
			}
			if diff := cmp.Diff(s.want, r.do("GET", at+tags, nil).at("properties", "tags")); diff != "" {
				t.Error(diff)
			}
		}
		if a := r.do("PATCH", at+tags, `{"operation":"x"}`); a.status != 400 {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	all := r.do("GET", "/subscriptions/"+testSub+"/tagNames"+version, nil)
	if all.at("value", 0, "tagName") != "c" || all.at("value", 0, "count", "value") != 2.0 || all.at("value", 0, "values", 0, "tagValue") != "4" {
		t.Errorf("%s", all.text)
	}
	if a := r.do("DELETE", disk+tags, nil); a.status != 200 || r.do("GET", disk+"?api-version=2023-04-02", nil).at("tags", "c") != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := r.do("GET", disk+"x"+tags, nil); a.status != 404 || a.at("error", "code") != "ResourceNotFound" {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := r.do("PUT", group+"/providers/Microsoft.Authorization/locks/l?api-version=2020-05-01", `{"properties":{"level":"ReadOnly"}}`); a.status != 201 {
		t.Fatal(a.text)
	}
	if a := r.do("PUT", disk+tags, `{"properties":{"tags":{"z":"1"}}}`); a.status != 409 || a.at("error", "code") != "ScopeLocked" {
		t.Errorf("locked: %d %s", a.status, a.text)
	}
}
