package tintype

import "strings"

// SKU is the kind of storage that a client asks for by name. All are kept alike here; what a sku decides is what may be
// asked for and which performance is shown.
type SKU string

// The skus.
const (
	StandardLRS    SKU = "Standard_LRS"
	StandardZRS    SKU = "Standard_ZRS"
	StandardSSDLRS SKU = "StandardSSD_LRS"
	StandardSSDZRS SKU = "StandardSSD_ZRS"
	PremiumLRS     SKU = "Premium_LRS"
	PremiumZRS     SKU = "Premium_ZRS"
	PremiumV2LRS   SKU = "PremiumV2_LRS"
	UltraSSDLRS    SKU = "UltraSSD_LRS"
)

// Tier is the word beside a sku's name: "Standard", "Premium" or "Ultra".
func (s SKU) Tier() string {
	switch s {
	case StandardLRS, StandardZRS, StandardSSDLRS, StandardSSDZRS:
		return "Standard"
	case UltraSSDLRS:
		return "Ultra"
	}
	return "Premium"
}

// Zoned tells that the sku keeps copies in several zones, and so exists only in regions that have them.
func (s SKU) Zoned() bool { return strings.HasSuffix(string(s), "_ZRS") }

// Adjustable tells that the sku's performance is set by the client, not by size.
func (s SKU) Adjustable() bool { return s == PremiumV2LRS || s == UltraSSDLRS }

// SKUs lists, in the order of their names, the skus that the kind has in the region.
func (k Kind) SKUs(r Region) []SKU {
	all := []SKU{PremiumV2LRS, PremiumLRS, PremiumZRS, StandardSSDLRS, StandardSSDZRS, StandardLRS, UltraSSDLRS}
	if k == KindSnapshot {
		all = []SKU{PremiumLRS, StandardLRS, StandardZRS}
	}
	var have []SKU
	for _, s := range all {
		if r.Zones || !s.Zoned() {
			have = append(have, s)
		}
	}
	return have
}

// CheckSKU finds the sku of a disk or snapshot in the region by its name, in any case.
func (k Kind) CheckSKU(r Region, name string) (SKU, error) {
	have := k.SKUs(r)
	words := make([]string, len(have))
	for i, s := range have {
		if strings.EqualFold(string(s), name) {
			return s, nil
		}
		words[i] = string(s)
	}
	noun := "Disk"
	if k == KindSnapshot {
		noun = "Snapshot"
	}
	return "", InvalidParameter("sku",
		"SKU %.64s is not supported for resource type %s in this region. Supported SKUs for this region are %s",
		name, noun, strings.Join(words, ","))
}

// CheckIncrementalSKU refuses what incremental snapshots are never kept on. Source: Azure's page on incremental snapshots,
// "always use standard HDD storage, irrespective of the storage type of the disk".
func CheckIncrementalSKU(name string) error {
	if !strings.EqualFold(name, string(PremiumLRS)) {
		return nil
	}
	return InvalidParameter("sku",
		"SKU %s is not supported for incremental snapshots, which are always kept on standard storage. Supported SKUs are %s,%s",
		PremiumLRS, StandardLRS, StandardZRS)
}

// Performance is what a disk of a sku and size is shown to reach.
type Performance struct {
	Tier       string // "" when the sku has none
	IOPS, MBps int64
	// Of all hosts together that share the disk without writing to it; Ultra and Premium SSD v2 alone.
	IOPSRead, MBpsRead int64
}

// premium lists the tiers of Premium SSD: the largest size in GiB of each, its IOPS and MB/s. Up to P4, P15 and P30 as
// recorded; the others from Azure's published table.
func premiumTiers() []struct {
	SizeGB int64
	Performance
} {
	return []struct {
		SizeGB int64
		Performance
	}{
		{4, Performance{Tier: "P1", IOPS: 120, MBps: 25}},
		{8, Performance{Tier: "P2", IOPS: 120, MBps: 25}},
		{16, Performance{Tier: "P3", IOPS: 120, MBps: 25}},
		{32, Performance{Tier: "P4", IOPS: 120, MBps: 25}},
		{64, Performance{Tier: "P6", IOPS: 240, MBps: 50}},
		{128, Performance{Tier: "P10", IOPS: 500, MBps: 100}},
		{256, Performance{Tier: "P15", IOPS: 1100, MBps: 125}},
		{512, Performance{Tier: "P20", IOPS: 2300, MBps: 150}},
		{1024, Performance{Tier: "P30", IOPS: 5000, MBps: 200}},
		{2048, Performance{Tier: "P40", IOPS: 7500, MBps: 250}},
		{4096, Performance{Tier: "P50", IOPS: 7500, MBps: 250}},
		{8192, Performance{Tier: "P60", IOPS: 16000, MBps: 500}},
		{16384, Performance{Tier: "P70", IOPS: 18000, MBps: 750}},
		{MaxSizeGB, Performance{Tier: "P80", IOPS: 20000, MBps: 900}},
	}
}

// Performance says what is shown of a disk of the size.
func (s SKU) Performance(sizeGB int64) Performance {
	switch s {
	case PremiumLRS, PremiumZRS:
		for _, t := range premiumTiers() {
			if sizeGB <= t.SizeGB {
				return t.Performance
			}
		}
		return Performance{Tier: "P80", IOPS: 20000, MBps: 900}
	case StandardSSDLRS, StandardSSDZRS:
		return largeStandard(sizeGB, Performance{Tier: "", IOPS: 500, MBps: 100})
	case PremiumV2LRS:
		return Performance{IOPS: 3000, MBps: 125, IOPSRead: 3000, MBpsRead: 125}
	case UltraSSDLRS:
		return Performance{IOPS: 100, MBps: 13, IOPSRead: 100, MBpsRead: 13}
	}
	return largeStandard(sizeGB, Performance{Tier: "", IOPS: 500, MBps: 60})
}

// plus raises a premium disk of P30 and more that was created with performancePlus. P30 as recorded, the larger ones
// from Azure's published table.
func (p Performance) plus() Performance {
	switch rank := tierRank(p.Tier); {
	case rank == tierRank("P30"):
		p.IOPS, p.MBps = 8000, 300
	case rank == tierRank("P40"):
		p.IOPS, p.MBps = 20000, 600
	case rank > tierRank("P40"):
		p.IOPS, p.MBps = 20000, 900
	}
	return p
}

// largeStandard raises the performance of a standard disk above 4 TiB, as Azure's published table does.
func largeStandard(sizeGB int64, small Performance) Performance {
	switch {
	case sizeGB <= 4096:
		return small
	case sizeGB <= 8192:
		return Performance{Tier: "", IOPS: 1300, MBps: 300}
	}
	return Performance{Tier: "", IOPS: 2000, MBps: 500}
}

// tierRank is the place of a premium tier's name in the order of size, or -1.
func tierRank(name string) int {
	for i, t := range premiumTiers() {
		if t.Tier == name {
			return i
		}
	}
	return -1
}
