package meter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// TestBudget crosses thresholds as time goes by: each is told once in a period, until the telling has worked, over restarts too.
func TestBudget(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	w.volumes.grain = tintype.GiB
	disk := w.disk("data", 64, tintype.PremiumLRS) // 10.21 a month
	w.volumes.write(disk.Store, 0, 40)
	snap := w.snapshot("full", disk, tintype.StandardLRS, uuid.Nil) // 2 a month
	var told []string
	broken := false
	attach := func() {
		w.meter.opt.Alert = func(_ context.Context, a Alert) error {
			if broken {
				return errors.New("nobody listens")
			}
			told = append(told, a.From.String()+" "+a.Notification+" "+a.Spend.Rounded())
			return nil
		}
	}
	attach()
	b := Budget{
		Scope: Scope{Subscription: testSub, Group: "lab"}, Name: "b", Amount: 2 * nano, Grain: "Monthly", From: day(2026, 4, 1), To: day(2027, 1, 1),
		Only: &Condition{Dimension: "ResourceId", Values: []string{snap.ID.String()}},
		Notifications: map[string]Notification{
			"half":     {Enabled: true, Operator: "GreaterThanOrEqualTo", Threshold: 50 * nano},
			"forecast": {Enabled: true, Operator: "GreaterThan", Threshold: 99 * nano, Forecast: true},
			"never":    {Enabled: true, Operator: "GreaterThan", Threshold: 100 * nano},
			"off":      {Operator: "GreaterThan", Threshold: nano},
		},
	}
	if _, created, err := w.meter.PutBudget(t.Context(), b); err != nil || !created {
		t.Fatal(created, err)
	}
	broken = true
	for range 45 * 24 {
		w.tick()
		if err := w.meter.judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock = w.clock.Add(time.Hour)
		switch w.clock {
		case time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC):
			broken = false
		case time.Date(2026, 4, 20, 0, 0, 0, 0, time.UTC):
			w.reopen()
			attach()
		}
	}
	want := []string{
		"2026-04-01 forecast 2.00", "2026-04-01 half 1.00", "2026-05-01 forecast 2.00",
	}
	if len(told) != len(want) {
		t.Fatalf("told %q", told)
	}
	for i := range want {
		if told[i] != want[i] {
			t.Errorf("told %q, want %q", told[i], want[i])
		}
	}
	spend, ok, err := w.meter.Spend(t.Context(), b)
	if err != nil || !ok || spend.Forecast.String() != "2" {
		t.Errorf("spend %v %v %v", spend, ok, err)
	}
	if err := w.meter.DeleteBudget(t.Context(), b.Scope, "B"); err != nil {
		t.Error(err)
	}
	if _, err := w.meter.Budget(t.Context(), b.Scope, "b"); err == nil {
		t.Error("the budget is still there")
	}
}

// TestForecastIsTheBill: what is forecast while nothing changes is what the bill says in the end.
func TestForecastIsTheBill(t *testing.T) {
	w := newWorld(t, time.Date(2024, 2, 7, 3, 0, 0, 0, time.UTC))
	disk := w.disk("data", 64, tintype.PremiumLRS)
	w.volumes.write(disk.Store, 0, 1234)
	w.snapshot("one", disk, tintype.StandardZRS, uuid.New())
	w.tick()
	q := Query{Scope: Scope{Subscription: testSub}, From: day(2024, 2, 1), To: day(2024, 3, 1), Until: day(2024, 3, 1).start()}
	forecast, err := w.meter.Bill(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	w.clock = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	w.tick()
	q.Until = 0
	bill, err := w.meter.Bill(t.Context(), q)
	if err != nil || bill.Total != forecast.Total || bill.Total.IsZero() {
		t.Errorf("the forecast was %s, the bill is %s, %v", forecast.Total, bill.Total, err)
	}
}

// TestExplain tells of a deleted snapshot and of the one that has its name now, and what deleting an incremental one saves.
func TestExplain(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 6, 0, 0, 0, time.UTC))
	w.volumes.grain = tintype.GiB
	disk := w.disk("data", 64, tintype.StandardLRS)
	w.volumes.write(disk.Store, 0, 8)
	old := w.snapshot("s", disk, tintype.StandardLRS, uuid.Nil)
	w.tick()
	w.clock = w.clock.Add(6 * time.Hour)
	w.remove(old)
	family := uuid.New()
	w.snapshot("first", disk, tintype.StandardLRS, family)
	w.volumes.write(disk.Store, 6, 4)
	now := w.snapshot("s", disk, tintype.StandardLRS, family)
	w.volumes.write(disk.Store, 6, 3) // two of the four are written again, and one beside them
	w.snapshot("third", disk, tintype.StandardLRS, family)
	w.tick()
	w.clock = w.clock.Add(2 * time.Hour)
	all, err := w.meter.Explain(t.Context(), now.ID, day(2026, 4, 1))
	if err != nil || len(all) != 2 {
		t.Fatalf("%d explanations, %v", len(all), err)
	}
	first, second := all[0], all[1]
	if first.Saving != nil || len(first.Steps) != 1 || first.Steps[0].Bytes != 8*tintype.GiB || first.Steps[0].To.Hour() != 12 {
		t.Errorf("the deleted one: %+v", first)
	}
	if len(second.Steps) != 1 || second.Steps[0].Bytes != 4*tintype.GiB || !second.Steps[0].Since.Equal(second.Resource.Born) {
		t.Errorf("the present one: %+v", second)
	}
	// third holds 3 that this one has not; without this one, it holds 4 (6, 7, 8, 9) beyond the first: one of the four stays.
	if second.Saving == nil || second.Saving.Monthly.String() != "0.15" {
		t.Errorf("deleting it saves %+v, want 3 GiB for a month", second.Saving)
	}
}
