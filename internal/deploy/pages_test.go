package deploy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestDeploymentPages deletes the deployments of a page before it asks for the next one, and wants all others listed once.
func TestDeploymentPages(t *testing.T) {
	r := newRig(t)
	const count = 6
	for i := range count {
		name := fmt.Sprintf("d%d", i)
		if a := r.do("PUT", dep+name+version, sections(`"resources":[]`, `{}`, "Incremental")); a.status >= 300 {
			t.Fatal(a.status, a.text)
		}
		r.ended(name)
	}
	seen := map[string]int{}
	link := group + "/providers/Microsoft.Resources/deployments" + version + "&$top=2"
	for link != "" {
		a := r.do("GET", link, nil)
		if a.status != http.StatusOK {
			t.Fatal(link, a.status, a.text)
		}
		for _, x := range a.at("value").([]any) {
			name := x.(map[string]any)["name"].(string)
			seen[name]++
			if d := r.do("DELETE", dep+name+version, nil); d.status != http.StatusAccepted {
				t.Fatal(name, d.status, d.text)
			}
		}
		next, _ := a.at("nextLink").(string)
		link = strings.TrimPrefix(next, "https://h")
	}
	if len(seen) != count {
		t.Errorf("listed %v", seen)
	}
	for _, token := range []string{"*", "MQ", "eDp5", "MTo"} {
		if a := r.do("GET", group+"/providers/Microsoft.Resources/deployments"+version+"&$skiptoken="+token, nil); a.at("error", "code") != "InvalidSkipToken" {
			t.Errorf("%s: %d %s", token, a.status, a.text)
		}
	}
}
