package tintype

import "time"

// Immutability keeps a snapshot from being deleted or changed in what it holds until it expires.
type Immutability struct {
	Days   int64
	Locked bool // can be extended and nothing else
	Start  time.Time
}

// Bounds of an immutability policy's duration in days. The upper one is that of Azure's blobs, 400 years.
const (
	minImmutableDays = 1
	maxImmutableDays = 146_000
)

// Expires is when the policy ends.
func (i Immutability) Expires() time.Time { return i.Start.Add(time.Duration(i.Days) * 24 * time.Hour) }

// Holds tells that the policy is in force.
func (i *Immutability) Holds(now time.Time) bool { return i != nil && now.Before(i.Expires()) }

// ImmutabilityRequest is what updateImmutabilityPolicy and updateImmutabilityPolicyLock ask for.
type ImmutabilityRequest struct {
	Days *int64
	Type string // Unlocked or Locked
	// Lock tells that the caller may also lock a policy, or remove one that is not locked.
	Lock bool
}

// Next gives the policy that follows the present one, nil when there is none. A duration counts from when the policy began,
// which stays as long as it is in force; one that has expired is replaced. Without Lock a policy is made or extended, with it it is
// locked, or removed with 0 days.
func (r ImmutabilityRequest) Next(have *Immutability, now time.Time) (*Immutability, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	next := Immutability{Days: *r.Days, Locked: r.Type == "Locked", Start: now}
	if !have.Holds(now) {
		if next.Days == 0 {
			return nil, NotAllowed("There is no immutability policy in force that could be removed.")
		}
		return &next, nil
	}
	next.Start = have.Start
	switch {
	case have.Locked && !next.Locked:
		return nil, NotAllowed("The immutability policy is locked until %s: it can be extended and neither unlocked nor removed.",
			have.Expires().UTC().Format(time.RFC3339))
	case have.Locked && next.Days < have.Days, next.Days < have.Days && !r.Lock:
		return nil, NotAllowed("The immutability policy of %d days cannot be shortened to %d days.", have.Days, next.Days)
	}
	return &next, nil
}

func (r ImmutabilityRequest) check() error {
	low := int64(minImmutableDays)
	switch {
	case r.Days == nil:
		return MissingParameter("immutabilityDurationDays")
	case r.Type == "":
		return MissingParameter("type")
	case r.Type != "Locked" && r.Type != "Unlocked":
		return badValue("type")
	case r.Type == "Locked" && !r.Lock:
		return InvalidParameter("type", "A policy is locked with updateImmutabilityPolicyLock: type must be 'Unlocked'.")
	}
	if r.Lock && r.Type == "Unlocked" {
		low = 0
	}
	if *r.Days < low || *r.Days > maxImmutableDays {
		return outOfRange("immutabilityDurationDays", *r.Days, low, maxImmutableDays)
	}
	return nil
}

// Immutable refuses what a policy in force forbids.
func Immutable(v Volume, what string) *Error {
	return &Error{
		Kind: KindConflict, Code: "OperationNotAllowed", Target: v.ID.String(),
		Message: "Snapshot " + v.ID.Name + " cannot be " + what + " because its immutability policy is in force until " +
			v.Immutable.Expires().UTC().Format(time.RFC3339) + ".",
	}
}
