package tintype

import (
	"fmt"
	"slices"
	"strings"
)

// Region is a place that a client may name as location.
type Region struct {
	Name        string // as in resources: "westus2"
	DisplayName string // "West US 2"
	Zones       bool   // whether it has the availability zones "1", "2" and "3"
}

// Regions lists every region in the order of its name. Source: Azure's reliability documentation, regions with and
// without availability zones (September 2025).
func Regions() []Region {
	return []Region{
		{"australiacentral", "Australia Central", false},
		{"australiacentral2", "Australia Central 2", false},
		{"australiaeast", "Australia East", true},
		{"australiasoutheast", "Australia Southeast", false},
		{"austriaeast", "Austria East", true},
		{"belgiumcentral", "Belgium Central", true},
		{"brazilsouth", "Brazil South", true},
		{"brazilsoutheast", "Brazil Southeast", false},
		{"canadacentral", "Canada Central", true},
		{"canadaeast", "Canada East", false},
		{"centralindia", "Central India", true},
		{"centralus", "Central US", true},
		{"chilecentral", "Chile Central", true},
		{"denmarkeast", "Denmark East", true},
		{"eastasia", "East Asia", true},
		{"eastus", "East US", true},
		{"eastus2", "East US 2", true},
		{"francecentral", "France Central", true},
		{"francesouth", "France South", false},
		{"germanynorth", "Germany North", false},
		{"germanywestcentral", "Germany West Central", true},
		{"indonesiacentral", "Indonesia Central", true},
		{"israelcentral", "Israel Central", true},
		{"italynorth", "Italy North", true},
		{"japaneast", "Japan East", true},
		{"japanwest", "Japan West", true},
		{"koreacentral", "Korea Central", true},
		{"koreasouth", "Korea South", false},
		{"malaysiawest", "Malaysia West", true},
		{"mexicocentral", "Mexico Central", true},
		{"newzealandnorth", "New Zealand North", true},
		{"northcentralus", "North Central US", false},
		{"northeurope", "North Europe", true},
		{"norwayeast", "Norway East", true},
		{"norwaywest", "Norway West", false},
		{"polandcentral", "Poland Central", true},
		{"qatarcentral", "Qatar Central", true},
		{"southafricanorth", "South Africa North", true},
		{"southafricawest", "South Africa West", false},
		{"southcentralus", "South Central US", true},
		{"southeastasia", "Southeast Asia", true},
		{"southindia", "South India", false},
		{"spaincentral", "Spain Central", true},
		{"swedencentral", "Sweden Central", true},
		{"switzerlandnorth", "Switzerland North", true},
		{"switzerlandwest", "Switzerland West", false},
		{"uaecentral", "UAE Central", false},
		{"uaenorth", "UAE North", true},
		{"uksouth", "UK South", true},
		{"ukwest", "UK West", false},
		{"westcentralus", "West Central US", false},
		{"westeurope", "West Europe", true},
		{"westindia", "West India", false},
		{"westus", "West US", false},
		{"westus2", "West US 2", true},
		{"westus3", "West US 3", true},
	}
}

// FindRegion looks a region up by name or display name, in any case.
func FindRegion(name string) (Region, bool) {
	want := strings.ToLower(strings.ReplaceAll(name, " ", ""))
	all := Regions()
	i, ok := slices.BinarySearchFunc(all, want, func(r Region, s string) int { return strings.Compare(r.Name, s) })
	if !ok {
		return Region{}, false
	}
	return all[i], true
}

// RegionNames lists the regions' names, separated by commas, as error texts do.
func RegionNames() string {
	var names []string
	for _, r := range Regions() {
		names = append(names, r.Name)
	}
	return strings.Join(names, ",")
}

// LocationRequired refuses a new resource without a location.
func LocationRequired() *Error {
	return &Error{
		Kind: KindInvalid, Code: "LocationRequired", Target: "location",
		Message: "The location property is required for this definition.",
	}
}

// CheckLocation finds the region that a new resource of the given type names.
func CheckLocation(resourceType, location string) (Region, error) {
	if location == "" {
		return Region{}, LocationRequired()
	}
	r, ok := FindRegion(location)
	if !ok {
		return Region{}, &Error{
			Kind: KindInvalid, Code: "LocationNotAvailableForResourceType", Target: "location",
			Message: fmt.Sprintf("The provided location '%.64s' is not available for resource type '%s'. "+
				"List of available regions for the resource type is '%s'.", location, resourceType, RegionNames()),
		}
	}
	return r, nil
}

// CheckGroupLocation finds the region that a new resource group names.
func CheckGroupLocation(location string) (Region, error) {
	if location == "" {
		return Region{}, LocationRequired()
	}
	r, ok := FindRegion(location)
	if !ok {
		return Region{}, &Error{
			Kind: KindInvalid, Code: "LocationNotAvailableForResourceGroup", Target: "location",
			Message: fmt.Sprintf("The provided location '%.64s' is not available for resource group. "+
				"List of available regions is '%s'.", location, RegionNames()),
		}
	}
	return r, nil
}

// CheckZones says whether a disk may name zones in the region: at most one, and only where there are any.
func (r Region) CheckZones(id ResourceID, zones []string) error {
	if len(zones) == 0 {
		return nil
	}
	resource := id.Kind.Type() + "/" + id.Name
	switch {
	case !r.Zones:
		return &Error{
			Kind: KindInvalid, Code: "LocationNotSupportAvailabilityZones", Target: "zones",
			Message: fmt.Sprintf("The resource '%s' does not support availability zones at location '%s'.", resource, r.Name),
		}
	case len(zones) > 1:
		return &Error{
			Kind: KindInvalid, Code: "ResourceTypeNotSupportMultiZones", Target: "zones",
			Message: fmt.Sprintf("The resource type '%s' does not support multiple availability zones. "+
				"The provided zones are '%.64s'. Please provide a single availability zone.", id.Kind.Segment(), strings.Join(zones, ",")),
		}
	case zones[0] != "1" && zones[0] != "2" && zones[0] != "3":
		return &Error{
			Kind: KindInvalid, Code: "InvalidAvailabilityZone", Target: "zones",
			Message: fmt.Sprintf("The zone(s) '%.16s' for resource '%s' is not supported. The supported zones for location '%s' are '1,2,3'",
				zones[0], resource, r.Name),
		}
	}
	return nil
}
