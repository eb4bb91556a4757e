package meter

import (
	"errors"
	"flag"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

var (
	historySeed  = flag.Uint64("meter.seed", 0, "play this history only")
	historyCount = flag.Uint64("meter.count", 6, "how many histories")
)

// TestHistories plays random histories of creations, writes, snapshots, deletions, resizes and changes of sku, over months
// and leap years, with restarts, crashes around commits, and a clock that jumps both ways. The report must be the integral
// of what a model saw, to the last digit, however it is asked for.
func TestHistories(t *testing.T) {
	first, last := uint64(1), *historyCount
	if *historySeed != 0 {
		first, last = *historySeed, *historySeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			newHistory(t, seed).play(80)
			if t.Failed() {
				t.Logf("again: go test ./internal/meter -run TestHistories -meter.seed=%d", seed)
			}
		})
	}
}

// history is a world under a random hand, beside a model that knows nothing of samples.
type history struct {
	*world
	rng    *rand.Rand
	lives  []*life
	disks  []tintype.Volume
	snaps  []tintype.Volume
	family map[uuid.UUID]uuid.UUID // of a disk
	names  int
	clock  int64 // the model's: never goes back
	from   Day   // when it began
	seen   []func()
	looked int64 // when the last round was
}

// life is what the model knows of a resource: from each moment on, what it is charged.
type life struct {
	unique uuid.UUID
	id     string
	steps  []step
}

type step struct {
	at      int64
	product Product
	amount  *big.Rat // units of the product; nil ends the life
}

func newHistory(t *testing.T, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 6))
	year := []int{2023, 2024, 2026, 2027, 2100}[rng.IntN(5)]
	month := time.Month(1 + rng.IntN(12))
	start := time.Date(year, month, 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.IntN(1e9), time.UTC)
	h := &history{world: newWorld(t, start), rng: rng, family: map[uuid.UUID]uuid.UUID{}}
	h.advance(h.world.clock)
	h.looked, h.from = h.clock, dayOf(h.clock)
	return h
}

func (h *history) advance(wall time.Time) { h.clock = max(h.clock, wall.UnixMilli()) }

func (h *history) play(steps int) {
	for range steps {
		h.pass()
		h.act()
		if h.rng.IntN(3) > 0 {
			h.look()
		}
		if h.rng.IntN(12) == 0 {
			h.meter.fault = nil
			h.reopen()
			h.settle(true)
		}
	}
	h.look()
	h.compare()
}

// pass lets time go by, or sets the clock.
func (h *history) pass() {
	var d time.Duration
	switch h.rng.IntN(10) {
	case 0:
		d = -time.Duration(h.rng.Int64N(int64(50 * time.Hour)))
	case 1:
		d = time.Duration(h.rng.Int64N(int64(40 * 24 * time.Hour)))
	case 2, 3, 4:
		d = time.Duration(h.rng.Int64N(int64(40 * time.Minute)))
	case 5:
		d = 0
	default:
		d = time.Duration(h.rng.Int64N(int64(60 * time.Hour)))
	}
	h.world.clock = h.world.clock.Add(d)
}

// look has the meter look at the world, sometimes crashing at a commit.
func (h *history) look() {
	if h.rng.IntN(6) == 0 {
		broken := errors.New("crash")
		point, after := []string{"before commit", "after commit"}[h.rng.IntN(2)], h.rng.IntN(2)
		h.meter.fault = func(p string) error {
			if p != point {
				return nil
			}
			if after--; after >= 0 {
				return nil
			}
			return broken
		}
		if err := h.meter.Tick(h.t.Context()); err != nil && !errors.Is(err, broken) {
			h.t.Fatal(err)
		}
		// Whatever was committed is what a start finds; the next one takes the rest.
		h.reopen()
		h.settle(true)
		return
	}
	h.tick()
	h.settle(false)
}

// settle moves the model to what the meter has seen: changes in their order, then a round.
func (h *history) settle(restarted bool) {
	for _, f := range h.seen {
		f()
	}
	h.seen = nil
	now := max(h.clock, h.world.clock.UnixMilli())
	hour := time.Hour.Milliseconds()
	if restarted || now >= h.looked/hour*hour+hour {
		h.clock, h.looked = now, now
	}
}

// record lets the model know, when the meter does, what is so since the present moment.
func (h *history) record(f func(at int64)) {
	wall := h.world.clock
	h.seen = append(h.seen, func() { h.advance(wall); f(h.clock) })
}

