// Package compute decides what may be done with disks, snapshots and resource groups, in which order, and carries it
// out so that an accepted operation survives a restart.
//
// Every write is accepted by one catalog transaction that records the resource and an operation; a worker finishes it,
// and every step of it may be repeated. The bytes of a copy are cut before the operation is accepted, so a snapshot is
// what its source was before the client had its answer.
package compute

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
)

// Volumes is the store that keeps the bytes: lsd, later rbd. All its calls are durable when they return nil. A call
// repeated after a crash gives block.ErrExists or block.ErrNotFound, which is taken for done.
type Volumes interface {
	Create(id block.ID, size int64) error
	Snapshot(cuts ...block.Cut) error
	Clone(id, source block.ID, size int64) error
	Delete(id block.ID) error
	Resize(id block.ID, size int64) error
	OpenVolume(id block.ID) (block.Device, error)
	Sizes(id block.ID) (block.Sizes, error)
}

// Exporter is the door over which hosts reach attached volumes: nbd. The device belongs to the exporter from Export
// until Unexport has returned.
type Exporter interface {
	Export(name string, dev block.Device, readOnly bool, description string) error
	// Unexport cuts the export's connections and returns when no request touches the device any more. An unknown name
	// is no error.
	Unexport(name string) error
	// URI tells clients where the export of that name serves; the same name gives the same URI after a restart.
	URI(name string) string
}

var errNotYet = errors.New("not yet")

// Service is the domain. All methods may be called by many goroutines at once; all errors meant for a caller are
// *tintype.Error.
type Service struct{}

// Put creates the disk or snapshot that id names, or updates it. What comes back is the accepted operation, the
// resource as accepted, and whether it is new.
func (s *Service) Put(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error) {
	return tintype.Accepted{}, errNotYet
}

// Patch changes what want says and leaves the rest.
func (s *Service) Patch(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error) {
	return tintype.Accepted{}, errNotYet
}

// Get gives the disk or snapshot; ResourceNotFound or ResourceGroupNotFound when there is none.
func (s *Service) Get(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error) {
	return tintype.Volume{}, errNotYet
}

// Page is one page of a list, in the order of ids. Next is empty on the last one, else goes into the next call's after.
type Page struct {
	Volumes []tintype.Volume
	Next    string
}

// List gives a page of the kind's resources in the group, or in the whole subscription when group is "". A kind of 0 is
// all kinds.
func (s *Service) List(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (Page, error) {
	return Page{}, errNotYet
}

// Delete accepts the deletion. ok is false when the resource does not exist, which is no error (204).
func (s *Service) Delete(ctx context.Context, id tintype.ResourceID) (a tintype.Accepted, ok bool, err error) {
	return tintype.Accepted{}, false, errNotYet
}

// Grant accepts beginGetAccess; the operation's Grant is set when it has succeeded.
func (s *Service) Grant(ctx context.Context, id tintype.ResourceID, r tintype.AccessRequest) (tintype.Accepted, error) {
	return tintype.Accepted{}, errNotYet
}

// Revoke accepts endGetAccess. For an upload it checks the footer and makes the disk usable.
func (s *Service) Revoke(ctx context.Context, id tintype.ResourceID) (tintype.Accepted, error) {
	return tintype.Accepted{}, errNotYet
}

// Operation gives an operation of the subscription; NotFound when there is none. Ended ones are kept for a day at least.
func (s *Service) Operation(ctx context.Context, sub tintype.SubscriptionID, id uuid.UUID) (tintype.Operation, error) {
	return tintype.Operation{}, errNotYet
}

// Attach exports the volume to the host, and returns once it serves. The same host gets the same attachment again.
func (s *Service) Attach(ctx context.Context, id tintype.ResourceID, host string, readOnly bool) (tintype.Attachment, error) {
	return tintype.Attachment{}, errNotYet
}

// Detach ends the attachment; host "" means whichever has it. Detaching what is not attached is no error.
func (s *Service) Detach(ctx context.Context, id tintype.ResourceID, host string) error {
	return errNotYet
}

// Sizes gives the used and provisioned bytes of a disk or snapshot, exactly, as they are now.
func (s *Service) Sizes(ctx context.Context, id tintype.ResourceID) (block.Sizes, error) {
	return block.Sizes{}, errNotYet
}

// PutGroup creates the group or replaces its tags; created tells which.
func (s *Service) PutGroup(ctx context.Context, g tintype.Group) (out tintype.Group, created bool, err error) {
	return tintype.Group{}, false, errNotYet
}

// GetGroup gives the group; ResourceGroupNotFound when there is none.
func (s *Service) GetGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Group, error) {
	return tintype.Group{}, errNotYet
}

// ListGroups gives the subscription's groups in the order of their names.
func (s *Service) ListGroups(ctx context.Context, sub tintype.SubscriptionID) ([]tintype.Group, error) {
	return nil, errNotYet
}

// DeleteGroup accepts the deletion of the group and all in it: grants are revoked, and an attached volume refuses the
// whole. Poll it with Operation.
func (s *Service) DeleteGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Accepted, error) {
	return tintype.Accepted{}, errNotYet
}

// OpenGrant gives the grant of that id while it is active, and a handle on the volume's bytes, which the caller closes.
// An unknown, expired or revoked grant is *tintype.Error of KindForbidden.
func (s *Service) OpenGrant(ctx context.Context, id uuid.UUID) (tintype.Grant, block.Device, error) {
	return tintype.Grant{}, nil, errNotYet
}

// SaveFooter keeps the 512 bytes that the holder of an upload grant wrote behind the data; Footer gives them back,
// zeroes when none were written.
func (s *Service) SaveFooter(ctx context.Context, grant uuid.UUID, footer [512]byte) error {
	return errNotYet
}

// Footer gives the footer last saved under the upload grant.
func (s *Service) Footer(ctx context.Context, grant uuid.UUID) ([512]byte, error) {
	return [512]byte{}, errNotYet
}

// Options are what a Service needs from outside.
type Options struct {
	Volumes  Volumes
	Exporter Exporter
	Now      func() time.Time
	// CheckFooter says whether the footer of an upload describes a fixed VHD of size bytes; its error's text is shown.
	CheckFooter func(footer []byte, size int64) error
}
