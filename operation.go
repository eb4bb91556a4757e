package tintype

import (
	"time"

	"github.com/google/uuid"
)

// OperationKind says what an operation does.
type OperationKind string

// The kinds of operation.
const (
	OpPut         OperationKind = "put"         // create or update a disk or snapshot
	OpDelete      OperationKind = "delete"      // delete one
	OpGrant       OperationKind = "grant"       // beginGetAccess
	OpRevoke      OperationKind = "revoke"      // endGetAccess
	OpDeleteGroup OperationKind = "deletegroup" // delete a group and all in it

	OpPutCompanion    OperationKind = "putcompanion"    // create or update a companion
	OpDeleteCompanion OperationKind = "deletecompanion" // delete one

	OpMove OperationKind = "move" // take resources into another group

	OpPower OperationKind = "power" // start, stop, restart or deallocate a virtual machine

	OpPutImage OperationKind = "putimage" // make an image, or change its tags

	OpPutPoint    OperationKind = "putpoint"    // make a restore point
	OpDeletePoint OperationKind = "deletepoint" // delete one
)

// OperationState is where an operation stands, as clients poll it.
type OperationState string

// The states of an operation.
const (
	InProgress OperationState = "InProgress"
	Succeeded  OperationState = "Succeeded"
	Failed     OperationState = "Failed"
)

// Operation is an accepted request that is carried out after its answer. It survives a restart.
type Operation struct {
	ID           uuid.UUID
	Kind         OperationKind
	Subscription SubscriptionID
	Location     string // where clients poll it: …/locations/{Location}/DiskOperations/{ID}
	Resource     string // id of the resource or group, as the caller wrote it
	State        OperationState
	Started      time.Time
	Ended        time.Time // zero while in progress
	Failure      *Error    // set when State is Failed

	Output *Volume // what a successful OpPut made, as it was when the operation ended
	Grant  *Grant  // what a successful OpGrant gave
	Guest  *Grant  // beside it, of the guest state

	Companion *Companion // what a successful OpPutCompanion made

	// Of an operation on a volume, worked out when it is read; not kept.
	Steps  []Step
	Bytes  int64     // that it has to move: none for a copy, which shares its source's
	Done   int64     // that it has moved
	Moment time.Time // that the volume holds, of a copy: from then on its source may be written
}

// Step is one of the steps of an operation.
type Step struct {
	Name  string
	State OperationState
}

// Accepted is the answer to a write that was recorded and will be carried out.
type Accepted struct {
	Operation Operation
	Volume    Volume // as accepted; zero for groups
	New       bool   // the resource did not exist before
}

// Member is a snapshot to be made at one moment with others.
type Member struct {
	ID   ResourceID
	Want Desired
}
