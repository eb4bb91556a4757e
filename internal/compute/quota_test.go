package compute

import (
	"testing"

	"tintype"
)

// TestQuota allows as many disks of a sort in a region as the server was told, and counts what there is.
func TestQuota(t *testing.T) {
	r := newRig(t)
	r.group()
	r.opt.Quota = map[string]int64{"StandardDiskCount": 2, "ZRSSnapshotCount": 1}
	r.put(diskID("a"), empty(1))
	r.put(diskID("b"), empty(1))
	_, err := r.Put(t.Context(), diskID("c"), empty(1))
	refused(t, err, "OperationNotAllowed")
	_, err = r.Put(t.Context(), diskID("c"), copyOf(diskID("a")))
	refused(t, err, "OperationNotAllowed")
	r.put(diskID("a"), empty(1)) // an update is not one more
	other := empty(1)
	other.Location = "eastus"
	r.put(diskID("east"), other)
	premium := empty(1)
	premium.SKU = "Premium_LRS"
	r.put(diskID("premium"), premium)
	_, err = r.Patch(t.Context(), diskID("premium"), tintype.Desired{SKU: "Standard_LRS"})
	refused(t, err, "OperationNotAllowed")
	r.put(snapshotID("s"), incremental(diskID("a")))
	_, err = r.SnapshotTogether(t.Context(), []tintype.Member{member("t", incremental(diskID("a"))), member("u", incremental(diskID("b")))})
	refused(t, err, "OperationNotAllowed")
	all, err := r.Usages(t.Context(), testSub, "westus2")
	have := map[string]int64{}
	for _, u := range all {
		have[u.Name] = u.Have
	}
	if err != nil || have["StandardDiskCount"] != 2 || have["PremiumDiskCount"] != 1 || have["ZRSSnapshotCount"] != 1 || have["StandardSnapshotCount"] != 0 {
		t.Errorf("%v %v", have, err)
	}
}
