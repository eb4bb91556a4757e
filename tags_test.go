package tintype_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tintype"
)

func TestCheckTags(t *testing.T) {
	full := map[string]string{}
	for i := range 50 {
		full[fmt.Sprint("t", i)] = ""
	}
	if err := tintype.CheckTags(full); err != nil {
		t.Error(err)
	}
	full["one more"] = ""
	one := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, tc := range []struct {
		name string
		tags map[string]string
		code string
	}{
		{"51", full, "InvalidTags"},
		{"no name", one("", "v"), "InvalidTagName"},
		{"blanks", one(" \t", "v"), "InvalidTagName"},
		{"reserved for what is predefined", map[string]string{"azure": "v", "Microsoft.owner": "v", "WindowsVersion": "v"}, ""},
		{"512", one(strings.Repeat("n", 512), ""), ""},
		{"512 beyond ASCII", one(strings.Repeat("é", 512), ""), ""},
		{"513", one(strings.Repeat("n", 513), ""), "InvalidTagNameLength"},
		{"two units each", one(strings.Repeat("🙂", 257), ""), "InvalidTagNameLength"},
		{"256", one("n", strings.Repeat("ü", 256)), ""},
		{"257", one("n", strings.Repeat("v", 257)), "InvalidTagValueLength"},
		{"control", one("a\nb", ""), "InvalidTagNameCharacters"},
		{"others", one("a|b:c{}'\"*#@é", "<>%&\\?/"), ""},
	} {
		err := tintype.CheckTags(tc.tags)
		var e *tintype.Error
		if errors.As(err, &e); tc.code == "" && err != nil || tc.code != "" && (e == nil || e.Code != tc.code) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.code)
		}
	}
	for _, c := range `<>%&\?/` {
		var e *tintype.Error
		if err := tintype.CheckTags(one("a"+string(c), "")); !errors.As(err, &e) || e.Code != "InvalidTagNameCharacters" {
			t.Errorf("%c: %v", c, err)
		}
	}
}

// TestCheckPredefinedTagName: what a tag may be called, its predefined name may not.
func TestCheckPredefinedTagName(t *testing.T) {
	for name, want := range map[string]string{
		"azure": "InvalidTagName", "Microsoft.owner": "InvalidTagName", "WINDOWSversion": "InvalidTagName", "my-azure-windows": "", "micro": "", " ": "InvalidTagName",
		"a/b": "InvalidTagNameCharacters",
	} {
		err := tintype.CheckPredefinedTagName(name)
		var e *tintype.Error
		if errors.As(err, &e); want == "" && err != nil || want != "" && (e == nil || e.Code != want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
