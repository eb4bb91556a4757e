package tintype

import "fmt"

// Quota is how many of a sort of resource a subscription may have in a region.
type Quota struct {
	Name    string // such as StandardDiskCount
	Display string
	Kind    Kind
	SKU     SKU // "" counts all
	Limit   int64
}

// Quotas lists what is counted, with Azure's limits, in the order in which usages show them. Source: Azure's page on
// subscription limits.
func Quotas() []Quota {
	const volumes, sets = 50_000, 5_000
	return []Quota{
		{"StandardDiskCount", "Standard Storage Managed Disks", KindDisk, StandardLRS, volumes},
		{"StandardSSDDiskCount", "Standard SSD Storage Managed Disks", KindDisk, StandardSSDLRS, volumes},
		{"StandardSSDZRSDiskCount", "Standard SSD ZRS Storage Managed Disks", KindDisk, StandardSSDZRS, volumes},
		{"PremiumDiskCount", "Premium Storage Managed Disks", KindDisk, PremiumLRS, volumes},
		{"PremiumZRSDiskCount", "Premium ZRS Storage Managed Disks", KindDisk, PremiumZRS, volumes},
		{"PremiumV2DiskCount", "Premium SSD v2 Storage Managed Disks", KindDisk, PremiumV2LRS, 1_000},
		{"UltraSSDDiskCount", "Ultra SSD Storage Managed Disks", KindDisk, UltraSSDLRS, 1_000},
		{"StandardSnapshotCount", "Standard Storage Snapshots", KindSnapshot, StandardLRS, volumes},
		{"PremiumSnapshotCount", "Premium Storage Snapshots", KindSnapshot, PremiumLRS, volumes},
		{"ZRSSnapshotCount", "ZRS Storage Snapshots", KindSnapshot, StandardZRS, volumes},
		{"DiskEncryptionSetCount", "Disk Encryption Sets", KindEncryptionSet, "", sets},
	}
}

// QuotaOf finds what a resource of the kind and sku is counted as.
func QuotaOf(all []Quota, kind Kind, sku SKU) (Quota, bool) {
	for _, q := range all {
		if q.Kind == kind && q.SKU == sku {
			return q, true
		}
	}
	return Quota{}, false
}

// Exceeded refuses one more than there may be.
func (q Quota) Exceeded(location string, have int64) *Error {
	return &Error{
		Kind: KindConflict, Code: "OperationNotAllowed",
		Message: fmt.Sprintf("Operation could not be completed as it results in exceeding approved %s quota. Additional details - Location: %s, "+
			"Current Limit: %d, Current Usage: %d, Additional Required: 1, (Minimum) New Limit Required: %d.", q.Name, location, q.Limit, have, have+1),
	}
}
