package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// api-versions of usage and cost.
const (
	usageAPI = "2024-08-01"
	costAPI  = "2024-08-01"
)

const usageReportHelp = "Sums up what was used and what it costs, exactly: the rows come to the total to the last digit. " +
	"With --file, writes the daily report of every disk and snapshot as CSV, in the columns of Azure's cost details."

const usageExplainHelp = "Says for one day which bytes of the disk or snapshot were billed, since when, and what deleting it would free and save."

func usageCommands(env Env) *cobra.Command {
	group := &option{long: "resource-group", short: "g", help: "Name of resource group"}
	start := &option{long: "start-date", short: "s", help: "First day (YYYY-MM-DD in UTC); default: the first of this month"}
	end := &option{long: "end-date", short: "e", help: "Last day (YYYY-MM-DD in UTC); default: today"}
	by := &option{long: "by", choices: []string{"group", "resource", "meter", "day"}, help: "What to sum up by; default: meter"}
	file := &option{long: "file", short: "f", help: "Write the daily report to this CSV file instead"}
	overwrite := &option{long: "overwrite", arity: none, help: "Replace a file of that name"}
	date := &option{long: "date", help: "The day (YYYY-MM-DD in UTC); default: today"}
	disk := &option{long: "disk", arity: none, help: "The name is that of a disk, not of a snapshot"}
	all := family(env, "usage", "See what disks and snapshots use and cost", []command{
		{name: "usage list", short: "List usage by day and resource.", options: []*option{group, start, end}, run: listUsage, table: usageColumns},
		{name: "usage report", short: "Sum up usage and cost, or write the daily report.", long: usageReportHelp, options: []*option{group, start, end, by, file, overwrite}, run: reportUsage, table: reportColumns},
		{name: "usage explain", short: "Explain what a disk or snapshot cost on a day.", long: usageExplainHelp, options: append(targetOptions(snapshotKind), date, disk), run: explainUsage},
		forecastCommand(),
	})
	all.AddCommand(budgetCommands(env))
	return all
}

// usageScope is the path of a group, or of the subscription.
func (s *session) usageScope() string {
	if group := s.args.get("resource-group"); group != "" {
		return s.groupID(group)
	}
	return "/subscriptions/" + s.subscription()
}

// days are the first and the last day that are asked for.
func (s *session) days() (first, last string, err error) {
	now := s.env.Now().UTC()
	first, last = now.Format("2006-01-")+"01", now.Format(time.DateOnly)
	for _, o := range []struct {
		name string
		to   *string
	}{{"start-date", &first}, {"end-date", &last}} {
		if text := s.args.get(o.name); text != "" {
			if _, err := time.Parse(time.DateOnly, text); err != nil {
				return "", "", usagef("argument --%s: invalid date: '%s'", o.name, text)
			}
			*o.to = text
		}
	}
	if last < first {
		return "", "", usagef("argument --end-date: %s is before %s", last, first)
	}
	return first, last, nil
}

func listUsage(ctx context.Context, s *session, _ *arguments) (any, error) {
	first, last, err := s.days()
	if err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	filter := fmt.Sprintf("properties/date ge '%s' and properties/date le '%s'", first, last)
	target := versioned(s.usageScope()+"/providers/Microsoft.Consumption/usageDetails", usageAPI) +
		"&$expand=meterDetails,additionalInfo&$filter=" + url.QueryEscape(filter)
	items, err := s.list(ctx, target)
	if err != nil {
		return nil, err
	}
	for i := range items {
		items[i] = flattenProperties(items[i])
	}
	return items, nil
}

// flattenProperties lifts an object's properties beside its name.
func flattenProperties(wire map[string]any) map[string]any {
	flat := map[string]any{}
	for k, v := range wire {
		if inside, ok := v.(map[string]any); ok && k == "properties" {
			for name, value := range inside {
				flat[name] = value
			}
			continue
		}
		flat[k] = v
	}
	return flat
}

func usageColumns(u map[string]any) row {
	day, _ := u["date"].(string)
	meter, _ := u["meterDetails"].(map[string]any)
	return row{
		{"Date", day[:min(len(day), len(time.DateOnly))]},
		{"ResourceGroup", u["resourceGroup"]},
		{"Resource", u["resourceName"]},
		{"Meter", meter["meterName"]},
		{"Quantity", u["quantity"]},
		{"Cost", u["cost"]},
		{"Currency", u["billingCurrency"]},
	}
}

// sumsBy are the columns of the API by which reports are summed up.
var sumsBy = map[string][]string{
	"group": {"ResourceGroup"}, "resource": {"ResourceId"}, "meter": {"MeterSubCategory", "Meter"}, "day": nil,
}

func reportUsage(ctx context.Context, s *session, args *arguments) (any, error) {
	first, last, err := s.days()
	if err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	if args.has("file") {
		return nil, s.saveReport(ctx, first, last)
	}
	by := args.or("by", "meter")
	rows, err := s.costs(ctx, first, last, by)
	if err != nil {
		return nil, err
	}
	total, err := sumCosts(rows)
	if err != nil {
		return nil, err
	}
	var currency any
	if len(rows) > 0 {
		currency = rows[0]["Currency"]
	}
	if args.get("output") == "table" {
		return append(rows, map[string]any{"Total": true, "Cost": total, "Currency": currency}), nil
	}
	return map[string]any{"from": first, "to": last, "rows": rows, "total": total, "currency": currency}, nil
}

