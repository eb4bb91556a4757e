package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const usageForecastHelp = "Says what this month will have cost at its end, for each resource group, if nothing changes from now on."

const budgetHelp = "When a threshold is crossed, the server logs it and calls its --budget-webhook, once in each period. " +
	"A threshold is a percentage of the amount, compared with what was spent, or with the forecast for the period's end."

func forecastCommand() command {
	return command{
		name: "usage forecast", short: "Forecast this month's cost.", long: usageForecastHelp,
		options: []*option{{long: "resource-group", short: "g", help: "Name of resource group"}}, run: forecastUsage, table: forecastColumns,
	}
}

func budgetCommands(env Env) *cobra.Command {
	group := &option{long: "resource-group", short: "g", help: "Name of resource group; default: the whole subscription"}
	name := &option{long: "budget-name", alias: "name", short: "n", required: true, help: "Name of the budget"}
	return family(env, "budget", "Manage budgets", []command{
		{name: "usage budget create", short: "Create or change a budget.", long: budgetHelp, run: createBudget, options: []*option{
			group, name,
			{long: "amount", required: true, help: "What is to be spent at most in a period, in the currency of the price sheet"},
			{long: "time-grain", choices: []string{"monthly", "quarterly", "annually"}, help: "Length of a period; default: monthly"},
			{long: "start-date", short: "s", help: "First day of a month (YYYY-MM-DD in UTC); default: this month's"},
			{long: "end-date", short: "e", help: "Last day (YYYY-MM-DD in UTC); default: in ten years"},
			{long: "threshold", arity: atLeast1, help: "Percentages of the amount spent (space-delimited); default: 100"},
			{long: "forecast-threshold", arity: atLeast1, help: "Percentages of the amount forecast for the period's end (space-delimited)"},
		}},
		{name: "usage budget list", short: "List budgets.", options: []*option{group}, run: listBudgets, table: budgetColumns},
		{name: "usage budget show", short: "Show a budget and what was spent.", options: []*option{group, name}, run: showBudget, table: budgetColumns},
		{name: "usage budget delete", short: "Delete a budget.", options: []*option{group, name}, run: deleteBudget},
	})
}

// forecastUsage sets this month's forecast beside what it has come to, group by group.
func forecastUsage(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	body := costBody("TheCurrentMonth", nil, "group", "None")
	forecast, err := s.table(ctx, "forecast", body)
	if err != nil {
		return nil, err
	}
	body["timeframe"] = "MonthToDate"
	spent, err := s.table(ctx, "query", body)
	if err != nil {
		return nil, err
	}
	already := map[any]any{}
	for _, r := range spent {
		already[r["ResourceGroup"]] = r["Cost"]
	}
	out := make([]map[string]any, len(forecast))
	for i, r := range forecast {
		out[i] = map[string]any{
			"resourceGroup": r["ResourceGroup"], "monthToDate": already[r["ResourceGroup"]], "forecast": r["Cost"], "currency": r["Currency"],
		}
	}
	return out, nil
}

func forecastColumns(r map[string]any) row {
	return row{{"ResourceGroup", r["resourceGroup"]}, {"MonthToDate", r["monthToDate"]}, {"Forecast", r["forecast"]}, {"Currency", r["currency"]}}
}

func (s *session) budgetID(name string) string {
	id := s.usageScope() + "/providers/Microsoft.Consumption/budgets"
	if name != "" {
		id += "/" + name
	}
	return id
}

func createBudget(ctx context.Context, s *session, args *arguments) (any, error) {
	period := map[string]any{"startDate": s.env.Now().UTC().Format("2006-01-") + "01T00:00:00Z"}
	for option, field := range map[string]string{"start-date": "startDate", "end-date": "endDate"} {
		if text := args.get(option); text != "" {
			if _, err := time.Parse(time.DateOnly, text); err != nil {
				return nil, usagef("argument --%s: invalid date: '%s'", option, text)
			}
			period[field] = text + "T00:00:00Z"
		}
	}
	notifications := map[string]any{}
	for option, kind := range map[string]string{"threshold": "Actual", "forecast-threshold": "Forecasted"} {
		for _, percent := range args.values[option] {
			notifications[kind+"_GreaterThanOrEqualTo_"+percent+"_Percent"] = map[string]any{
				"enabled": true, "operator": "GreaterThanOrEqualTo", "threshold": json.Number(percent), "thresholdType": kind, "contactEmails": []string{},
			}
		}
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	body := map[string]any{"properties": map[string]any{
		"category": "Cost", "amount": json.Number(args.get("amount")), "timeGrain": args.or("time-grain", "monthly"),
		"timePeriod": period, "notifications": notifications,
	}}
	a, err := s.client.do(ctx, http.MethodPut, versioned(s.budgetID(args.get("budget-name")), usageAPI), body)
	if err != nil {
		return nil, err
	}
	return shownBudget(a.body)
}

func shownBudget(body any) (any, error) {
	wire, err := object(body)
	if err != nil {
		return nil, err
	}
	return flattenProperties(wire), nil
}

func listBudgets(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	items, err := s.list(ctx, versioned(s.budgetID(""), usageAPI))
	for i := range items {
		items[i] = flattenProperties(items[i])
	}
	return items, err
}

func showBudget(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	wire, err := s.get(ctx, s.budgetID(args.get("budget-name")), usageAPI)
	if err != nil {
		return nil, err
	}
	return flattenProperties(wire), nil
}

func deleteBudget(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	_, err := s.client.do(ctx, http.MethodDelete, versioned(s.budgetID(args.get("budget-name")), usageAPI), nil)
	return nil, err
}

func budgetColumns(b map[string]any) row {
	spent, _ := b["currentSpend"].(map[string]any)
	forecast, _ := b["forecastSpend"].(map[string]any)
	return row{
		{"Name", b["name"]},
		{"Amount", b["amount"]},
		{"TimeGrain", b["timeGrain"]},
		{"Spent", spent["amount"]},
		{"Forecast", forecast["amount"]},
		{"Currency", spent["unit"]},
	}
}
