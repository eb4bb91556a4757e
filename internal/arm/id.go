package arm

import (
	"fmt"
	"strings"
)

// ID is a parsed resource id, or the part of one that a path carries. Case is as it was sent.
type ID struct {
	Subscription string
	Group        string
	Namespace    string
	Type         string
	Name         string
	// Location is set for paths under …/locations/{location}/….
	Location string
}

// String is the id as Azure writes it, as far as its parts are set.
func (id ID) String() string {
	var b strings.Builder
	add := func(word, value string) {
		if value != "" {
			b.WriteString("/" + word + "/" + value)
		}
	}
	add("subscriptions", id.Subscription)
	add("resourceGroups", id.Group)
	if id.Namespace != "" {
		add("providers", id.Namespace)
		add(id.Type, id.Name)
	}
	return b.String()
}

// Is tells whether the id is of the given namespace and type, such as "Microsoft.Compute/disks", without regard to case.
func (id ID) Is(fullType string) bool {
	return strings.EqualFold(id.Namespace+"/"+id.Type, fullType)
}

// maxID bounds a resource id from outside: ARM's own limit is 2,000 characters or so.
const maxID = 2048

// ParseID reads the id of a top-level resource in a resource group, as bodies carry them (sourceResourceId).
func ParseID(s string) (ID, error) {
	if len(s) > maxID {
		return ID{}, fmt.Errorf("resource id of %d characters is longer than %d", len(s), maxID)
	}
	p := strings.Split(s, "/")
	if len(p) != 9 || p[0] != "" || !strings.EqualFold(p[1], "subscriptions") ||
		!strings.EqualFold(p[3], "resourceGroups") || !strings.EqualFold(p[5], "providers") {
		return ID{}, fmt.Errorf("%q is not the id of a resource in a resource group", s)
	}
	id := ID{Subscription: p[2], Group: p[4], Namespace: p[6], Type: p[7], Name: p[8]}
	for _, part := range []string{id.Subscription, id.Group, id.Namespace, id.Type, id.Name} {
		if part == "" {
			return ID{}, fmt.Errorf("%q has an empty part", s)
		}
	}
	return id, nil
}