func (h *history) act() {
	switch n := h.rng.IntN(12); {
	case n < 2 || len(h.disks) == 0:
		h.newDisk()
	case n < 4:
		h.volumes.write(h.pick(h.disks).Store, h.rng.Int64N(2000), 1+h.rng.Int64N(300))
	case n < 7:
		h.newSnapshot()
	case n < 8:
		h.change(h.disks)
	case n < 9 && len(h.snaps) > 0:
		h.change(h.snaps)
	case n < 11 && len(h.snaps) > 0:
		h.snaps = h.drop(h.snaps)
	case n == 11 && len(h.disks) > 2:
		h.disks = h.drop(h.disks)
	default:
		h.failed()
	}
}

func (h *history) pick(from []tintype.Volume) tintype.Volume { return from[h.rng.IntN(len(from))] }

func (h *history) name() string {
	h.names++
	return fmt.Sprintf("v%d", h.names%7+h.names/9*100) // some names come again
}

func (h *history) free(name string, kind tintype.Kind) bool {
	for _, v := range append(h.disks, h.snaps...) {
		if v.ID.Kind == kind && v.ID.Name == name {
			return false
		}
	}
	return true
}

func (h *history) newDisk() {
	name := h.name()
	if !h.free(name, tintype.KindDisk) {
		return
	}
	skus := []tintype.SKU{tintype.StandardLRS, tintype.PremiumLRS, tintype.StandardSSDZRS, tintype.PremiumV2LRS, tintype.UltraSSDLRS}
	v := h.disk(name, 1+h.rng.Int64N(3000), skus[h.rng.IntN(len(skus))])
	h.disks = append(h.disks, v)
	h.begin(v)
}

func (h *history) newSnapshot() {
	name := h.name()
	if !h.free(name, tintype.KindSnapshot) {
		return
	}
	disk := h.pick(h.disks)
	family := uuid.Nil
	if h.rng.IntN(2) == 0 {
		if h.family[disk.UniqueID] == uuid.Nil {
			h.family[disk.UniqueID] = uuid.New()
		}
		family = h.family[disk.UniqueID]
	}
	v := h.snapshot(name, disk, []tintype.SKU{tintype.StandardLRS, tintype.StandardZRS, tintype.PremiumLRS}[h.rng.IntN(3)], family)
	h.snaps = append(h.snaps, v)
	h.begin(v)
}

// begin adds a life to the model. The store keeps nothing of its own here: sizes are the world's.
func (h *history) begin(v tintype.Volume) {
	l := &life{unique: v.UniqueID, id: v.ID.String()}
	h.lives = append(h.lives, l)
	product, amount := h.worth(v)
	h.record(func(at int64) { l.steps = append(l.steps, step{at, product, amount}) })
}

// worth is what a volume is charged while it is as it is now.
func (h *history) worth(v tintype.Volume) (Product, *big.Rat) {
	zone := string(v.SKU[len(v.SKU)-3:])
	if v.ID.Kind == tintype.KindSnapshot {
		grains := int64(len(h.volumes.all[v.Store].has))
		if v.Incremental {
			grains = h.delta(v)
		}
		names := map[tintype.SKU]string{
			tintype.StandardLRS: "Standard HDD", tintype.StandardZRS: "Standard HDD", tintype.PremiumLRS: "Premium SSD",
		}
		return Product{names[v.SKU] + " Managed Disks", "Snapshots " + zone, zone + " Snapshots", perGB}, big.NewRat(grains*blockSize, tintype.GiB)
	}
	gib := v.Size / tintype.GiB
	switch v.SKU {
	case tintype.PremiumV2LRS:
		return Product{"Azure Premium SSD v2", "Premium LRS", "Premium LRS Provisioned Capacity", perGB}, big.NewRat(gib, 1)
	case tintype.UltraSSDLRS:
		return Product{"Ultra Disks", "Ultra LRS", "Ultra LRS Provisioned Capacity", perGB}, big.NewRat(gib, 1)
	}
	letter := map[tintype.SKU]string{tintype.StandardLRS: "S", tintype.PremiumLRS: "P", tintype.StandardSSDZRS: "E"}[v.SKU]
	number, size := 4, int64(32)
	if letter != "S" {
		number, size = 1, 4
	}
	for _, n := range []int{2, 3, 4, 6, 10, 15, 20, 30, 40, 50} {
		if gib > size && n > number {
			number, size = n, size*2
		}
	}
	tier := fmt.Sprintf("%s%d %s", letter, number, zone)
	family := map[string]string{"S": "Standard HDD", "P": "Premium SSD", "E": "Standard SSD"}[letter]
	return Product{family + " Managed Disks", tier, tier + " Disk", perDisk}, big.NewRat(1, 1)
}

