package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parseDisk(t *testing.T, line ...string) (*arguments, error) {
	t.Helper()
	return parseArguments("disk create", append(createDiskOptions(), globalOptions()...), line)
}

// The texts are az 2.45's own, seen on a terminal.
func TestUsageErrorsAreAz(t *testing.T) {
	for line, want := range map[string]string{
		"":                       "the following arguments are required: --resource-group/-g, --name/-n",
		"-g a":                   "the following arguments are required: --name/-n",
		"-g a -n b --sku foo":    "tintype disk create: 'foo' is not a valid value for '--sku'. Allowed values: Standard_LRS, Premium_LRS, StandardSSD_LRS, UltraSSD_LRS, Premium_ZRS, StandardSSD_ZRS, PremiumV2_LRS.",
		"-g a -n b --size-gb x":  "argument --size-gb/-z: invalid int value: 'x'",
		"-g a -n b --size-gb":    "argument --size-gb/-z: expected one argument",
		"-g a -n -z 3":           "argument --name/-n: expected one argument",
		"-g a -n b --bogus 1":    "unrecognized arguments: --bogus 1",
		"-g a -n b --upload":     "ambiguous option: --upload could match --upload-size-bytes, --upload-type",
		"-g a -n b -o foo":       "tintype disk create: 'foo' is not a valid value for '--output'. Allowed values: json, jsonc, yaml, yamlc, table, tsv, none.",
		"-g a -n b --no-wait=no": "argument --no-wait: ignored explicit argument 'no'",
	} {
		_, err := parseDisk(t, strings.Fields(line)...)
		var usage *usageError
		if !errors.As(err, &usage) || usage.text != want {
			t.Errorf("%q: got %v, want %s", line, err, want)
		}
	}
}

func TestArgparseGrammar(t *testing.T) {
	for line, want := range map[string]map[string][]string{
		"-g a -n b":                     {"resource-group": {"a"}, "name": {"b"}},
		"-ga -n=b":                      {"resource-group": {"a"}, "name": {"b"}},
		"--resource a --name=b":         {"resource-group": {"a"}, "name": {"b"}},
		"--resource-group a --name b=c": {"resource-group": {"a"}, "name": {"b=c"}},
		"-g a -n b --tags x=1 y --sku PREMIUM_lrs": {"resource-group": {"a"}, "name": {"b"}, "tags": {"x=1", "y"}, "sku": {"Premium_LRS"}},
		"-g a -n b --tags":                         {"resource-group": {"a"}, "name": {"b"}, "tags": {}},
		"-g a --enable-bursting -n b":              {"resource-group": {"a"}, "name": {"b"}, "enable-bursting": {"true"}},
		"-g a --enable-bursting False -n b":        {"resource-group": {"a"}, "name": {"b"}, "enable-bursting": {"false"}},
		"-g a -n b -n c --out table":               {"resource-group": {"a"}, "name": {"c"}, "output": {"table"}},
		"-g a -n b -z -3":                          {"resource-group": {"a"}, "name": {"b"}, "size-gb": {"-3"}},
	} {
		args, err := parseDisk(t, strings.Fields(line)...)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want, args.values); diff != "" {
			t.Errorf("%q: -want +got\n%s", line, diff)
		}
	}
}

func TestEditsKeepTheirOrder(t *testing.T) {
	args, err := parseArguments("disk update", updateDiskOptions(), strings.Fields("--set a=1 b=2 --remove c 0 --set d=3 --add e x=1 y"))
	if err != nil {
		t.Fatal(err)
	}
	want := []edit{{"set", []string{"a=1", "b=2"}}, {"remove", []string{"c", "0"}}, {"set", []string{"d=3"}}, {"add", []string{"e", "x=1", "y"}}}
	if diff := cmp.Diff(want, args.edits, cmp.AllowUnexported(edit{})); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse checks that every command line is either refused or read in full: no
// word of it disappears.
func FuzzParse(f *testing.F) {
	f.Add("-g a -n b --tags x=1 y --sku Standard_LRS")
	f.Add("-n -- -g=3 --size-gb -4 --ids")
	f.Fuzz(func(t *testing.T, text string) {
		line := strings.Fields(text)
		args, err := parseArguments("disk create", append(createDiskOptions(), globalOptions()...), line)
		if err != nil {
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Fatalf("%q: %v is no usage error", text, err)
			}
			return
		}
		for name, values := range args.values {
			if !slices.ContainsFunc(line, func(word string) bool { return strings.HasPrefix(word, "-") }) {
				t.Fatalf("%q: option %s from nothing", text, name)
			}
			for _, v := range values {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(v)) && v != "true" {
					t.Fatalf("%q: %s=%q was not on the line", text, name, v)
				}
			}
		}
	})
}
