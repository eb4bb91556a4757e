package tintype

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Azure's bounds on tags, in characters as .NET counts them: units of UTF-16.
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

// CheckTags says whether tags may be put on a resource or group.
func CheckTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return badTag("InvalidTags", "The number of tags '%d' exceeds the maximum of '%d'.", len(tags), maxTags)
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if err := CheckTagName(name); err != nil {
			return err
		}
		if err := CheckTagValue(name, tags[name]); err != nil {
			return err
		}
	}
	return nil
}

// CheckTagName says whether a tag may have the name.
func CheckTagName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return badTag("InvalidTagName", "The tag name must be non-null, non-empty and non-whitespace only.")
	case units(name) > maxTagName:
		return badTag("InvalidTagNameLength", "The tag name '%.64s…' exceeds the maximum length of '%d'.", name, maxTagName)
	case strings.ContainsAny(name, `<>%&\?/`) || strings.ContainsFunc(name, unicode.IsControl):
		return badTag("InvalidTagNameCharacters",
			`The tag name has reserved characters '<,>,%%,&,\,?,/' or control characters. The tag name is '%s'.`, name)
	}
	return nil
}

// CheckPredefinedTagName says whether a subscription may offer a tag of the name: such a one has none of Azure's prefixes, which the tags of
// resources may have. Source: the description of PUT tagNames in Azure's specification of Microsoft.Resources.
func CheckPredefinedTagName(name string) error {
	for _, prefix := range []string{"microsoft", "azure", "windows"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return badTag("InvalidTagName", "The tag name '%.64s' has the prefix '%s', which is reserved. "+
				"The reserved prefixes are 'microsoft', 'azure' and 'windows'.", name, prefix)
		}
	}
	return CheckTagName(name)
}

// CheckTagValue says whether the tag of that name may have the value.
func CheckTagValue(name, value string) error {
	if units(value) > maxTagValue {
		return badTag("InvalidTagValueLength", "Tag value too large. The value of tag '%s' exceeds the maximum length of '%d'.", name, maxTagValue)
	}
	return nil
}

func units(s string) (n int) {
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

func badTag(code, format string, args ...any) error {
	return &Error{Kind: KindInvalid, Code: code, Target: "tags", Message: fmt.Sprintf(format, args...)}
}

// TagName is the name of a tag that a subscription offers, with the values that it offers of it, whether anything has them or not.
type TagName struct {
	Name   string
	Values []string
}
