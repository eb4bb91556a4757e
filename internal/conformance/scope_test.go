package conformance

import (
	"net/url"
	"regexp"
	"strings"

	"tintype/internal/vault"
)

// subject is what an exchange is about.
type subject struct {
	kind string // "Microsoft.Compute/disks", or the host of another service
	name string // lower-case id of the resource, "" for lists
	op   string // recorded id of the operation that is polled
}

var (
	providerRE  = regexp.MustCompile(`(?i)/providers/([^/]+)/(.+)$`)
	operationRE = regexp.MustCompile(`(?i)/DiskOperations/([0-9a-f-]{36})`)
	// machineRE matches the operations of virtual machines, images and restore points.
	machineRE = regexp.MustCompile(`(?i)/providers/Microsoft.Compute/locations/[^/]+/operations/([0-9a-f-]{36})`)
)

const armHost = "management.azure.com"

func subjectOf(method string, u *url.URL) subject {
	if strings.HasSuffix(u.Host, "."+publicVaults) {
		return subject{kind: publicVaults}
	}
	if u.Host != armHost && u.Host != "" { // Azure PowerShell records no host
		return subject{kind: u.Host}
	}
	if m := operationRE.FindStringSubmatch(u.Path); m != nil {
		return subject{kind: diskOperations, op: m[1]}
	}
	if m := machineRE.FindStringSubmatch(u.Path); m != nil {
		return subject{kind: machineOperations, op: m[1]}
	}
	at := strings.LastIndex(strings.ToLower(u.Path), "/providers/")
	if at < 0 {
		return plainSubject(u.Path)
	}
	m := providerRE.FindStringSubmatch(u.Path[at:])
	if m == nil {
		return subject{kind: "providers" + u.Path[at+len("/providers"):]}
	}
	part := strings.Split(m[2], "/")
	s := subject{kind: m[1] + "/" + part[0]}
	if strings.EqualFold(part[0], "locations") && len(part) > 2 {
		s.kind += "/" + part[2]
		return s
	}
	if len(part) >= 2 {
		s.name = strings.ToLower(u.Path[:at] + "/providers/" + m[1] + "/" + part[0] + "/" + part[1])
	}
	if len(part) >= 3 && !(method == "POST" && len(part) == 3) && part[2] != "associatedResources" {
		s.kind += "/" + part[2]
	}
	return s
}

func plainSubject(path string) subject {
	part := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(part) == 4 && strings.EqualFold(part[2], "resourceGroups"):
		return subject{kind: resourceGroups, name: strings.ToLower(path)}
	case len(part) >= 3:
		return subject{kind: part[2]}
	}
	return subject{kind: "subscriptions"}
}

const (
	diskOperations = "Microsoft.Compute/locations/DiskOperations"
	resourceGroups = "resourceGroups"
	// machineOperations are ours when what they do is.
	machineOperations = "Microsoft.Compute/locations/operations"
)

// ours are the subjects that this product answers for, and that its number is counted over.
var ours = []string{
	vault.Type, publicVaults,
	"Microsoft.Compute/disks", "Microsoft.Compute/snapshots", "Microsoft.Compute/diskAccesses",
	"Microsoft.Compute/diskEncryptionSets", diskOperations, resourceGroups, "operationresults", "resources",
	"Microsoft.Compute/images", "Microsoft.Compute/restorePointCollections", "Microsoft.Compute/restorePointCollections/restorePoints",
}

// others are the subjects of the recordings that this product does not answer for, with the reason. A subject that is in
// neither list fails the test.
var others = map[string]string{
	"Microsoft.Compute/virtualMachines":                 "virtual machines are not part of the product yet",
	"Microsoft.Compute/virtualMachineScaleSets":         "virtual machines are not part of the product yet",
	machineOperations:                                   "operations of virtual machines",
	"Microsoft.Compute/locations/publishers":            "Azure's marketplace of images",
	"Microsoft.Compute/locations/vmSizes":               "sizes of virtual machines",
	"providers/Microsoft.Compute":                       "lists every type of the provider; most are not the product's",
	"providers/Microsoft.Network":                       "networks are another provider's",
	"Microsoft.KeyVault/vaults/providers":               "roles on key vaults",
	"Microsoft.Authorization/roleAssignments":           "roles on key vaults",
	"Microsoft.Authorization/roleDefinitions":           "roles on key vaults",
	"Microsoft.Network/locations/operations":            "networks are another provider's",
	"Microsoft.Network/networkInterfaces":               "networks are another provider's",
	"Microsoft.Network/publicIPAddresses":               "networks are another provider's",
	"Microsoft.Network/virtualNetworks":                 "networks are another provider's",
	"Microsoft.Network/virtualNetworks/subnets":         "networks are another provider's",
	"Microsoft.Resources/deployments/operationStatuses": "templates of virtual machines with their networks, which are not part of the product",
	"Microsoft.Resources/deployments":                   "templates of virtual machines with their networks, which are not part of the product",
	"Microsoft.Storage/storageAccounts":                 "storage accounts are another provider's",
	"graph.microsoft.com":                               "Microsoft Graph, the directory of people",
	"raw.githubusercontent.com":                         "a list of image names on the web",
}

// otherReason says why the subject is not ours, if it is known not to be.
func otherReason(kind string) (string, bool) {
	for k, why := range others {
		if strings.EqualFold(k, kind) || strings.HasSuffix(kind, "."+k) {
			return why, true
		}
	}
	return "", false
}

func isOurs(kind string) bool {
	for _, k := range ours {
		if strings.EqualFold(k, kind) {
			return true
		}
	}
	return false
}
