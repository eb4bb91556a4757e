package arm

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"tintype"
)

type resourceSKU struct {
	ResourceType string          `json:"resourceType"`
	Name         string          `json:"name"`
	Tier         string          `json:"tier"`
	Size         string          `json:"size,omitempty"`
	Locations    []string        `json:"locations"`
	LocationInfo []skuLocation   `json:"locationInfo"`
	Capabilities []skuCapability `json:"capabilities"`
	Restrictions []struct{}      `json:"restrictions"`
}

type skuLocation struct {
	Location    string     `json:"location"`
	Zones       []string   `json:"zones"`
	ZoneDetails []struct{} `json:"zoneDetails"`
}

type skuCapability struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// skuType is the list of what kinds of storage there are, and where: made from the rules that requests are held to.
func skuType(volumes Volumes) Type {
	listSKUs := func(_ context.Context, c *Call) (Response, error) { return listSKUs(volumes, c) }
	return Type{
		Namespace: computeNamespace, Name: "skus", Global: true, Versions: []string{"2017-03-30", "2017-09-01", "2019-04-01", "2021-07-01"},
		Operations: []Operation{{Method: http.MethodGet, Path: InSubscription(computeNamespace + "/skus"), Do: listSKUs}},
	}
}

// locationFilterRE is the one filter that Azure takes here.
var locationFilterRE = regexp.MustCompile(`(?i)^\s*location\s+eq\s+'([^']*)'\s*$`)

func listSKUs(volumes Volumes, c *Call) (Response, error) {
	var only string
	if filter := c.Query.Get("$filter"); filter != "" {
		m := locationFilterRE.FindStringSubmatch(filter)
		if m == nil {
			return Response{}, gateway(http.StatusBadRequest, "InvalidFilterInQueryString",
				"Invalid $filter '%s' specified in the query string.", clip(filter))
		}
		only = m[1]
		if r, known := tintype.FindRegion(only); known {
			only = r.Name
		}
	}
	var out []resourceSKU
	for _, kind := range []tintype.Kind{tintype.KindDisk, tintype.KindSnapshot} {
		for _, r := range tintype.Regions() {
			if only != "" && !strings.EqualFold(only, r.Name) {
				continue
			}
			for _, sku := range kind.SKUs(volumes.Sold(r)) {
				out = append(out, skusIn(kind, r, sku)...)
			}
		}
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

// skusIn lists a sku in a region, of disks once for each size.
func skusIn(kind tintype.Kind, r tintype.Region, sku tintype.SKU) []resourceSKU {
	whole := skuIn(kind, r, sku)
	sizes := sku.Sizes()
	if kind != tintype.KindDisk || len(sizes) == 0 {
		whole.Capabilities = []skuCapability{capability("MinSizeGiB", tintype.MinSizeGB), capability("MaxSizeGiB", sku.MaxSizeGB())}
		if kind == tintype.KindDisk {
			whole.Capabilities = append(whole.Capabilities, capability("MaxValueOfMaxShares", sku.MaxShares(sku.MaxSizeGB())))
		}
		return []resourceSKU{whole}
	}
	all := make([]resourceSKU, len(sizes))
	for i, z := range sizes {
		all[i] = whole
		all[i].Size = z.Name
		all[i].Capabilities = []skuCapability{
			capability("MaxSizeGiB", z.MaxGB), capability("MinSizeGiB", z.MinGB),
			capability("MaxIOps", z.Performance.IOPS), capability("MinIOps", z.Performance.IOPS),
			capability("MaxBandwidthMBps", z.Performance.MBps), capability("MinBandwidthMBps", z.Performance.MBps),
			capability("MaxValueOfMaxShares", sku.MaxShares(z.MaxGB)),
		}
		if b := z.Burst; b != (tintype.Burst{}) {
			all[i].Capabilities = append(all[i].Capabilities, capability("MaxBurstIops", b.IOPS), capability("MaxBurstBandwidthMBps", b.MBps),
				capability("MaxBurstDurationInMin", b.Minutes))
		}
	}
	return all
}

func capability(name string, n int64) skuCapability {
	return skuCapability{Name: name, Value: strconv.FormatInt(n, 10)}
}

func skuIn(kind tintype.Kind, r tintype.Region, sku tintype.SKU) resourceSKU {
	at := skuLocation{Location: r.Name, Zones: []string{}, ZoneDetails: []struct{}{}}
	if r.Zones && !sku.Zoned() && kind == tintype.KindDisk {
		at.Zones = zones()
	}
	return resourceSKU{
		ResourceType: kind.Segment(), Name: string(sku), Tier: sku.Tier(), Locations: []string{r.Name}, LocationInfo: []skuLocation{at},
		Restrictions: []struct{}{},
	}
}