// delta counts what an incremental snapshot has and the one before it that still exists has not.
func (h *history) delta(v tintype.Volume) int64 {
	var before *tintype.Volume
	for i := range h.snaps {
		if h.snaps[i].UniqueID == v.UniqueID {
			break
		}
		if h.snaps[i].Family == v.Family && h.snaps[i].Incremental {
			before = &h.snaps[i]
		}
	}
	n := int64(0)
	for k, w := range h.volumes.all[v.Store].has {
		if before == nil || h.volumes.all[before.Store].has[k] != w {
			n++
		}
	}
	return n
}

func (h *history) lifeOf(v tintype.Volume) *life {
	for _, l := range h.lives {
		if l.unique == v.UniqueID {
			return l
		}
	}
	h.t.Fatalf("no life of %s", v.ID)
	return nil
}

// change gives a volume another sku, a larger size, tags, or just another state.
func (h *history) change(from []tintype.Volume) {
	i := h.rng.IntN(len(from))
	v := from[i].Clone()
	switch h.rng.IntN(4) {
	case 0:
		v.SKU = tintype.PremiumLRS
	case 1:
		v.SKU = tintype.StandardLRS
	case 2:
		if v.ID.Kind == tintype.KindDisk {
			v.Size += h.rng.Int64N(500) * tintype.GiB
		}
	case 3:
		v.Tags, v.State = map[string]string{"n": fmt.Sprint(h.rng.IntN(3))}, tintype.Attached
	}
	h.put(v)
	from[i] = v
	l := h.lifeOf(v)
	product, amount := h.worth(v)
	h.record(func(at int64) { l.steps = append(l.steps, step{at, product, amount}) })
}

// drop deletes a volume; an incremental snapshot behind it grows.
func (h *history) drop(from []tintype.Volume) []tintype.Volume {
	i := h.rng.IntN(len(from))
	v := from[i]
	h.tickBeforeDrop()
	h.remove(v)
	l := h.lifeOf(v)
	h.record(func(at int64) { l.steps = append(l.steps, step{at: at}) })
	rest := append(append([]tintype.Volume{}, from[:i]...), from[i+1:]...)
	if v.Incremental {
		h.snaps = rest
		for _, next := range rest {
			if next.Family == v.Family && next.Incremental {
				n := h.lifeOf(next)
				product, amount := h.worth(next)
				h.record(func(at int64) { n.steps = append(n.steps, step{at, product, amount}) })
			}
		}
	}
	return rest
}

// tickBeforeDrop has the meter see what was made before its bytes go: a snapshot that is deleted before it could be
// measured has its own test.
func (h *history) tickBeforeDrop() {
	h.tick()
	h.settle(false)
}

// failed are accepted operations that come to nothing, a creation and a change: neither must be billed.
func (h *history) failed() {
	v := tintype.Volume{
		ID:       tintype.ResourceID{Subscription: testSub, Group: "lab", Kind: tintype.KindDisk, Name: "never"},
		UniqueID: uuid.New(), Location: "westus2", Size: tintype.GiB, SKU: tintype.StandardLRS, Store: uuid.New(),
		Provisioning: tintype.StateUpdating,
	}
	prior := h.pick(h.disks)
	grown := prior.Clone()
	grown.Provisioning, grown.SKU, grown.Size = tintype.StateUpdating, tintype.UltraSSDLRS, prior.Size+tintype.GiB
	prior.Provisioning = tintype.StateSucceeded
	h.update(func(tx *catalog.Tx) error { return errors.Join(tx.PutVolume(v), tx.PutVolume(grown)) })
	h.record(func(int64) {})
	h.world.clock = h.world.clock.Add(time.Duration(h.rng.Int64N(int64(9 * time.Hour))))
	h.look()
	h.update(func(tx *catalog.Tx) error { return errors.Join(tx.DeleteVolume(v.ID.Key()), tx.PutVolume(prior)) })
	h.record(func(int64) {})
}

// sums are exact quantities by resource, day and product.
type sumKey struct {
	unique  uuid.UUID
	day     Day
	product Product
}

// expected integrates the model up to the moment.
func (h *history) expected(until int64) map[sumKey]*big.Rat {
	sums := map[sumKey]*big.Rat{}
	for _, l := range h.lives {
		for i, s := range l.steps {
			end := until
			if i+1 < len(l.steps) {
				end = l.steps[i+1].at
			}
			for begin := s.at; begin < end && s.amount != nil; {
				d := time.UnixMilli(begin).UTC()
				midnight := time.Date(d.Year(), d.Month(), d.Day()+1, 0, 0, 0, 0, time.UTC).UnixMilli()
				stop := min(end, midnight)
				days := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
				share := new(big.Rat).Mul(s.amount, big.NewRat(stop-begin, int64(days)*24*3600*1000))
				k := sumKey{l.unique, DayOf(d), s.product}
				if sums[k] == nil {
					sums[k] = new(big.Rat)
				}
				sums[k].Add(sums[k], share)
				begin = stop
			}
		}
	}
	return sums
}

