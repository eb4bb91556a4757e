package compute

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

func incremental(source tintype.ResourceID) tintype.Desired {
	want := copyOf(source)
	want.Incremental = ptr(true)
	return want
}

// TestFamily follows the incremental snapshots of a disk over its deletion and a new disk of its name, and of a snapshot.
func TestFamily(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	first, second := r.put(snapshotID("s1"), incremental(diskID("d"))), r.put(snapshotID("s2"), incremental(diskID("d")))
	full := r.put(snapshotID("full"), copyOf(diskID("d")))
	copied := r.put(snapshotID("copy"), incremental(snapshotID("s1")))
	if first.Family == uuid.Nil || second.Family != first.Family || full.Family != uuid.Nil {
		t.Errorf("families %s, %s, full %s", first.Family, second.Family, full.Family)
	}
	if copied.Family == first.Family || copied.Family == uuid.Nil || copied.Creation.SourceUniqueID != first.UniqueID {
		t.Errorf("a copy of a snapshot has family %s of %s, source %s", copied.Family, first.Family, copied.Creation.SourceUniqueID)
	}
	if second.Creation.SourceUniqueID != d.UniqueID {
		t.Errorf("source %s of disk %s", second.Creation.SourceUniqueID, d.UniqueID)
	}
	a, _, err := r.Delete(t.Context(), diskID("d"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	again := r.put(diskID("d"), empty(1))
	third := r.put(snapshotID("s3"), incremental(diskID("d")))
	if third.Family == first.Family || third.Creation.SourceUniqueID != again.UniqueID || again.UniqueID == d.UniqueID {
		t.Errorf("a new disk of the same name continues the family of the old one")
	}
}

// TestSnapshotRate allows seven incremental snapshots of a disk within five minutes, however many are deleted, also over
// a restart, and any number of full ones.
func TestSnapshotRate(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(diskID("other"), empty(1))
	for i := range 7 {
		r.put(snapshotID(fmt.Sprint("s", i)), incremental(diskID("d")))
		r.clock.Add(10 * time.Second)
	}
	a, _, err := r.Delete(t.Context(), snapshotID("s0"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	r.restart()
	before := r.store.ids()
	_, err = r.Put(t.Context(), snapshotID("s7"), incremental(diskID("d")))
	if e := refused(t, err, "SnapshotsLimitReached"); !strings.Contains(e.Message, "within 5 minutes") {
		t.Error(e.Message)
	}
	if diff := cmp.Diff(before, r.store.ids()); diff != "" {
		t.Errorf("the refusal left (-before +after):\n%s", diff)
	}
	r.put(snapshotID("full"), copyOf(diskID("d")))
	r.put(snapshotID("o"), incremental(diskID("other")))
	r.clock.Add(4 * time.Minute) // the first is 5:10 old, the second 5:00
	r.put(snapshotID("s7"), incremental(diskID("d")))
	r.put(snapshotID("s8"), incremental(diskID("d")))
	_, err = r.Put(t.Context(), snapshotID("s9"), incremental(diskID("d")))
	refused(t, err, "SnapshotsLimitReached")
}

// TestRateOfCopies lets any number of snapshots be copied to another region at once.
func TestRateOfCopies(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(snapshotID("s"), incremental(diskID("d")))
	for i := range maxCuts + 1 {
		r.put(snapshotID(fmt.Sprint("copy", i)), tintype.Desired{
			Location: "eastus", Incremental: ptr(true),
			Creation: &tintype.CreationRequest{Option: "CopyStart", SourceResourceID: snapshotID("s").String()},
		})
	}
}

// TestSnapshotCount allows 500 incremental snapshots of a disk at a time.
func TestSnapshotCount(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	first := r.put(snapshotID("s0"), incremental(diskID("d")))
	err := r.update(t.Context(), func(tx *catalog.Tx) error {
		for i := 1; i < 500; i++ {
			v := first.Clone()
			v.ID.Name, v.UniqueID, v.Store = fmt.Sprint("s", i), uuid.New(), uuid.New()
			if err := tx.PutVolume(v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Put(t.Context(), snapshotID("s500"), incremental(diskID("d")))
	if e := refused(t, err, "SnapshotsLimitReached"); !strings.Contains(e.Message, "At most 500") {
		t.Error(e.Message)
	}
	r.put(snapshotID("full"), copyOf(diskID("d")))
	a, _, err := r.Delete(t.Context(), snapshotID("s250"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	r.put(snapshotID("s500"), incremental(diskID("d")))
}

// TestIncrementalStorage keeps incremental snapshots on standard storage, whatever the disk's is.
func TestIncrementalStorage(t *testing.T) {
	r := newRig(t)
	r.group()
	premium := empty(1)
	premium.SKU = "Premium_LRS"
	r.put(diskID("d"), premium)
	want := incremental(diskID("d"))
	want.SKU = "premium_lrs"
	_, err := r.Put(t.Context(), snapshotID("s"), want)
	refused(t, err, "InvalidParameter")
	want.SKU = "Standard_LRS"
	if v := r.put(snapshotID("s"), want); v.SKU != tintype.StandardLRS {
		t.Errorf("sku %s was asked for and is %s", want.SKU, v.SKU)
	}
	if v := r.put(snapshotID("s2"), incremental(diskID("d"))); v.SKU != tintype.StandardLRS {
		t.Errorf("the next has sku %s, not that of the one before", v.SKU)
	}
	_, err = r.Patch(t.Context(), snapshotID("s"), tintype.Desired{SKU: "Premium_LRS"})
	refused(t, err, "InvalidParameter")
	want = copyOf(diskID("d"))
	want.SKU = "Premium_LRS"
	if v := r.put(snapshotID("full"), want); v.SKU != tintype.PremiumLRS {
		t.Errorf("a full snapshot was asked for on %s and is on %s", want.SKU, v.SKU)
	}
}
