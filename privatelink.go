package tintype

import (
	"fmt"
	"slices"
)

// PrivateLink is a private endpoint's connection to a disk access. While one is approved, disks and snapshots of the disk access
// can be had through the private door.
type PrivateLink struct {
	Name        string
	Status      string // Approved, Pending or Rejected
	Description string
	Endpoint    string // id of the private endpoint, as the caller wrote it
}

// PrivateLinkRequest is what a PUT of a connection asks for.
type PrivateLinkRequest struct{ Status, Description, Endpoint string }

const (
	// LinkApproved is the status of a connection that lets its endpoint in.
	LinkApproved   = "Approved"
	maxLinks       = 100
	maxDescription = 512
)

// Approved tells that one of the disk access's connections is approved.
func (c Companion) Approved() bool {
	return slices.ContainsFunc(c.Links, func(l PrivateLink) bool { return l.Status == LinkApproved })
}

// Link gives the connection of the name.
func (c Companion) Link(name string) (PrivateLink, bool) {
	i := slices.IndexFunc(c.Links, func(l PrivateLink) bool { return ScopeKey(l.Name) == ScopeKey(name) })
	if i < 0 {
		return PrivateLink{}, false
	}
	return c.Links[i], true
}

// SetLink makes the connection of the name what is asked for.
func (c *Companion) SetLink(name string, want PrivateLinkRequest) (PrivateLink, error) {
	if !slices.Contains([]string{LinkApproved, "Pending", "Rejected"}, want.Status) {
		return PrivateLink{}, badValue("privateLinkServiceConnectionState.status")
	}
	if len(want.Description) > maxDescription || len(want.Endpoint) > 1024 {
		return PrivateLink{}, badValue("privateLinkServiceConnectionState.description")
	}
	l, exists := c.Link(name)
	if !exists {
		if err := CheckName(KindDiskAccess, name); err != nil {
			return l, err
		}
		if len(c.Links) >= maxLinks {
			return l, NotAllowed("A disk access has at most %d private endpoint connections.", maxLinks)
		}
		l.Name = name
	}
	l.Status, l.Description = want.Status, want.Description
	set(&l.Endpoint, want.Endpoint, "")
	c.DropLink(l.Name)
	c.Links = append(c.Links, l)
	return l, nil
}

// DropLink removes the connection of the name; ok is false when there is none.
func (c *Companion) DropLink(name string) (ok bool) {
	have := len(c.Links)
	c.Links = slices.DeleteFunc(slices.Clone(c.Links), func(l PrivateLink) bool { return ScopeKey(l.Name) == ScopeKey(name) })
	return len(c.Links) < have
}

// LinkNotFound is what a client is told when a disk access has no such connection.
func LinkNotFound(name string) *Error {
	return &Error{Kind: KindNotFound, Code: "NotFound", Message: fmt.Sprintf("Private endpoint connection %.260s is not found.", name)}
}
