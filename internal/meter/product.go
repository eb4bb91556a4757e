package meter

import (
	"strconv"

	"github.com/google/uuid"

	"tintype"
)

// Product is what is sold: a row of the price sheet. Its words are those of Azure's price list.
type Product struct {
	Name  string // "Standard HDD Managed Disks"
	SKU   string // "Snapshots LRS"
	Meter string // "LRS Snapshots"
	Unit  string // "1 GB/Month" or "1/Month"
}

// Units of what is sold.
const (
	perGB   = "1 GB/Month"
	perDisk = "1/Month"
)

// ID is the meter's GUID: always the same for the same product and region.
func (p Product) ID(location string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("tintype:meter:"+p.Name+"|"+p.SKU+"|"+p.Meter+"|"+location))
}

// blocksPerGiB is how many blocks of the store, of 4 KiB each, a GiB has: the grain in which used bytes are counted.
const (
	blockSize    = 4096
	blocksPerGiB = int64(tintype.GiB / blockSize)
)

// charge is what a sample costs while it lasts: units of a product, of which per make one.
type charge struct {
	product Product
	units   int64
	per     int64
}

// chargeOf decides what a volume is billed for. The rules are Azure's ("Create a snapshot of an Azure managed disk", "Azure
// managed disk billing"): a snapshot by its used size, an incremental one by what it adds to the one before it; a disk by
// the tier that its provisioned size falls in, whatever is in it; Premium SSD v2 and Ultra by the provisioned GiB; a disk
// that waits for its upload as Standard HDD. What could not be measured is billed as nothing.
func chargeOf(r *Resource, s Sample) charge {
	if r.Kind != tintype.KindDisk {
		used := s.Used
		if r.Incremental {
			used = s.Incremental
		}
		return charge{snapshotProduct(s.SKU), (max(used, 0) + blockSize - 1) / blockSize, blocksPerGiB}
	}
	sku := s.SKU
	if s.State == tintype.ReadyToUpload || s.State == tintype.ActiveUpload {
		sku = tintype.StandardLRS
	}
	gib := (s.Provisioned + tintype.GiB - 1) / tintype.GiB
	switch sku {
	case tintype.PremiumV2LRS:
		return charge{Product{"Azure Premium SSD v2", "Premium LRS", "Premium LRS Provisioned Capacity", perGB}, gib, 1}
	case tintype.UltraSSDLRS:
		return charge{Product{"Ultra Disks", "Ultra LRS", "Ultra LRS Provisioned Capacity", perGB}, gib, 1}
	}
	tier := diskTier(sku, s.Tier, gib)
	return charge{Product{family(sku), tier + " " + redundancy(sku), tier + " " + redundancy(sku) + " Disk", perDisk}, 1, 1}
}

func snapshotProduct(sku tintype.SKU) Product {
	r := redundancy(sku)
	return Product{family(sku), "Snapshots " + r, r + " Snapshots", perGB}
}

// family is the name under which a sku's disks and snapshots are sold.
func family(sku tintype.SKU) string {
	switch sku {
	case tintype.PremiumLRS, tintype.PremiumZRS:
		return "Premium SSD Managed Disks"
	case tintype.StandardSSDLRS, tintype.StandardSSDZRS:
		return "Standard SSD Managed Disks"
	}
	return "Standard HDD Managed Disks"
}

func redundancy(sku tintype.SKU) string {
	if sku.Zoned() {
		return "ZRS"
	}
	return "LRS"
}

// tierSizes are the largest sizes in GiB of the tiers, by their numbers.
func tierSizes() []struct{ number, gib int64 } {
	return []struct{ number, gib int64 }{
		{1, 4},
		{2, 8},
		{3, 16},
		{4, 32},
		{6, 64},
		{10, 128},
		{15, 256},
		{20, 512},
		{30, 1024},
		{40, 2048},
		{50, 4096},
		{60, 8192},
		{70, 16384},
		{80, tintype.MaxSizeGB},
	}
}

// diskTier names the tier of a disk: E for Standard SSD, P for Premium SSD, S for Standard HDD, whose smallest is S4. A
// Premium disk whose performance tier was raised is billed by that, which the sample has.
func diskTier(sku tintype.SKU, raised string, gib int64) string {
	letter, least := "S", int64(4)
	switch sku {
	case tintype.PremiumLRS, tintype.PremiumZRS:
		if raised != "" {
			return raised
		}
		letter, least = "P", 1
	case tintype.StandardSSDLRS, tintype.StandardSSDZRS:
		letter, least = "E", 1
	}
	all := tierSizes()
	for _, t := range all {
		if t.number >= least && gib <= t.gib {
			return letter + strconv.FormatInt(t.number, 10)
		}
	}
	return letter + strconv.FormatInt(all[len(all)-1].number, 10)
}

// products lists all that can be sold in any region, in the order of the sheet.
func products() []Product {
	var all []Product
	for _, sku := range []tintype.SKU{tintype.StandardLRS, tintype.StandardZRS, tintype.PremiumLRS, tintype.PremiumZRS} {
		all = append(all, snapshotProduct(sku))
	}
	for _, sku := range []tintype.SKU{
		tintype.StandardLRS, tintype.StandardSSDLRS, tintype.StandardSSDZRS, tintype.PremiumLRS, tintype.PremiumZRS,
	} {
		seen := ""
		for _, t := range tierSizes() {
			c := chargeOf(&Resource{Kind: tintype.KindDisk}, Sample{SKU: sku, Provisioned: t.gib * tintype.GiB})
			if c.product.SKU != seen {
				all = append(all, c.product)
			}
			seen = c.product.SKU
		}
	}
	for _, sku := range []tintype.SKU{tintype.PremiumV2LRS, tintype.UltraSSDLRS} {
		all = append(all, chargeOf(&Resource{Kind: tintype.KindDisk}, Sample{SKU: sku, Provisioned: tintype.GiB}).product)
	}
	return all
}
