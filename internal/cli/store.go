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
