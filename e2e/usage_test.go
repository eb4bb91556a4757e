package e2e

import (
	"encoding/csv"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUsage meters two snapshots and a disk, lists the rows with az and with Azure's own Python library, and reads the CSV as
// a spreadsheet does.
func TestUsage(t *testing.T) {
	need(t, "az", "python3")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g bill -l westus2 -o none")
	term.must("tintype disk create -g bill -n data --file " + makeImage(t, 64*mib) + " -o none")
	term.must("az snapshot create -g bill -n full --source data --tags team=one -o none")
	term.must("tintype snapshot create -g bill -n delta --source data --incremental true -o none")
	sub := term.must("az account show --query id -o tsv")
	var rows []usageRow
	for deadline := time.Now().Add(3 * time.Minute); len(rows) < 4 && time.Now().Before(deadline); time.Sleep(time.Second) {
		rows = usageByAz(t, term, sub)
	}
	want := map[string]string{"data": "S4 LRS Disk", "full": "LRS Snapshots", "delta": "LRS Snapshots"}
	for _, r := range rows {
		p := r.Properties
		if meter, ok := want[p.ResourceName]; ok && strings.Contains(p.Product, meter) {
			delete(want, p.ResourceName)
		}
		if p.ResourceGroup != "bill" || p.Cost <= 0 || p.Quantity <= 0 {
			t.Errorf("row %+v", p)
		}
	}
	if len(want) > 0 {
		t.Errorf("az lists no row for %v: %+v", want, rows)
	}
	azConsumption(t, term)
	pythonUsage(t, term, s.URL, sub)
	readReport(t, term)

	var why struct {
		IncludesBytes []struct {
			Bytes int64
			Why   string
		} `json:"steps"`
		IfDeletedNow struct{ MonthlyCost float64 }
	}
	if err := json.Unmarshal([]byte(term.must("tintype usage explain -g bill -n full")), &why); err != nil {
		t.Fatal(err)
	}
	var sizes struct{ UsedBytes int64 }
	if err := json.Unmarshal([]byte(term.must("tintype snapshot sizes -g bill -n full")), &sizes); err != nil {
		t.Fatal(err)
	}
	if len(why.IncludesBytes) != 1 || why.IncludesBytes[0].Bytes != sizes.UsedBytes || why.IfDeletedNow.MonthlyCost <= 0 {
		t.Errorf("explained as %+v, and it uses %d bytes", why, sizes.UsedBytes)
	}
}

type usageRow struct {
	Properties struct {
		ResourceName, ResourceGroup, Product, Date string
		Quantity, Cost                             float64
	}
}

// usageByAz lists usage page by page, as az does with any API.
func usageByAz(t *testing.T, term *terminal, sub string) []usageRow {
	t.Helper()
	var all []usageRow
	for url := "/subscriptions/" + sub + "/providers/Microsoft.Consumption/usageDetails?api-version=2023-05-01&$top=2"; url != ""; {
		var page struct {
			Value    []usageRow
			NextLink string
		}
		if err := json.Unmarshal([]byte(term.must("az rest --method get --url "+url)), &page); err != nil {
			t.Fatal(err)
		}
		all, url = append(all, page.Value...), page.NextLink
	}
	return all
}

// azConsumption runs az's own command. Debian 12 ships az with a client library that its command cannot be loaded with, which
// has nothing to do with the server.
func azConsumption(t *testing.T, term *terminal) {
	t.Helper()
	out, err := term.try("az consumption usage list -m -o json")
	if err != nil && strings.Contains(err.Error(), "cannot import name 'ErrorResponseException'") {
		t.Log("NOT RUN: az consumption usage list cannot be loaded with the library that this package of az comes with")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"usageQuantity", "pretaxCost", "LRS Snapshots"} {
		if !strings.Contains(out, word) {
			t.Errorf("az consumption usage list lacks %s:\n%s", word, out)
		}
	}
}

// pythonUsage lists with azure-mgmt-consumption, the library under az.
func pythonUsage(t *testing.T, term *terminal, url, sub string) {
	t.Helper()
	const python = "/usr/bin/python3"
	if _, err := term.Run(t.Context(), python, "-c", "import azure.mgmt.consumption, azure.identity"); err != nil {
		t.Logf("NOT RUN: azure-mgmt-consumption is not installed: %v", err)
		return
	}
	script := filepath.Join(t.TempDir(), "usage.py")
	text := `import sys
from azure.core.credentials import AccessToken
from azure.mgmt.consumption import ConsumptionManagementClient
url, sub, token = sys.argv[1:]
class Fixed:
    def get_token(self, *scopes, **more): return AccessToken(token, 2**33)
client = ConsumptionManagementClient(Fixed(), sub, base_url=url, credential_scopes=[url + "/.default"])
for u in client.usage_details.list("subscriptions/" + sub, expand="meterDetails", filter="properties/resourceGroup eq 'bill'", top=1):
    print(u.kind, u.resource_name, u.meter_details.meter_name, u.quantity, u.cost, u.date.year)
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	token := term.must("az account get-access-token --query accessToken -o tsv")
	out, err := term.Run(t.Context(), python, script, url, sub, token)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"legacy data S4 LRS Disk", "legacy full LRS Snapshots", "legacy delta LRS Snapshots"} {
		if !strings.Contains(out, word) {
			t.Errorf("Azure's library lists no %q:\n%s", word, out)
		}
	}
}

// readReport fetches the month's CSV and adds it up as a spreadsheet does.
func readReport(t *testing.T, term *terminal) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usage.csv")
	term.must("tintype usage report -g bill -f " + file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) < 4 {
		t.Fatalf("the report has %d lines: %v", len(lines), err)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	for _, line := range lines[1:] {
		cell := func(name string) *big.Rat {
			n, ok := new(big.Rat).SetString(line[column[name]])
			if !ok {
				t.Fatalf("%s is %q", name, line[column[name]])
			}
			return n
		}
		if cost := new(big.Rat).Mul(cell("Quantity"), cell("UnitPrice")); cost.Cmp(cell("Cost")) != 0 {
			t.Errorf("quantity × price is not the cost in %q", line)
		}
		if line[column["ResourceName"]] == "full" && line[column["Tags"]] != `{"team":"one"}` {
			t.Errorf("tags are %q", line[column["Tags"]])
		}
	}
}
