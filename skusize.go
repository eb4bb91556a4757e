package tintype

import "strings"

// Size is one of the sizes in which disks of a sku are sold: one of MinGB GiB or less is sold as the size before.
type Size struct {
	Name         string // P10, S4, E80
	MinGB, MaxGB int64  // above MinGB, up to MaxGB
	Performance  Performance
	Burst        Burst
}

// Burst is what a small disk may do for a while on credits that it earned at rest; none for what bursts on demand, or never. Nothing
// here holds disks to it, as nothing holds them to their performance.
type Burst struct{ IOPS, MBps, Minutes int64 }

// burst of a disk of the size. Source: Azure's published tables of disk types.
func (s SKU) burst(gb int64) Burst {
	premium, standard := s == PremiumLRS || s == PremiumZRS, s == StandardSSDLRS || s == StandardSSDZRS
	switch {
	case premium && gb <= 512:
		return Burst{IOPS: 3500, MBps: 170, Minutes: 30}
	case standard && gb <= 512:
		return Burst{IOPS: 600, MBps: 150, Minutes: 30}
	case standard && gb <= 1024:
		return Burst{IOPS: 1000, MBps: 250, Minutes: 30}
	}
	return Burst{}
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
			Name: letter + strings.TrimPrefix(t.Tier, "P"), MinGB: below, MaxGB: t.SizeGB, Performance: s.Performance(t.SizeGB), Burst: s.burst(t.SizeGB),
		})
		below = t.SizeGB
	}
	return all
}
