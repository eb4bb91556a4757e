package tintype

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Companion is a resource beside disks and snapshots that is no volume: a disk access, a disk encryption set,
// a collection of restore points, a virtual machine or an image, by the kind of its id.
type Companion struct {
	ID       ResourceID
	Location string
	Tags     map[string]string // nil when never set
	Created  time.Time
	Set      *EncryptionSet // of encryption sets only

	Collection *Collection // of collections of restore points only
	Machine    *Machine    // of virtual machines only
	Image      *Image      // of images only

	Links []PrivateLink // of disk accesses only, in the order of their last change
}

// Clone copies the companion deeply.
func (c Companion) Clone() Companion {
	c.Tags = maps.Clone(c.Tags)
	if c.Set != nil {
		s := c.Set.Clone()
		c.Set = &s
	}
	c.Collection = clonePtr(c.Collection)
	c.Links = slices.Clone(c.Links)
	if c.Machine != nil {
		m := c.Machine.Clone()
		c.Machine = &m
	}
	if c.Image != nil {
		i := c.Image.Clone()
		c.Image = &i
	}
	return c
}

// CompanionRequest is what a PUT or PATCH of a companion asks for. Nil or empty means: not said.
type CompanionRequest struct {
	Location         string
	Tags             map[string]string
	ExtendedLocation bool // an edge zone is named
	Set              *EncryptionSetRequest
}

// NewCompanion makes a companion of the kind of id as the request wants it. principal is the id of its own identity, if
// it is to have one.
func NewCompanion(id ResourceID, want CompanionRequest, now time.Time, principal uuid.UUID) (Companion, error) {
	region, err := CheckLocation(id.Kind.Type(), want.Location)
	if err != nil {
		return Companion{}, err
	}
	c := Companion{ID: id, Location: region.Name, Created: now}
	if id.Kind == KindEncryptionSet {
		if want.Set == nil {
			return c, MissingParameter("properties.activeKey")
		}
		c.Set = &EncryptionSet{principal: principal}
	}
	return c, c.Apply(want, true, now)
}

// Apply makes an existing companion what the request wants. replace is set for a PUT, which also clears tags that it
// leaves out.
func (c *Companion) Apply(want CompanionRequest, replace bool, now time.Time) error {
	if want.ExtendedLocation {
		return noEdgeZones()
	}
	if err := CheckTags(want.Tags); err != nil {
		return err
	}
	if want.Location != "" {
		r, err := CheckLocation(c.ID.Kind.Type(), want.Location)
		if err != nil {
			return err
		}
		if r.Name != c.Location {
			return LocationIsFixed(c.ID, c.Location, r)
		}
	} else if replace {
		return LocationRequired()
	}
	if want.Tags != nil || replace {
		c.Tags = maps.Clone(want.Tags)
	}
	if c.Set != nil && want.Set != nil {
		return c.Set.apply(*want.Set, now)
	}
	return nil
}
