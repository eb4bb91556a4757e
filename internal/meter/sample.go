package meter

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
)

// Resource is one life of a disk or snapshot. A resource made anew under an old name is another one.
type Resource struct {
	ID          tintype.ResourceID
	UniqueID    uuid.UUID
	Kind        tintype.Kind
	Incremental bool // snapshots only
	Location    string
	Source      string    // id of what it is a copy of, or ""
	Family      uuid.UUID // shared by the incremental snapshots of one disk
	Store       block.ID  // names its bytes in the store
	Born        time.Time
	Gone        time.Time // zero while it exists
	Former      []string  // keys of the ids that it had before it was moved

	row int64 // in the meter's store
}

// Unmeasured stands for a size that the store could not tell, such as of a snapshot that was deleted at once.
const Unmeasured = -1

// Sample is what a resource was from a moment on.
type Sample struct {
	At          time.Time
	SKU         tintype.SKU
	Tier        string // performance tier of a Premium SSD; "" for all others
	State       tintype.DiskState
	Deleted     bool // it ended here; the rest is what it was last
	Tags        map[string]string
	Provisioned int64 // bytes
	Used        int64 // bytes
	// Incremental of an incremental snapshot is what it holds that the one before it in its family does not: the delta by
	// which it is billed. Of others, what was born since the snapshot before; for information.
	Incremental int64
	Exclusive   int64 // bytes that nothing else holds; for information

	profile int64 // of SKU, Tier, State, Deleted and Tags
	millis  int64 // At
}

// profile is what a row of profiles holds.
type profile struct {
	SKU           string            `json:"sku"`
	ZoneRedundant bool              `json:"zoneRedundant,omitempty"`
	Tier          string            `json:"tier,omitempty"`
	State         string            `json:"state"`
	Deleted       bool              `json:"deleted,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
}

func (s Sample) encodeProfile() (string, error) {
	text, err := json.Marshal(profile{
		SKU: string(s.SKU), ZoneRedundant: s.SKU.Zoned(), Tier: s.Tier, State: string(s.State), Deleted: s.Deleted, Tags: s.Tags,
	})
	return string(text), err
}

func decodeProfile(text string) (s Sample, err error) {
	var p profile
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return s, fmt.Errorf("usage.db holds a bad profile: %w", err)
	}
	return Sample{SKU: tintype.SKU(p.SKU), Tier: p.Tier, State: tintype.DiskState(p.State), Deleted: p.Deleted, Tags: p.Tags}, nil
}

// sampleOf takes from a volume what the catalog knows; sizes come from the store.
func sampleOf(v tintype.Volume) Sample {
	s := Sample{
		SKU: v.SKU, State: v.State, Tags: v.Tags, Provisioned: v.Size,
		Used: Unmeasured, Incremental: Unmeasured, Exclusive: Unmeasured,
	}
	if v.ID.Kind == tintype.KindDisk && strings.HasPrefix(string(v.SKU), "Premium_") {
		s.Tier = v.Performance().Tier
	}
	return s
}

// resourceOf takes from a volume what stays the same for its life.
func resourceOf(v tintype.Volume, born int64) *Resource {
	return &Resource{
		ID: v.ID, UniqueID: v.UniqueID, Kind: v.ID.Kind, Incremental: v.Incremental, Location: v.Location,
		Source: v.Creation.Source, Family: v.Family, Store: v.Store, Born: time.UnixMilli(born).UTC(),
	}
}
