package arm

import "strings"

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

// maxID bounds a resource id from outside; ARM's own limit is some 2,000 characters.
const maxID = 2048
