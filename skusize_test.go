package tintype

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSizes(t *testing.T) {
	find := func(s SKU, name string) Size {
		for _, z := range s.Sizes() {
			if z.Name == name {
				return z
			}
		}
		return Size{}
	}
	for want, got := range map[Size]Size{
		// Standard_LRS S4 as recorded by clients of Azure: above 0 GiB, up to 32, 500 IOPS, 60 MB/s.
		{Name: "S4", MaxGB: 32, Performance: Performance{IOPS: 500, MBps: 60}}:                                                  find(StandardLRS, "S4"),
		{Name: "P50", MinGB: 2048, MaxGB: 4096, Performance: Performance{Tier: "P50", IOPS: 7500, MBps: 250}}:                   find(PremiumLRS, "P50"),
		{Name: "E1", MaxGB: 4, Performance: Performance{IOPS: 500, MBps: 100}, Burst: Burst{IOPS: 600, MBps: 150, Minutes: 30}}: find(StandardSSDLRS, "E1"),
		{}: find(StandardZRS, "S3"),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	// Source: Azure's tables of disk types; larger sizes of Premium SSD burst on demand alone, Standard HDD not at all.
	for _, tc := range []struct {
		sku  SKU
		name string
		want Burst
	}{
		{PremiumLRS, "P1", Burst{IOPS: 3500, MBps: 170, Minutes: 30}},
		{PremiumZRS, "P20", Burst{IOPS: 3500, MBps: 170, Minutes: 30}},
		{PremiumLRS, "P30", Burst{}},
		{StandardSSDLRS, "E10", Burst{IOPS: 600, MBps: 150, Minutes: 30}},
		{StandardSSDZRS, "E30", Burst{IOPS: 1000, MBps: 250, Minutes: 30}},
		{StandardSSDLRS, "E40", Burst{}},
		{StandardLRS, "S10", Burst{}},
	} {
		if diff := cmp.Diff(tc.want, find(tc.sku, tc.name).Burst); diff != "" {
			t.Errorf("%s %s: %s", tc.sku, tc.name, diff)
		}
	}
	for _, s := range []SKU{StandardLRS, StandardZRS, StandardSSDLRS, StandardSSDZRS, PremiumLRS, PremiumZRS} {
		below := int64(0)
		for _, z := range s.Sizes() {
			if z.MinGB != below || z.MaxGB <= below {
				t.Errorf("%s %s begins at %d and ends at %d, after %d", s, z.Name, z.MinGB, z.MaxGB, below)
			}
			below = z.MaxGB
		}
		if below != s.MaxSizeGB() {
			t.Errorf("the largest %s has %d GiB, %d are sold", s, below, s.MaxSizeGB())
		}
	}
	if n := len(UltraSSDLRS.Sizes()); n != 0 {
		t.Errorf("Ultra has %d sizes", n)
	}
}
