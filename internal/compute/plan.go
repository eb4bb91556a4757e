package compute

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// step is what the worker has to do in the store for an accepted PUT.
type step string

const (
	stepNone          step = ""              // the bytes exist already, or none change
	stepCreate        step = "create"        // make an empty disk
	stepEmptySnapshot step = "emptySnapshot" // make an empty disk, cut it, drop it
	stepResize        step = "resize"        // grow a disk
	stepImport        step = "import"        // make a disk and copy an image into it; for a snapshot, cut it and drop it
	stepSeal          step = "seal"          // cut the disk that a snapshot was written into, and drop it
	stepGrowSnapshot  step = "growSnapshot"  // clone a snapshot larger, cut the clone, drop clone and snapshot
)

// plan is what the worker of an operation needs to know beyond the resource. It is kept with the operation as JSON, so
// fields may be added and never renamed.
type plan struct {
	Step  step            `json:"step,omitempty"`
	Store uuid.UUID       `json:"store"`           // volume to make or grow
	Temp  uuid.UUID       `json:"temp"`            // helper volume of steps that need one
	Old   uuid.UUID       `json:"old"`             // volume that Store replaces
	Size  int64           `json:"size,omitempty"`  // of Store, in bytes
	Prior json.RawMessage `json:"prior,omitempty"` // the resource before an update; a failure brings it back

	Volume     uuid.UUID        `json:"volume"` // the resource's volume, to be kept with this redundancy
	Redundancy block.Redundancy `json:"redundancy,omitempty"`

	URI   string `json:"uri,omitempty"`   // of the image to import, with its signature
	Bytes int64  `json:"bytes,omitempty"` // of its data
	ETag  string `json:"etag,omitempty"`  // of the image when its import began
	// Position is how far the import is: all before it is copied, and durable.
	Position int64 `json:"position,omitempty"`

	Guest     uuid.UUID `json:"guest"`               // the new volume's guest state
	GuestSize int64     `json:"guestSize,omitempty"` // in bytes; 0: it exists
	GuestURI  string    `json:"guestUri,omitempty"`  // of the blob to import into it, with its signature

	Copied bool `json:"copied,omitempty"` // the volume was cut before the operation was accepted
}

func (p plan) encode() ([]byte, error) { return json.Marshal(p) }

func planOf(op catalog.Operation) (plan, error) {
	var p plan
	if err := json.Unmarshal(op.Plan, &p); err != nil {
		return p, fmt.Errorf("operation %s has a bad plan: %w", op.ID, err)
	}
	return p, nil
}

// extra lists the volumes of the plan that a failure must drop.
func (p plan) extra() []uuid.UUID {
	var all []uuid.UUID
	for _, id := range []uuid.UUID{p.Temp, p.Store} {
		if id != uuid.Nil && p.Step != stepResize {
			all = append(all, id)
		}
	}
	return all
}

// redundancyOf is how a volume of a sku is kept.
func redundancyOf(sku tintype.SKU) block.Redundancy {
	if sku.Zoned() {
		return block.Zonal
	}
	return block.Local
}
