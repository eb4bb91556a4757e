package arm

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSKUs lists what may be asked for, by region.
func TestSKUs(t *testing.T) {
	r := newComputeRig(t)
	list := func(filter string) (out []resourceSKU) {
		a := r.do("GET", "/subscriptions/"+testSub+"/providers/Microsoft.Compute/skus?api-version=2019-04-01&$filter="+filter, nil)
		b, err := json.Marshal(property(a.body, "value"))
		if err != nil || a.status != 200 || json.Unmarshal(b, &out) != nil {
			t.Fatalf("%d %v %v", a.status, a.body, err)
		}
		return out
	}
	found := false
	var bursts []skuCapability
	for filter, zoned := range map[string]bool{"location+eq+'westus'": false, "location%20eq%20'WestUS2'": true} {
		found := map[string]bool{}
		for _, s := range list(filter) {
			found[s.ResourceType+" "+s.Name] = true
			if s.ResourceType == "disks" && s.Name == "Premium_LRS" && (len(s.LocationInfo[0].Zones) == 3) != zoned {
				t.Errorf("%s: zones of Premium_LRS: %v", filter, s.LocationInfo)
			}
		}
		if !found["disks UltraSSD_LRS"] || !found["snapshots Standard_LRS"] || found["snapshots Standard_ZRS"] != zoned || found["disks Premium_ZRS"] != zoned {
			t.Errorf("%s: %v", filter, found)
		}
	}
	for _, s := range list("location+eq+'westus'") {
		if s.ResourceType == "disks" && s.Name == "Premium_LRS" && s.Size == "P10" {
			bursts = s.Capabilities[len(s.Capabilities)-3:]
		}
		if s.ResourceType != "disks" || s.Name != "Premium_LRS" || s.Size != "P50" {
			continue
		}
		want := []skuCapability{
			{"MaxSizeGiB", "4096"},
			{"MinSizeGiB", "2048"},
			{"MaxIOps", "7500"},
			{"MinIOps", "7500"},
			{"MaxBandwidthMBps", "250"},
			{"MinBandwidthMBps", "250"},
			{"MaxValueOfMaxShares", "5"},
		}
		if diff := cmp.Diff(want, s.Capabilities); diff != "" {
			t.Error(diff)
		}
		found = true
	}
	if !found {
		t.Error("no P50")
	}
	if diff := cmp.Diff([]skuCapability{{"MaxBurstIops", "3500"}, {"MaxBurstBandwidthMBps", "170"}, {"MaxBurstDurationInMin", "30"}}, bursts); diff != "" {
		t.Error(diff)
	}
	if n := len(list("")); n < 400 {
		t.Errorf("%d in all", n)
	}
	if a := r.do("GET", "/subscriptions/"+testSub+"/providers/Microsoft.Compute/skus?api-version=2019-04-01&$filter=name", nil); a.status != 400 {
		t.Errorf("a bad filter: %d", a.status)
	}
}
