package tintype

import (
	"fmt"
	"strings"
)

// Azure's bounds on tags.
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

// CheckTags says whether tags may be put on a resource or group.
func CheckTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return &Error{
			Kind: KindInvalid, Code: "InvalidTags", Target: "tags",
			Message: fmt.Sprintf("The number of tags '%d' exceeds the maximum of '%d'.", len(tags), maxTags),
		}
	}
	for name, value := range tags {
		switch {
		case name == "":
			return &Error{Kind: KindInvalid, Code: "InvalidTagName", Target: "tags", Message: "The tag name must be non-null, non-empty and non-whitespace only."}
		case len(name) > maxTagName:
			return &Error{Kind: KindInvalid, Code: "InvalidTagNameLength", Target: "tags", Message: fmt.Sprintf(
				"The tag name '%.64s…' exceeds the maximum length of '%d'.", name, maxTagName)}
		case strings.ContainsAny(name, `<>%&\?/`):
			return &Error{Kind: KindInvalid, Code: "InvalidTagNameCharacters", Target: "tags", Message: fmt.Sprintf(
				`The tag name has reserved characters '<,>,%%,&,\,?,/' or control characters. The tag name is '%s'.`, name)}
		case len(value) > maxTagValue:
			return &Error{Kind: KindInvalid, Code: "InvalidTagValueLength", Target: "tags", Message: fmt.Sprintf(
				"Tag value too large. The value of tag '%s' exceeds the maximum length of '%d'.", name, maxTagValue)}
		}
	}
	return nil
}
