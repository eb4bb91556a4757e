package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func storeCommands(env Env) *cobra.Command {
	return family(env, "store", "Look into the store that keeps all disks and snapshots", []command{
		{name: "store stats", short: "Show what the store holds and what it does now.", run: storeStats},
		{name: "store rotate-key", short: "Replace the key that protects the keys of all disks.", long: rotateHelp, run: rotateKey},
		{name: "store damage", short: "List what cannot be read as it was written, of all disks and snapshots.", long: damageHelp, run: storeDamage, table: damageColumns},
		{name: "store grants", short: "List who has access to what by a signed URL, and what was read.", run: storeGrants, table: grantColumns},
		{name: "store scrub", short: "Show what the scrub does, which reads everything in the background.", options: []*option{
			{long: "start", arity: none, help: "Begin to read everything now, unless that is under way"},
		}, run: storeScrub},
	})
}

const rotateHelp = "The server draws a new platform key, DIR/keys/platform.key. No data is written again, and the old key is needed no more, " +
	"but for copies of the data folder made before. A key from --key-file or --key-command is changed at a start of the server: " +
	"serve --key-file NEW --old-key-file OLD."

func rotateKey(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	a, err := s.client.do(ctx, http.MethodPost, versioned(s.storeID("rotateKey"), computeAPI), nil)
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// storeID is the path of what the server tells of its store.
func (s *session) storeID(what string) string {
	return "/subscriptions/" + s.subscription() + "/providers/Tintype.Store/" + what
}

func storeStats(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	stats, err := s.get(ctx, s.storeID("stats"), computeAPI)
	if err != nil || args.or("output", "json") != "table" || args.has("query") {
		return stats, err
	}
	return lines("", stats), nil
}

func storeScrub(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	method := http.MethodGet
	if args.has("start") {
		method = http.MethodPost
	}
	a, err := s.client.do(ctx, method, versioned(s.storeID("scrub"), computeAPI), nil)
	if err != nil {
		return nil, err
	}
	return object(a.body)
}

const damageHelp = "What the scrub or a reader met since it was last looked at, by disk and snapshot: offset and length in bytes. " +
	"All else of them can be read. Writing such a range anew, whole, makes a disk good again; a snapshot keeps what it lost."

func storeDamage(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s.damage(ctx, s.storeID("damage"))
}

func damageOf(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		refs, err := s.targets(k)
		if err != nil {
			return nil, err
		}
		all := []map[string]any{}
		for _, ref := range refs {
			found, err := s.damage(ctx, ref.id+"/damage")
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
}

// damage reads a list of damage, and says so when it is not all.
func (s *session) damage(ctx context.Context, path string) ([]map[string]any, error) {
	answer, err := s.get(ctx, path, computeAPI)
	if err != nil {
		return nil, err
	}
	items, _ := answer["value"].([]any)
	list := []map[string]any{}
	for _, item := range items {
		o, err := object(item)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if answer["more"] == true {
		warnf(s.notes, "There is more damage than the %d ranges that are shown.", len(list))
	}
	return list, nil
}

// damageColumns name what is damaged by the last words of its id.
func damageColumns(o map[string]any) row {
	id, _ := o["id"].(string)
	var kind, group any
	name := o["volume"]
	if parts := strings.Split(id, "/"); len(parts) == 9 {
		kind, name, group = strings.TrimSuffix(parts[7], "s"), parts[8], parts[4]
	}
	return row{
		{"Kind", kind}, {"Name", name}, {"ResourceGroup", group}, {"Offset", o["offset"]}, {"Length", o["length"]}, {"Cause", o["cause"]},
	}
}

// lines makes a row of each number and word in an object, whatever the server tells, for a table that a person reads.
func lines(prefix string, v any) []map[string]any {
	var all []map[string]any
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			all = append(all, lines(strings.TrimPrefix(prefix+"."+k, "."), v[k])...)
		}
	case []any:
		for i, item := range v {
			all = append(all, lines(prefix+"["+strconv.Itoa(i)+"]", item)...)
		}
	case nil:
	default:
		row := map[string]any{"name": prefix, "value": v}
		if n, ok := v.(json.Number); ok && strings.HasSuffix(prefix, "Bytes") {
			row["value"] = n.String() + binarySize(n)
		}
		all = append(all, row)
	}
	return all
}

// binarySize is a number of bytes in the largest unit that it has one of, in parentheses.
func binarySize(n json.Number) string {
	bytes, err := n.Float64()
	unit := 0
	for ; bytes >= 1024 && unit < 5; unit++ {
		bytes /= 1024
	}
	if err != nil || unit == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f %ciB)", bytes, "_KMGTP"[unit])
}