// sumCosts adds decimal numbers without rounding.
func sumCosts(rows []map[string]any) (json.Number, error) {
	sum := new(big.Rat)
	for _, r := range rows {
		cost, ok := new(big.Rat).SetString(fmt.Sprint(r["Cost"]))
		if !ok {
			return "", fmt.Errorf("the server sent a cost that is no number: %v", r["Cost"])
		}
		sum.Add(sum, cost)
	}
	const digits = 18 // as many as a cost has
	text := strings.TrimRight(sum.FloatString(digits), "0")
	return json.Number(strings.TrimSuffix(text, ".")), nil
}

// costs asks for sums, as one object for each row.
func (s *session) costs(ctx context.Context, first, last, by string) ([]map[string]any, error) {
	granularity := "None"
	if by == "day" {
		granularity = "Daily"
	}
	return s.table(ctx, "query", costBody("Custom", map[string]any{"from": first, "to": last}, by, granularity))
}

// costBody is a question for sums of cost and usage.
func costBody(timeframe string, period map[string]any, by, granularity string) map[string]any {
	grouping := []any{}
	for _, name := range sumsBy[by] {
		grouping = append(grouping, map[string]any{"type": "Dimension", "name": name})
	}
	return map[string]any{
		"type": "ActualCost", "timeframe": timeframe, "timePeriod": period,
		"dataset": map[string]any{
			"granularity": granularity, "grouping": grouping,
			"aggregation": map[string]any{
				"cost":  map[string]any{"name": "Cost", "function": "Sum"},
				"usage": map[string]any{"name": "UsageQuantity", "function": "Sum"},
			},
		},
	}
}

// table asks Microsoft.CostManagement and gathers the pages of its answer.
func (s *session) table(ctx context.Context, kind string, body any) ([]map[string]any, error) {
	all := []map[string]any{}
	for target := versioned(s.usageScope()+"/providers/Microsoft.CostManagement/"+kind, costAPI); target != ""; {
		a, err := s.client.do(ctx, http.MethodPost, target, body)
		if err != nil {
			return nil, err
		}
		table, err := object(a.body)
		if err != nil {
			return nil, err
		}
		properties, err := object(table["properties"])
		if err != nil {
			return nil, err
		}
		if all, err = appendRows(all, properties); err != nil {
			return nil, err
		}
		target, _ = properties["nextLink"].(string)
	}
	return all, nil
}

func appendRows(all []map[string]any, table map[string]any) ([]map[string]any, error) {
	columns, _ := table["columns"].([]any)
	rows, _ := table["rows"].([]any)
	for _, r := range rows {
		cells, ok := r.([]any)
		if !ok || len(cells) != len(columns) {
			return nil, errors.New("the server sent a row that does not fit its columns")
		}
		o := map[string]any{}
		for i, c := range columns {
			column, err := object(c)
			if err != nil {
				return nil, err
			}
			name, _ := column["name"].(string)
			o[name] = cells[i]
		}
		all = append(all, o)
	}
	return all, nil
}

func reportColumns(r map[string]any) row {
	columns := row{}
	if r["Total"] != nil {
		columns = row{{"Meter", "Total"}}
	}
	for _, name := range []string{"UsageDate", "ResourceGroup", "ResourceId", "MeterSubCategory", "Meter", "UsageQuantity", "Cost", "Currency"} {
		if v := r[name]; v != nil {
			columns = append(columns, cell{name, v})
		}
	}
	return columns
}

// saveReport has the server make the daily report, and writes it to --file.
func (s *session) saveReport(ctx context.Context, first, last string) error {
	name := s.args.get("file")
	if _, err := os.Lstat(name); err == nil && !s.args.has("overwrite") {
		return fmt.Errorf("%s: %w; give --overwrite to replace it", name, fs.ErrExist)
	}
	op, err := s.client.begin(ctx, http.MethodPost, versioned(s.usageScope()+"/providers/Microsoft.CostManagement/generateCostDetailsReport", costAPI),
		map[string]any{"metric": "ActualCost", "timePeriod": map[string]any{"start": first, "end": last}})
	if err != nil {
		return err
	}
	result, err := s.client.finish(ctx, op)
	if err != nil {
		return err
	}
	if result == nil {
		return errors.New("nothing was used in these days")
	}
	link, err := reportLink(result)
	if err != nil {
		return err
	}
	if link, err = s.client.resolve(link); err != nil {
		return err
	}
	return s.download(ctx, link, name)
}

func reportLink(result any) (string, error) {
	if report, err := object(result); err == nil {
		if manifest, err := object(report["manifest"]); err == nil {
			if blobs, _ := manifest["blobs"].([]any); len(blobs) > 0 {
				if first, err := object(blobs[0]); err == nil {
					if link, _ := first["blobLink"].(string); link != "" {
						return link, nil
					}
				}
			}
		}
	}
	return "", errors.New("the server made a report and does not say where it is")
}

// download writes what an address holds to a file, which appears when it is whole.
func (s *session) download(ctx context.Context, link, name string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.http.Do(req)
	if err != nil {
		return connectionError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s for the report", resp.Status)
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, resp.Body)
	if err == nil && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, name)
}

func explainUsage(ctx context.Context, s *session, args *arguments) (any, error) {
	k := snapshotKind
	if ids := strings.ToLower(strings.Join(args.values["ids"], " ")); args.has("disk") || strings.Contains(ids, "/disks/") {
		k = diskKind
	}
	if text := args.get("date"); text != "" {
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, usagef("argument --date: invalid date: '%s'", text)
		}
	}
	return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
		target := versioned(ref.id+"/providers/Microsoft.Consumption/explanations", computeAPI)
		if text := args.get("date"); text != "" {
			target += "&date=" + text
		}
		items, err := s.list(ctx, target)
		if err != nil {
			return nil, err
		}
		if len(items) == 1 {
			return items[0], nil
		}
		return items, nil
	})
}
