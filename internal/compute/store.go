package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Volumes is the store that keeps the bytes: lsd, later rbd. All its calls are durable when they return nil. A call
// repeated after a crash gives block.ErrExists or block.ErrNotFound, which is taken for done.
type Volumes interface {
	Create(id block.ID, size int64) error
	Snapshot(cuts ...block.Cut) error
	Clone(id, source block.ID, size int64) error
	Delete(id block.ID) error
	Resize(id block.ID, size int64) error
	// SetRedundancy says where a volume's data is to be kept; what is there already follows behind.
	SetRedundancy(id block.ID, r block.Redundancy) error
	OpenVolume(id block.ID) (block.Device, error)
	Sizes(id block.ID) (block.Sizes, error)
	Share(id block.ID) (block.Share, error)
	Freed(ids ...block.ID) (int64, error)
}

// Exporter is the doors over which hosts reach attached volumes: nbd, and vhost. The devices stay the caller's to close, after
// Unexport has returned.
type Exporter interface {
	// Hosts may ask what changed since each of older.
	Export(name string, dev block.Device, readOnly bool, description string, older []Older) error
	// ExportChanges serves the device, read-only, for a copy of what changed since older onto an image of that.
	ExportChanges(name string, dev block.Device, description string, older Older) error
	// Unexport cuts the export's connections and returns when no request touches the device any more. An unknown name
	// is no error.
	Unexport(name string) error
	// URI tells clients where the export of that name serves; the same name gives the same URI after a restart.
	URI(name string) string
	// Socket is where virtual machines that share their memory reach the export of that name, as vhost-user-blk; "" when
	// there is no such door.
	Socket(name string) string
}

// Older is an open snapshot under the name by which hosts ask for it.
type Older struct {
	Name   string
	Device block.Device
}

// made takes a repeated creation for done.
func made(err error) error {
	if errors.Is(err, block.ErrExists) {
		return nil
	}
	return err
}

// storeError words what the store refused. The cause stays for the log.
func storeError(err error) *tintype.Error {
	var refusal *tintype.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	if errors.Is(err, block.ErrLocked) {
		refusal = tintype.NotAllowed("The key of the disk encryption set is not available.")
		refusal.Cause = err
		return refusal
	}
	if errors.Is(err, block.ErrNoSpace) {
		return &tintype.Error{
			Kind: tintype.KindConflict, Code: "AllocationFailed", Cause: err,
			Message: "Allocation failed. There is not enough space left in the store for this request.",
		}
	}
	return tintype.Internal(err)
}

// undoIntents turns what was asked of the store and never accepted into drops. It must run before anything is accepted.
func (s *Service) undoIntents(ctx context.Context) error {
	return s.update(ctx, func(tx *catalog.Tx) error {
		left, err := tx.Intents()
		if err != nil {
			return err
		}
		for _, id := range left {
			if err := errors.Join(tx.DeleteIntent(id), tx.AddDrop(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropAll deletes the store's volumes that nothing refers to any more. One that is still open is left for the next time.
func (s *Service) dropAll(ctx context.Context) error {
	var drops []uuid.UUID
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		drops, err = tx.Drops()
		return err
	})
	if err != nil {
		return err
	}
	var failed error
	for _, id := range drops {
		err := s.volumes.Delete(id)
		if errors.Is(err, block.ErrInUse) {
			continue
		}
		if err != nil && !errors.Is(err, block.ErrNotFound) {
			failed = errors.Join(failed, err)
			continue
		}
		failed = errors.Join(failed, s.update(ctx, func(tx *catalog.Tx) error { return tx.DeleteDrop(id) }))
	}
	return failed
}