// compare holds the report to the model: each day within one unit of the last digit, each month to the digit.
func (h *history) compare() {
	until := max(h.clock, h.world.clock.UnixMilli())
	want := h.expected(until)
	from, _ := h.from.Month()
	_, to := dayOf(until).Month()
	q := Query{Scope: Scope{Subscription: testSub}, From: from, To: to}
	rows := h.rows(q)
	type monthKey struct {
		unique  uuid.UUID
		month   Day
		product Product
	}
	got, months, exact := map[sumKey]bool{}, map[monthKey]Quantity{}, map[monthKey]*big.Rat{}
	digit := big.NewRat(1, nano)
	for _, r := range rows {
		k := sumKey{r.Resource.UniqueID, r.Day, r.Product}
		if got[k] {
			h.t.Fatalf("two rows of %s on %v for %v", r.Resource.ID, r.Day, r.Product)
		}
		got[k] = true
		if want[k] == nil {
			h.t.Fatalf("%s on %v is billed %v of %v, the model has none", r.Resource.ID, r.Day, r.Quantity, r.Product)
		}
		off := new(big.Rat).Sub(big.NewRat(int64(r.Quantity), nano), want[k])
		if off.Abs(off).Cmp(digit) > 0 {
			h.t.Fatalf("%s on %v is billed %v, the model says %s", r.Resource.ID, r.Day, r.Quantity, want[k].FloatString(12))
		}
		first, _ := r.Day.Month()
		months[monthKey{k.unique, first, k.product}] += r.Quantity
	}
	for k, sum := range want {
		first, _ := k.day.Month()
		m := monthKey{k.unique, first, k.product}
		if exact[m] == nil {
			exact[m] = new(big.Rat)
		}
		exact[m].Add(exact[m], sum)
		if !got[k] && sum.Cmp(digit) > 0 {
			h.t.Fatalf("%v on %v has no row, the model says %s", k.unique, k.day, sum.FloatString(12))
		}
	}
	for m, sum := range exact {
		billed := big.NewRat(int64(months[m]), nano).FloatString(9)
		if billed != sum.FloatString(9) {
			h.t.Fatalf("%v in the month of %v comes to %s, the model says %s", m.unique, m.month, billed, sum.FloatString(12))
		}
	}
	h.comparePages(q, rows)
}

// comparePages asks for the same rows in other ways: page by page, and month by month.
func (h *history) comparePages(q Query, rows []Row) {
	var paged, monthly []Row
	for len(paged) < len(rows) {
		n := len(paged)
		limit := 1 + h.rng.IntN(len(rows))
		err := h.meter.Usage(h.t.Context(), q, func(r *Row) (bool, error) {
			paged = append(paged, *r)
			q.After = r.Mark
			return len(paged)-n < limit, nil
		})
		if err != nil || len(paged) == n {
			h.t.Fatalf("a page of %d rows behind %d: %d, %v", limit, n, len(paged)-n, err)
		}
	}
	h.compareWindow(q, rows)
	bill := Money{}
	for i := range rows {
		if paged[i].Mark != rows[i].Mark || paged[i].Quantity != rows[i].Quantity {
			h.t.Fatalf("row %d of the pages is %+v, of the whole %+v", i, paged[i].Mark, rows[i].Mark)
		}
		bill = bill.Plus(rows[i].Cost())
	}
	var billed Money
	for d := q.From; d < q.To; {
		_, next := d.Month()
		month := Query{Scope: q.Scope, From: d, To: next}
		monthly = append(monthly, h.rows(month)...)
		b, err := h.meter.Bill(h.t.Context(), month)
		if err != nil {
			h.t.Fatal(err)
		}
		billed = billed.Plus(b.Total)
		d = next
	}
	if len(monthly) != len(rows) || billed != bill {
		h.t.Fatalf("month by month there are %d rows for %v, in the whole %d for %v", len(monthly), billed, len(rows), bill)
	}
}

// compareWindow asks for some days only: their rows are those of the whole.
func (h *history) compareWindow(q Query, rows []Row) {
	span := int64(q.To - q.From)
	from := q.From + Day(h.rng.Int64N(span))
	window := Query{Scope: q.Scope, From: from, To: from + 1 + Day(h.rng.Int64N(span))}
	got := h.rows(window)
	for _, r := range rows {
		if r.Day < window.From || r.Day >= window.To {
			continue
		}
		if len(got) == 0 || got[0].Mark != r.Mark || got[0].Quantity != r.Quantity {
			h.t.Fatalf("from %v to %v lacks %+v of %v", window.From, window.To, r.Mark, r.Quantity)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		h.t.Fatalf("from %v to %v has %d rows too many", window.From, window.To, len(got))
	}
}
