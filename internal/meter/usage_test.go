package meter

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// TestAzurePageExample is the example of Azure's page: a disk of 64 GiB that holds 10 GiB is snapshotted. The daily report
// shows 10 GiB by the days of the month, and the month comes to 10.
func TestAzurePageExample(t *testing.T) {
	for _, c := range []struct {
		month time.Month
		year  int
		shown string
	}{
		{time.January, 2026, "0.3226"}, {time.April, 2026, "0.3333"}, {time.February, 2026, "0.3571"}, {time.February, 2028, "0.3448"},
	} {
		w := newWorld(t, time.Date(c.year, c.month, 1, 0, 0, 0, 0, time.UTC))
		w.volumes.grain = 64 << 20
		disk := w.disk("data", 64, tintype.PremiumLRS)
		w.volumes.write(disk.Store, 0, 160)
		snap := w.snapshot("first", disk, tintype.StandardLRS, uuid.Nil)
		first, next := day(c.year, c.month, 1), day(c.year, c.month+1, 1)
		for d := first; d < next; d++ {
			w.clock = d.Time().Add(9*time.Hour + 17*time.Minute)
			w.tick()
		}
		w.clock = next.Time().Add(time.Hour)
		w.tick()
		rows := w.rows(Query{Scope: Scope{Resource: snap.ID.String()}, From: first, To: next})
		if len(rows) != int(next-first) {
			t.Errorf("%v: %d rows", c.month, len(rows))
		}
		var sum Quantity
		var cost Money
		for _, r := range rows {
			if shown := fmt.Sprintf("%.4f", float64(r.Quantity)/nano); shown != c.shown {
				t.Errorf("%v: %v is %s, want %s", c.month, r.Day, shown, c.shown)
			}
			sum += r.Quantity
			cost = cost.Plus(r.Cost())
		}
		if sum != 10*nano || cost.String() != "0.5" {
			t.Errorf("%v: the month comes to %v GiB and %v, want 10 and 0.5", c.month, sum, cost)
		}
		// The disk is billed beside it, by its tier.
		disks := w.rows(Query{Scope: Scope{Resource: disk.ID.String()}, From: first, To: next})
		sum = 0
		for _, r := range disks {
			if r.Product.Meter != "P6 LRS Disk" {
				t.Errorf("the disk is billed as %v", r.Product)
			}
			sum += r.Quantity
		}
		if sum != nano {
			t.Errorf("the disk's month is %v", sum)
		}
	}
}

// TestIncremental bills an incremental snapshot by its delta, and hands a deleted one's bytes to the next.
func TestIncremental(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	w.volumes.grain = tintype.GiB
	disk := w.disk("data", 64, tintype.StandardLRS)
	family := uuid.New()
	w.volumes.write(disk.Store, 0, 10)
	one := w.snapshot("one", disk, tintype.StandardZRS, family)
	w.volumes.write(disk.Store, 8, 4) // two again, two new
	two := w.snapshot("two", disk, tintype.StandardZRS, family)
	w.volumes.write(disk.Store, 0, 1)
	three := w.snapshot("three", disk, tintype.StandardZRS, family)
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 15)
	w.remove(two)
	w.tick()
	w.clock = time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC)
	w.tick()
	for _, c := range []struct {
		v    tintype.Volume
		want string
	}{{one, "10"}, {two, "2"}, {three, "3"}} { // three: 1 for half a month, then 5
		var sum Quantity
		for _, r := range w.rows(Query{Scope: Scope{Resource: c.v.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)}) {
			sum += r.Quantity
		}
		if sum.String() != c.want {
			t.Errorf("%s: %v GiB-months, want %s", c.v.ID.Name, sum, c.want)
		}
	}
}

// TestProducts names the meters that Azure's price list has.
func TestProducts(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	disk := w.disk("data", 64, tintype.StandardLRS)
	snap := w.snapshot("p", disk, tintype.PremiumLRS, uuid.Nil)
	upload := tintype.Volume{State: tintype.ReadyToUpload, SKU: tintype.PremiumLRS, Size: 64 * tintype.GiB, ID: disk.ID}
	raised := tintype.Volume{SKU: tintype.PremiumLRS, Size: 64 * tintype.GiB, ID: disk.ID, Settings: tintype.Settings{Tier: "P30"}}
	for _, c := range []struct {
		v                tintype.Volume
		name, sku, meter string
	}{
		{snap, "Premium SSD Managed Disks", "Snapshots LRS", "LRS Snapshots"},
		{disk, "Standard HDD Managed Disks", "S6 LRS", "S6 LRS Disk"},
		{upload, "Standard HDD Managed Disks", "S6 LRS", "S6 LRS Disk"},
		{raised, "Premium SSD Managed Disks", "P30 LRS", "P30 LRS Disk"},
		{tintype.Volume{SKU: tintype.StandardSSDZRS, Size: 5 * tintype.GiB, ID: disk.ID}, "Standard SSD Managed Disks", "E2 ZRS", "E2 ZRS Disk"},
		{tintype.Volume{SKU: tintype.StandardLRS, Size: 1, ID: disk.ID}, "Standard HDD Managed Disks", "S4 LRS", "S4 LRS Disk"},
	} {
		got := chargeOf(resourceOf(c.v, 0), sampleOf(c.v)).product
		if got.Name != c.name || got.SKU != c.sku || got.Meter != c.meter {
			t.Errorf("%v is billed as %+v", c.v.SKU, got)
		}
	}
	if missing := w.sheet.Missing(); len(missing) > 0 {
		t.Errorf("the example sheet lacks %v", missing)
	}
}
