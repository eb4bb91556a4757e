package arm

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/meter"
)

// tenGiB is a store in which every volume uses 10 GiB.
type tenGiB struct{ sizeStore }

func (s *tenGiB) Sizes(block.ID) (block.Sizes, error) {
	return block.Sizes{Used: 10 * tintype.GiB, Provisioned: 64 * tintype.GiB}, nil
}

func (s *tenGiB) List() []block.Info { return nil }

func (s *tenGiB) Diff(_, _ block.ID, _, _ int64, _ func(block.Extent) bool) error {
	return block.ErrUnrelated
}

// newUsageRig is a router in front of the real meter at the end of a month, through which a disk of 64 GiB and its snapshot
// of 10 GiB existed.
func newUsageRig(t testing.TB, year int, month time.Month) (*computeRig, *meter.Service) {
	t.Helper()
	dir := t.TempDir()
	rows, err := catalog.Open(t.Context(), filepath.Join(dir, "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	log := slog.New(slog.DiscardHandler)
	sheet, err := meter.ExamplePrices()
	if err != nil {
		t.Fatal(err)
	}
	usage, err := meter.Open(t.Context(), meter.Options{
		File: filepath.Join(dir, "usage.db"), Catalog: rows, Volumes: &tenGiB{}, Prices: sheet, Now: now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { usage.Close(); rows.Close() })
	err = rows.Update(t.Context(), func(tx *catalog.Tx) error {
		if err := tx.PutGroup(tintype.Group{Subscription: testSub, Name: "g", Location: "westus2"}); err != nil {
			return err
		}
		for kind, name := range map[tintype.Kind]string{tintype.KindDisk: "data", tintype.KindSnapshot: "first"} {
			v := tintype.Volume{
				ID:       tintype.ResourceID{Subscription: testSub, Group: "g", Kind: kind, Name: name},
				UniqueID: uuid.New(), Location: "westus2", Size: 64 * tintype.GiB, SKU: tintype.StandardLRS, Store: uuid.New(),
				Provisioning: tintype.StateSucceeded, State: tintype.Unattached, Tags: map[string]string{"team": name},
			}
			if err := tx.PutVolume(v); err != nil {
				return err
			}
		}
		return tx.RecordChanges(clock)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := usage.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock = clock.AddDate(0, 1, 0).Add(-time.Millisecond)
	router, err := New(Options{
		Types: UsageTypes(UsageOptions{Usage: usage, Budgets: usage, SubscriptionName: func(tintype.SubscriptionID) string { return "lab" }}),
		Guard: rigGuard{}, Groups: compute.New(compute.Options{Catalog: rows}), Region: "westus2", Now: now, Log: log,
		BaseURL: func(*http.Request) string { return "https://localhost:8443" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &computeRig{t: t, router: router, token: "good", rows: rows}, usage
}

const usageScope = "/subscriptions/" + testSub

// values are a list's items.
func (a answer) values() []map[string]any {
	var all []map[string]any
	list, _ := a.object()["value"].([]any)
	for _, item := range list {
		all = append(all, item.(map[string]any))
	}
	return all
}

func usageProperty(o map[string]any, name string) any { return o["properties"].(map[string]any)[name] }

// TestUsagePage is the example of Azure's page, as clients see it.
func TestUsagePage(t *testing.T) {
	for month, want := range map[time.Month]string{time.January: "0.3226", time.April: "0.3333", time.February: "0.3571"} {
		r, _ := newUsageRig(t, 2026, month)
		filter := url.QueryEscape("properties/resourceName eq 'first'")
		a := r.do("GET", usageScope+"/providers/Microsoft.Consumption/usageDetails?api-version=2023-05-01&$filter="+filter, nil)
		rows := a.values()
		if a.status != 200 || len(rows) != time.Date(2026, month+1, 0, 0, 0, 0, 0, time.UTC).Day() {
			t.Fatalf("%v: %d with %d rows", month, a.status, len(rows))
		}
		sum := 0.0
		for _, row := range rows {
			q := usageProperty(row, "quantity").(float64)
			if got := fmt.Sprintf("%.4f", q); got != want {
				t.Errorf("%v: %v is %s, want %s", month, usageProperty(row, "date"), got, want)
			}
			sum += q
		}
		if got := fmt.Sprintf("%.6f", sum); got != "10.000000" {
			t.Errorf("%v comes to %s", month, got)
		}
	}
}

// TestUsageList pages, filters and speaks az's old form.
func TestUsageList(t *testing.T) {
	r, _ := newUsageRig(t, 2026, time.January)
	base := usageScope + "/providers/Microsoft.Consumption/usageDetails?api-version=2018-01-31"
	pages, rows := 0, 0
	for path := base + "&$top=7&$expand=properties/meterDetails"; path != ""; pages++ {
		a := r.do("GET", path, nil)
		for _, row := range a.values() {
			rows++
			for _, name := range []string{"usageStart", "usageEnd", "usageQuantity", "pretaxCost", "meterDetails", "instanceName", "currency"} {
				if usageProperty(row, name) == nil {
					t.Fatalf("a row lacks %s: %v", name, row)
				}
			}
		}
		for i, row := range a.values() {
			begin, err1 := time.Parse(time.RFC3339Nano, usageProperty(row, "usageStart").(string))
			end, err2 := time.Parse(time.RFC3339Nano, usageProperty(row, "usageEnd").(string))
			if err1 != nil || err2 != nil || end.Sub(begin) != 24*time.Hour-time.Second {
				t.Errorf("row %d is from %v to %v", i, usageProperty(row, "usageStart"), usageProperty(row, "usageEnd"))
			}
		}
		next, _ := a.object()["nextLink"].(string)
		path = local(next)
	}
	if rows != 62 || pages != 9 {
		t.Errorf("%d rows on %d pages", rows, pages)
	}
	for filter, want := range map[string]int{
		"properties/usageEnd ge '2026-01-30T00:00:00Z' and properties/usageEnd le '2026-01-31T00:00:00Z'": 4,
		"properties/date eq '2026-01-07' and properties/resourceGroup eq 'G'":                             2,
		"properties/date gt '2026-01-07' and properties/date lt '2026-01-09'":                             2,
		"tags eq 'team:first'":                              31,
		"properties/resourceGroup ne 'g'":                   0,
		"usageStart ge 2026-01-31":                          2,
		"properties/resourceName eq 'it''s'":                0,
		"properties/usageEnd le '2025-12-31T00:00:00Z'":     0,
		"properties/chargeType eq 'Usage'":                  62,
		"properties/instanceId eq '/subscriptions/x/first'": 0,
	} {
		a := r.do("GET", base+"&$filter="+url.QueryEscape(filter), nil)
		if a.status != 200 || len(a.values()) != want {
			t.Errorf("%s: %d with %d rows, want %d: %v", filter, a.status, len(a.values()), want, a.object()["error"])
		}
	}
	for _, filter := range []string{"x", "properties/date ge", "properties/date ge 'x'", "date eq '2026-01-01' or date eq '2026-01-02'", "properties/cost eq '1'"} {
		if a := r.do("GET", base+"&$filter="+url.QueryEscape(filter), nil); a.status != 400 {
			t.Errorf("%s: %d", filter, a.status)
		}
	}
	if a := r.do("GET", usageScope+"/providers/Microsoft.Billing/billingPeriods/202512/providers/Microsoft.Consumption/usageDetails?api-version=2018-01-31", nil); a.status != 200 || len(a.values()) != 0 {
		t.Errorf("last month: %d %v", a.status, a.body)
	}
	for _, bad := range []string{"&$top=0", "&$skiptoken=x", "&$skiptoken=MDowOjA"} {
		if a := r.do("GET", base+bad, nil); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

// TestCostQuery sums up by days, groups and filters, and forecasts.
func TestCostQuery(t *testing.T) {
	r, _ := newUsageRig(t, 2026, time.January)
	ask := func(kind, body string) [][]any {
		t.Helper()
		a := r.do("POST", usageScope+"/resourceGroups/g/providers/Microsoft.CostManagement/"+kind+"?api-version=2023-11-01", body)
		if a.status != 200 {
			t.Fatalf("%d %v", a.status, a.body)
		}
		var rows [][]any
		for _, row := range usageProperty(a.object(), "rows").([]any) {
			rows = append(rows, row.([]any))
		}
		return rows
	}
	month := `"type":"ActualCost","timeframe":"Custom","timePeriod":{"from":"2026-01-01","to":"2026-01-31"}`
	rows := ask("query", `{`+month+`,"dataset":{"granularity":"Daily","aggregation":{"totalCost":{"name":"PreTaxCost","function":"Sum"}},"grouping":[{"type":"Dimension","name":"ResourceGroup"}]}}`)
	if len(rows) != 31 || rows[0][1] != "g" || rows[0][2] != float64(20260101) || rows[0][3] != "USD" {
		t.Errorf("by day: %v", rows)
	}
	rows = ask("query", `{`+month+`,"dataset":{"granularity":"None","aggregation":{"q":{"name":"UsageQuantity","function":"Sum"}},"grouping":[{"type":"TagKey","name":"team"}],`+
		`"filter":{"and":[{"dimensions":{"name":"Meter","operator":"In","values":["lrs snapshots"]}},{"not":{"tags":{"name":"team","operator":"In","values":["x"]}}}]}}}`)
	if len(rows) != 1 || fmt.Sprintf("%.6f", rows[0][0]) != "10.000000" || rows[0][1] != "first" {
		t.Errorf("by tag: %v", rows)
	}
	rows = ask("forecast", `{"type":"ActualCost","timeframe":"TheCurrentMonth","dataset":{"granularity":"Monthly"}}`)
	if len(rows) != 1 || fmt.Sprintf("%.6f", rows[0][0]) != "3.508000" { // 10 × 0.05 and an S6
		t.Errorf("forecast: %v", rows)
	}
	for _, bad := range []string{
		`{"timeframe":"x"}`, `{"timeframe":"Custom"}`, `{` + month + `,"dataset":{"grouping":[{"type":"Dimension","name":"x"}]}}`,
		`{` + month + `,"dataset":{"filter":{"dimensions":{"name":"x","operator":"In","values":[]}}}}`,
		`{` + month + `,"dataset":{"aggregation":{"a":{"name":"Secrets"}}}}`,
	} {
		if a := r.do("POST", usageScope+"/providers/Microsoft.CostManagement/query?api-version=2023-11-01", bad); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

// TestCostReport follows a report to its file, which only its address opens.
func TestCostReport(t *testing.T) {
	r, usage := newUsageRig(t, 2026, time.January)
	a := r.do("POST", usageScope+"/providers/Microsoft.CostManagement/generateCostDetailsReport?api-version=2022-05-01",
		`{"metric":"ActualCost","timePeriod":{"start":"2026-01-01","end":"2026-01-31"}}`)
	if a.status != 202 || a.header.Get("Retry-After") == "" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	at := local(a.header.Get("Location"))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if a = r.do("GET", at, nil); a.status != 202 {
			break
		}
	}
	manifest, _ := a.object()["manifest"].(map[string]any)
	blobs, _ := manifest["blobs"].([]any)
	if a.status != 200 || len(blobs) != 1 {
		t.Fatalf("%d %v", a.status, a.body)
	}
	link := local(blobs[0].(map[string]any)["blobLink"].(string))
	h := ReportHandler(usage, time.Now, slog.New(slog.DiscardHandler))
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := get(link)
	if w.Code != 200 || strings.Count(w.Body.String(), "\r\n") != 63 || float64(w.Body.Len()) != manifest["byteCount"] {
		t.Errorf("%d with %d bytes, said to be %v", w.Code, w.Body.Len(), manifest["byteCount"])
	}
	last := link[strings.LastIndex(link, "/")-1]
	other := "0"
	if last == '0' {
		other = "1"
	}
	forged := link[:strings.LastIndex(link, "/")-1] + other + "/usage.csv"
	for _, bad := range []string{forged, ReportsPath, ReportsPath + "x/y/z", ReportsPath + uuid.NewString() + "/a/usage.csv"} {
		if w := get(bad); w.Code != 404 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	r.token = "group"
	if a := r.do("GET", at, nil); a.status != 403 {
		t.Errorf("a stranger polls: %d", a.status)
	}
}

// TestBudgetOverTheWire puts, reads back, sends again, lists and deletes.
func TestBudgetOverTheWire(t *testing.T) {
	r, _ := newUsageRig(t, 2026, time.January)
	path := usageScope + "/resourceGroups/g/providers/Microsoft.Consumption/budgets/"
	version := "?api-version=2023-05-01"
	body := `{"properties":{"category":"Cost","amount":100.65,"timeGrain":"Monthly","timePeriod":{"startDate":"2026-01-01T00:00:00Z","endDate":"2026-12-31T00:00:00Z"},` +
		`"filter":{"dimensions":{"name":"ResourceGroupName","operator":"In","values":["g"]}},` +
		`"notifications":{"a":{"enabled":true,"operator":"GreaterThan","threshold":80.5,"contactEmails":["a@example.com"],"thresholdType":"Forecasted"}}}}`
	a := r.do("PUT", path+"b1"+version, body)
	if a.status != 201 {
		t.Fatalf("%d %v", a.status, a.body)
	}
	got := r.do("GET", path+"B1"+version, nil)
	spend, _ := usageProperty(got.object(), "currentSpend").(map[string]any)
	if got.status != 200 || usageProperty(got.object(), "amount") != 100.65 || spend["unit"] != "USD" || fmt.Sprintf("%.4f", spend["amount"]) != "3.5080" {
		t.Errorf("%d %v", got.status, got.body)
	}
	if again := r.do("PUT", path+"b1"+version, got.body); again.status != 200 {
		t.Errorf("what was read back: %d %v", again.status, again.body)
	}
	if stale := r.do("PUT", path+"b1"+version, got.body); stale.status != 409 {
		t.Errorf("an old eTag: %d", stale.status)
	}
	old := `{"properties":{"category":"Cost","amount":100.0,"timeGrain":"Monthly","timePeriod":{"startDate":"2026-02-01T00:00:00Z","endDate":"2026-12-31T00:00:00Z"},"filters":{"resourceGroups":["g"]}}}`
	if a := r.do("PUT", path+"b2?api-version=2018-01-31", old); a.status != 201 || usageProperty(a.object(), "filters") == nil {
		t.Errorf("az's form: %d %v", a.status, a.body)
	}
	if list := r.do("GET", path[:len(path)-1]+version, nil); len(list.values()) != 2 {
		t.Errorf("list: %v", list.body)
	}
	for _, bad := range []string{
		`{}`, strings.Replace(body, "100.65", "-1", 1), strings.Replace(body, "Monthly", "Daily", 1), strings.Replace(body, "2026-01-01", "2026-01-02", 1),
		strings.Replace(body, "80.5", "1001", 1), strings.Replace(body, "GreaterThan", "LessThan", 1), strings.Replace(body, `"Cost"`, `"Usage"`, 1),
	} {
		if a := r.do("PUT", path+"bad"+version, bad); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	if a := r.do("DELETE", path+"b1"+version, nil); a.status != 200 {
		t.Errorf("delete: %d", a.status)
	}
	if a := r.do("GET", path+"b1"+version, nil); a.status != 404 {
		t.Errorf("after it: %d", a.status)
	}
}

// FuzzUsage sends any filter, token and query: all are answered or refused, none is a failure of ours.
func FuzzUsage(f *testing.F) {
	f.Add("properties/date ge '2026-01-01' and tags eq 'a:b'", "MTowOjA", `{"timeframe":"MonthToDate","dataset":{"granularity":"Daily"}}`)
	f.Add("'", "", `{"dataset":{"filter":{"not":{"not":{"and":[{}]}}}}}`)
	shared, _ := newUsageRig(f, 2026, time.January)
	f.Fuzz(func(t *testing.T, filter, token, body string) {
		r := *shared
		r.t = t
		path := usageScope + "/providers/Microsoft.Consumption/usageDetails?api-version=2023-05-01&$filter=" + url.QueryEscape(filter) + "&$skiptoken=" + url.QueryEscape(token)
		if a := r.do("GET", path, nil); a.status != 200 && a.status != 400 {
			t.Errorf("%q %q: %d %v", filter, token, a.status, a.body)
		}
		for _, kind := range []string{"query", "forecast"} {
			if a := r.do("POST", usageScope+"/providers/Microsoft.CostManagement/"+kind+"?api-version=2023-11-01", body); a.status != 200 && (a.status < 400 || a.status > 499) {
				t.Errorf("%s %q: %d %v", kind, body, a.status, a.body)
			}
		}
	})
}
