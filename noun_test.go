package tintype_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tintype"
)

const sub = "11111111-2222-3333-4444-555555555555"

func FuzzParseResourceID(f *testing.F) {
	f.Add("/subscriptions/" + sub + "/resourceGroups/g/providers/Microsoft.Compute/disks/d")
	f.Add("subscriptions/" + strings.ToUpper(sub) + "/RESOURCEGROUPS/g/providers/microsoft.compute/SNAPSHOTS/s/")
	f.Add("/subscriptions/x/resourceGroups/g/providers/Microsoft.Compute/disks/d")
	f.Add("/subscriptions/" + sub + "/resourceGroups//providers/Microsoft.Compute/disks/")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := tintype.ParseResourceID(s)
		if !ok {
			return
		}
		again, ok := tintype.ParseResourceID(id.String())
		if !ok || again != id {
			t.Fatalf("%q reads as %+v, whose text reads as %+v %v", s, id, again, ok)
		}
		if !strings.EqualFold(strings.Trim(s, "/"), strings.Trim(id.String(), "/")) {
			t.Fatalf("%q reads as %s", s, id)
		}
		if id.Key() != again.Key() || !strings.HasPrefix(id.Key(), id.GroupKey()+"/") {
			t.Fatalf("keys of %+v: %s in %s", id, id.Key(), id.GroupKey())
		}
	})
}

// The rules for names are checked against the regular expressions by which Azure states them.
func FuzzNames(f *testing.F) {
	resource := regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z_.-]{0,78}[0-9A-Za-z_])?$`)
	group := regexp.MustCompile(`^[0-9A-Za-z_.()-]{0,89}[0-9A-Za-z_()-]$`)
	for _, s := range []string{"", "a", "-", "a-", "a.", "_a", "a_", "a b", "é", strings.Repeat("x", 80), strings.Repeat("x", 91), "a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []tintype.Kind{tintype.KindDisk, tintype.KindSnapshot} {
			check(t, tintype.CheckName(kind, s), resource.MatchString(s), s)
		}
		check(t, tintype.CheckGroupName(s), group.MatchString(s), s)
	})
}

func check(t *testing.T, err error, good bool, s string) {
	t.Helper()
	if (err == nil) != good {
		t.Fatalf("%q: %v", s, err)
	}
	var e *tintype.Error
	if err != nil && (!errors.As(err, &e) || e.Kind != tintype.KindInvalid || e.Code == "" || e.Target == "" || len(e.Message) > 600) {
		t.Fatalf("%q is refused with %#v", s, err)
	}
}

func TestRegions(t *testing.T) {
	all := tintype.Regions()
	if !slices.IsSortedFunc(all, func(a, b tintype.Region) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("regions are not in order, and are searched by halves")
	}
	zones := 0
	for _, r := range all {
		for _, name := range []string{r.Name, r.DisplayName, strings.ToUpper(r.Name)} {
			if got, ok := tintype.FindRegion(name); !ok || got != r {
				t.Errorf("%q finds %+v", name, got)
			}
		}
		if strings.ToLower(strings.ReplaceAll(r.DisplayName, " ", "")) != r.Name {
			t.Errorf("%s is shown as %s", r.Name, r.DisplayName)
		}
		if r.Zones {
			zones++
		}
	}
	if len(all) != 56 || zones != 38 {
		t.Errorf("%d regions, %d with zones", len(all), zones)
	}
	if _, ok := tintype.FindRegion("mars"); ok {
		t.Error("mars is a region")
	}
}

// What the real service showed of disks of these skus and sizes.
func TestPerformance(t *testing.T) {
	for _, c := range []struct {
		sku        tintype.SKU
		gb         int64
		tier       string
		iops, mbps int64
	}{
		{tintype.PremiumLRS, 1, "P1", 120, 25},
		{tintype.PremiumLRS, 4, "P1", 120, 25},
		{tintype.PremiumLRS, 5, "P2", 120, 25},
		{tintype.PremiumLRS, 10, "P3", 120, 25},
		{tintype.PremiumLRS, 30, "P4", 120, 25},
		{tintype.PremiumLRS, 200, "P15", 1100, 125},
		{tintype.PremiumLRS, 1024, "P30", 5000, 200},
		{tintype.PremiumLRS, 32767, "P80", 20000, 900},
		{tintype.StandardLRS, 10, "", 500, 60},
		{tintype.StandardSSDLRS, 4, "", 500, 100},
	} {
		p := tintype.Volume{SKU: c.sku, Size: c.gb * tintype.GiB}.Performance()
		if p.Tier != c.tier || p.IOPS != c.iops || p.MBps != c.mbps {
			t.Errorf("%s of %d GiB: %+v", c.sku, c.gb, p)
		}
	}
	for want, tier := range map[string]string{"P10": "P10", "P1": "P1", "P4": "P4"} {
		v := tintype.Volume{SKU: tintype.PremiumLRS, Size: tintype.GiB, Settings: tintype.Settings{Tier: want}}
		if got := v.Performance().Tier; got != tier {
			t.Errorf("tier %s asked for a small disk gives %s", want, got)
		}
	}
	grown := tintype.Volume{SKU: tintype.PremiumLRS, Size: 1024 * tintype.GiB, Settings: tintype.Settings{Tier: "P1"}}
	if got := grown.Performance().Tier; got != "P30" {
		t.Errorf("a tier below that of the size gives %s", got)
	}
}

func TestSKUs(t *testing.T) {
	west, _ := tintype.FindRegion("westus")
	west2, _ := tintype.FindRegion("westus2")
	for _, c := range []struct {
		kind   tintype.Kind
		region tintype.Region
		sku    string
		want   tintype.SKU
	}{
		{tintype.KindDisk, west, "premium_lrs", tintype.PremiumLRS},
		{tintype.KindDisk, west, "Premium_ZRS", ""},
		{tintype.KindDisk, west2, "Premium_ZRS", tintype.PremiumZRS},
		{tintype.KindDisk, west2, "Standard_ZRS", ""},
		{tintype.KindSnapshot, west2, "Standard_ZRS", tintype.StandardZRS},
		{tintype.KindSnapshot, west2, "UltraSSD_LRS", ""},
	} {
		got, err := c.kind.CheckSKU(c.region, c.sku)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s of a %s in %s: %q, %v", c.sku, c.kind.Noun(), c.region.Name, got, err)
		}
	}
}

// A copy of a volume shares nothing with it that either could change.
func TestCloneIsDeep(t *testing.T) {
	yes := true
	v := tintype.Volume{
		Zones: []string{"1"}, Tags: map[string]string{"a": "1"},
		Settings: tintype.Settings{
			PurchasePlan: &tintype.PurchasePlan{Name: "n"}, Capabilities: &tintype.Capabilities{Architecture: "x64", AcceleratedNetwork: &yes},
			SecurityProfile: &tintype.SecurityProfile{Type: "TrustedLaunch"},
		},
	}
	c := v.Clone()
	c.Zones[0], c.Tags["a"], c.Settings.PurchasePlan.Name = "2", "2", "other"
	c.Settings.Capabilities.Architecture, c.Settings.SecurityProfile.Type = "Arm64", ""
	if v.Zones[0] != "1" || v.Tags["a"] != "1" || v.Settings.PurchasePlan.Name != "n" || v.Settings.Capabilities.Architecture != "x64" ||
		v.Settings.SecurityProfile.Type != "TrustedLaunch" {
		t.Errorf("the original changed: %+v", v)
	}
}
