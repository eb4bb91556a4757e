package tintype

import (
	"fmt"
	"strings"
	"time"
)

// Group is a resource group.
type Group struct {
	Subscription SubscriptionID
	Name         string
	Location     string
	Tags         map[string]string
	State        ProvisioningState // Succeeded or Deleting
	Created      time.Time
	// ManagedBy is the id of the resource that manages the group; kept for those who ask, and nothing else.
	ManagedBy string
}

// GroupPatch is what may be changed of a group; what is nil stays.
type GroupPatch struct {
	Tags      *map[string]string
	ManagedBy *string
}

// Apply changes the group; its error says which tag a group may not have.
func (p GroupPatch) Apply(g *Group) error {
	if p.ManagedBy != nil {
		g.ManagedBy = *p.ManagedBy
	}
	if p.Tags == nil {
		return nil
	}
	g.Tags = *p.Tags
	return CheckTags(g.Tags)
}

// ID writes the group's id as Azure does.
func (g Group) ID() string {
	return "/subscriptions/" + string(g.Subscription) + "/resourceGroups/" + g.Name
}

// Key is the group's id folded to lower case.
func (g Group) Key() string { return GroupKey(g.Subscription, g.Name) }

// GroupKey is the key of a group that is known by name.
func GroupKey(sub SubscriptionID, name string) string {
	return strings.ToLower("/subscriptions/" + string(sub) + "/resourcegroups/" + name)
}

// GroupNotFound is what a client is told when the group does not exist.
func GroupNotFound(name string) *Error {
	return &Error{
		Kind: KindNotFound, Code: "ResourceGroupNotFound",
		Message: fmt.Sprintf("Resource group '%s' could not be found.", name),
	}
}

// GroupBeingDeleted refuses new work in a group whose deletion was accepted.
func GroupBeingDeleted(name string) *Error {
	return &Error{
		Kind: KindConflict, Code: "ResourceGroupBeingDeleted",
		Message: fmt.Sprintf("The resource group '%s' is in deprovisioning state and cannot perform this operation.", name),
	}
}
