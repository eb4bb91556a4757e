package cli

import (
	"context"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func monitorCommands(env Env) *cobra.Command {
	all := family(env, "monitor", "See what was done", nil)
	all.AddCommand(family(env, "activity-log", "Query the activity log", []command{
		{name: "monitor activity-log list", short: "List events of the activity log.", run: listEvents, table: eventColumns, options: []*option{
			{long: "start-time", help: "Start time of the query, as 2026-01-31T12:00:00Z"},
			{long: "end-time", help: "End time of the query. Defaults to the current time"},
			{long: "offset", help: "Time offset of the query range, in ##d##h format, from --start-time or back from --end-time; default: 6h"},
			{long: "resource-group", short: "g", help: "Name of resource group"},
			{long: "resource-id", help: "ARM ID of a resource"},
			{long: "namespace", help: "Resource provider namespace"},
			{long: "caller", help: "Caller to query for, such as an e-mail address or service principal ID"},
			{long: "status", help: "Status to query for (ex: Failed)"},
			{long: "correlation-id", help: "Correlation ID to query"},
			{long: "max-events", integer: true, help: "Maximum number of records to return; default: 50"},
		}},
	}))
	return all
}

func eventColumns(e map[string]any) row {
	value := func(name string) any {
		o, _ := e[name].(map[string]any)
		return o["value"]
	}
	return row{
		{"Time", e["eventTimestamp"]},
		{"Caller", e["caller"]},
		{"Operation", value("operationName")},
		{"Status", value("status")},
		{"ResourceId", e["resourceId"]},
	}
}

var offsetRE = regexp.MustCompile(`^(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,4})m)?$`)

// span is the time that is asked about.
func (s *session) span() (start, end time.Time, err error) {
	m := offsetRE.FindStringSubmatch(s.args.or("offset", "6h"))
	if m == nil || m[0] == "" {
		return start, end, usagef("argument --offset: invalid offset: '%s'", s.args.get("offset"))
	}
	var offset time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if m[i+1] != "" {
			n, err := strconv.Atoi(m[i+1])
			if err != nil {
				return start, end, err
			}
			offset += time.Duration(n) * unit
		}
	}
	at := func(name string) (t time.Time) {
		if s.args.has(name) && err == nil {
			if t, err = time.Parse(time.RFC3339, s.args.get(name)); err != nil {
				err = usagef("argument --%s: invalid time: '%s'", name, s.args.get(name))
			}
		}
		return t
	}
	start, end = at("start-time"), at("end-time")
	switch {
	case start.IsZero() && end.IsZero():
		end = s.env.Now().UTC()
		start = end.Add(-offset)
	case start.IsZero():
		start = end.Add(-offset)
	case end.IsZero() && s.args.has("offset"):
		end = start.Add(offset)
	case end.IsZero():
		end = s.env.Now().UTC()
	}
	return start, end, err
}

func listEvents(ctx context.Context, s *session, args *arguments) (any, error) {
	start, end, err := s.span()
	if err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	filter := "eventTimestamp ge " + start.UTC().Format(time.RFC3339Nano) + " and eventTimestamp le " + end.UTC().Format(time.RFC3339Nano)
	for _, term := range []struct{ option, name string }{
		{"resource-group", "resourceGroupName"},
		{"resource-id", "resourceId"},
		{"namespace", "resourceProvider"},
		{"caller", "caller"},
		{"status", "status"},
		{"correlation-id", "correlationId"},
	} {
		if args.has(term.option) {
			filter += " and " + term.name + " eq " + quoted(args.get(term.option))
		}
	}
	most := int64(50)
	if args.has("max-events") {
		most = max(args.int("max-events"), 1)
	}
	events, err := s.items(ctx, "/subscriptions/"+s.subscription()+"/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter="+url.QueryEscape(filter), most)
	if err != nil {
		return nil, err
	}
	return events[:min(int64(len(events)), most)], nil
}
