package tintype

import "fmt"

const (
	maxResourceName = 80  // resource-name-rules: disks and snapshots
	maxAnyName      = 260 // what Azure's gateway accepts of any resource name
	maxGroupName    = 90
)

const nameRule = `^[^_\W][\w-._]{0,79}(?<![-.])$`

// CheckName says whether name may name a disk or snapshot: 1 to 80 letters, digits, underscores, periods and hyphens,
// the first a letter or digit, the last neither period nor hyphen.
func CheckName(kind Kind, name string) error {
	target := kind.Noun() + ".name"
	if len(name) > maxAnyName {
		return &Error{
			Kind: KindInvalid, Code: "InvalidResourceName", Target: target,
			Message: fmt.Sprintf("The provided resource name '%.300s' has a length of '%d' which exceeds the maximum length of '%d'.",
				name, len(name), maxAnyName),
		}
	}
	if name == "" {
		return MissingParameter(target)
	}
	if len(name) > maxResourceName {
		return badValue(target)
	}
	last := name[len(name)-1]
	ok := isAlnum(name[0]) && last != '-' && last != '.'
	for i := range len(name) {
		ok = ok && isNameByte(name[i])
	}
	if !ok {
		return InvalidParameter(target, "The entity name '%s' is invalid according to its validation rule: %s.", target, nameRule)
	}
	return nil
}

// CheckGroupName says whether name may name a resource group: 1 to 90 letters, digits, underscores, periods, hyphens
// and parentheses, not ending in a period.
func CheckGroupName(name string) error {
	bad := ""
	for _, r := range name {
		if r > 127 || !(isNameByte(byte(r)) || r == '(' || r == ')') {
			bad = string(r)
			break
		}
	}
	refuse := func(code, format string, args ...any) error {
		return &Error{Kind: KindInvalid, Code: code, Message: fmt.Sprintf(format, args...), Target: "resourceGroupName"}
	}
	switch {
	case name == "":
		return refuse("InvalidResourceGroup", "The provided resource group name '' is empty.")
	case len(name) > maxGroupName:
		return refuse("InvalidResourceGroup",
			"The provided resource group name '%.100s' has a length of '%d' which exceeds the maximum length of '%d'.",
			name, len(name), maxGroupName)
	case bad != "":
		return refuse("InvalidResourceGroup", "The provided resource group name '%s' has these invalid characters: '%s'. "+
			"The name can only be a letter, digit, '-', '.', '(', ')' or '_'.", name, bad)
	case name[len(name)-1] == '.':
		return refuse("InvalidResourceGroup",
			"The provided resource group name '%s' ends in a period. The name can not end in '.'.", name)
	}
	return nil
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isNameByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' }
