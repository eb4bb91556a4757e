package tintype

import "slices"

// CheckedDisks are the disks of a machine whose bytes the caller was found to be allowed to read. Nil: all disks, now and later.
type CheckedDisks []ResourceID

// Check refuses a disk that came to the machine after the caller's rights were looked at.
func (c CheckedDisks) Check(disk ResourceID) error {
	if c == nil || slices.ContainsFunc(c, func(id ResourceID) bool { return id.Key() == disk.Key() }) {
		return nil
	}
	return NotAllowed("The disks of the virtual machine have changed since the request came: disk %s was not among them. Please retry.", disk.Name)
}
