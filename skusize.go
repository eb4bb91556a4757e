package tintype

import "strings"

// Size is one of the sizes in which disks of a sku are sold: one of MinGB GiB or less is sold as the size before.
type Size struct {
	Name         string // P10, S4, E80
	MinGB, MaxGB int64  // above MinGB, up to MaxGB
	Performance  Performance
}

// Sizes lists a sku's sizes, the smallest first; none of one whose size and performance are chosen apart. Those of Standard SSD are as
// large as Premium SSD's; Standard HDD begins at S4. Source: Azure's published tables of disk types.
func (s SKU) Sizes() []Size {
	var letter string
	switch s {
	case PremiumLRS, PremiumZRS:
		letter = "P"
	case StandardSSDLRS, StandardSSDZRS:
		letter = "E"
	case StandardLRS, StandardZRS:
		letter = "S"
	default:
		return nil
	}
	const smallestHDD = 32
	var all []Size
	below := int64(0)
	for _, t := range premiumTiers() {
		if letter == "S" && t.SizeGB < smallestHDD {
			continue
		}
		all = append(all, Size{
			Name: letter + strings.TrimPrefix(t.Tier, "P"), MinGB: below, MaxGB: t.SizeGB, Performance: s.Performance(t.SizeGB),
		})
		below = t.SizeGB
	}
	return all
}
