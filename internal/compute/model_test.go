package compute

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tintype"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "first seed of the model test")
	seedsFlag = flag.Uint64("seeds", 60, "how many seeds the model test plays")
)

// thing is what the model knows of one resource.
type thing struct {
	kind    tintype.Kind
	size    int64 // GiB
	tag     string
	content map[int64]string
	grant   bool
	host    string
	waits   bool // for its upload to end
}

// world is what must exist: every resource by key. Of the resource in maybe, whose request was cut off by a crash,
// either the old or the new state must exist, whole.
type world struct {
	things map[string]*thing
	ids    map[string]tintype.ResourceID
	before *thing // nil: did not exist
	after  *thing // nil: does not exist any more
	maybe  string
	group  map[string]*thing // a crash cut the request off that makes these together: all exist, or none
	going  bool              // a crash cut the request off that deletes or makes the group: all of it is gone, or nothing
	gone   bool              // the group's deletion was accepted
}

// TestModel plays seeded histories of requests with the process dying between any two durable steps, restarts it, and
// requires that what was accepted is there, whole and finished, and that nothing else is.
func TestModel(t *testing.T) {
	crashes := 0
	for seed := *seedFlag; seed < *seedFlag+*seedsFlag; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) { crashes += playModel(t, seed) })
		if !ok {
			t.Fatalf("repeat with: go test ./internal/compute -run TestModel -seed %d -seeds 1", seed)
		}
	}
	t.Logf("%d crashes in %d histories", crashes, *seedsFlag)
	if crashes < int(*seedsFlag)/2 {
		t.Errorf("only %d crashes happened: the test does not test what it should", crashes)
	}
}

type history struct {
	*rig
	rng     *rand.Rand
	world   world
	crashes int
	dead    bool
	serial  int
}

func playModel(t *testing.T, seed uint64) int {
	h := &history{
		rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 0x7e57)),
		world: world{things: map[string]*thing{}, ids: map[string]tintype.ResourceID{}},
	}
	h.group()
	for range 3 {
		h.arm()
		for range 12 {
			h.clock.Add(time.Minute) // at most 5 snapshots in 5 minutes
			h.request()
			if h.dead {
				break
			}
			if h.rng.IntN(3) == 0 {
				_ = h.sweep(t.Context()) // dies or not
			}
			if h.dead {
				break
			}
		}
		h.checkRecorded()
		h.restart()
		h.dead = false
		h.check()
	}
	return h.crashes
}

// arm makes the process die after a number of durable steps.
func (h *history) arm() {
	left := h.rng.IntN(40)
	fault := func(string) error {
		if left--; left >= 0 {
			return nil
		}
		if !h.dead {
			h.dead = true
			h.crashes++
		}
		return errCrash
	}
	h.fault, h.store.fault = fault, fault
}

// pick gives a random existing key of the kind (0: any), or "".
func (h *history) pick(kind tintype.Kind) string {
	var keys []string
	for k, th := range h.world.things {
		if kind == 0 || th.kind == kind {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	sort.Strings(keys)
	return keys[h.rng.IntN(len(keys))]
}

// fresh names a new resource.
func (h *history) fresh(kind tintype.Kind) tintype.ResourceID {
	h.serial++
	id := diskID(fmt.Sprintf("r%d", h.serial))
	id.Kind = kind
	h.world.ids[id.Key()] = id
	return id
}

// commit takes over what a request did: err nil means it was accepted, a crash that it may have been.
func (h *history) commit(id tintype.ResourceID, after *thing, err error) {
	h.t.Helper()
	key := id.Key()
	switch {
	case err == nil && after == nil:
		delete(h.world.things, key)
	case err == nil:
		h.world.things[key] = after
	case h.dead:
		h.world.maybe, h.world.before, h.world.after = key, h.world.things[key], after
	default:
		h.t.Fatalf("%s: refused: %v", id.Name, err)
	}
}

func (th *thing) copy() *thing {
	c := *th
	c.content = maps.Clone(th.content)
	return &c
}

func (h *history) request() {
	kind := tintype.Kind(1 + h.rng.IntN(2))
	switch h.rng.IntN(49) / 4 {
	case 11:
		h.createUpload(kind)
	case 12:
		h.removeGroup()
	case 0, 1:
		h.createEmpty(kind)
	case 2, 3, 4:
		h.createCopy(kind)
	case 5:
		h.changeSize()
	case 6:
		h.changeTag()
	case 7:
		h.remove()
	case 8:
		h.access()
	case 9:
		h.port()
	case 10:
		h.createTogether()
	}
	h.writeSome()
}

func (h *history) createEmpty(kind tintype.Kind) {
	id, gb := h.fresh(kind), int64(1+h.rng.IntN(4))
	_, err := h.Put(h.t.Context(), id, empty(gb))
	h.commit(id, &thing{kind: kind, size: gb, content: map[int64]string{}}, err)
}

func (h *history) createCopy(kind tintype.Kind) {
	from := h.pick(0)
	if from == "" || h.world.things[from].waits {
		return
	}
	source := h.world.things[from]
	id, want, size := h.fresh(kind), copyOf(h.world.ids[from]), source.size
	if kind == tintype.KindDisk && h.rng.IntN(2) == 0 {
		size += 2
		want.SizeGB = &size
	}
	if kind == tintype.KindSnapshot && h.rng.IntN(2) == 0 {
		want.Incremental = ptr(true)
	}
	_, err := h.Put(h.t.Context(), id, want)
	h.commit(id, &thing{kind: kind, size: size, content: maps.Clone(source.content)}, err)
}

// createTogether makes a snapshot of each of several volumes at one moment.
func (h *history) createTogether() {
	after := map[string]*thing{}
	var members []tintype.Member
	for _, from := range slices.Sorted(maps.Keys(h.world.things)) {
		if len(members) == 3 || h.rng.IntN(2) == 0 || h.world.things[from].waits {
			continue
		}
		id, source := h.fresh(tintype.KindSnapshot), h.world.things[from]
		members = append(members, tintype.Member{ID: id, Want: copyOf(h.world.ids[from])})
		after[id.Key()] = &thing{kind: tintype.KindSnapshot, size: source.size, content: maps.Clone(source.content)}
	}
	if len(members) == 0 {
		return
	}
	_, err := h.SnapshotTogether(h.t.Context(), members)
	switch {
	case err == nil:
		maps.Copy(h.world.things, after)
	case h.dead:
		h.world.group = after
	default:
		h.t.Fatal(err)
	}
}

func (h *history) changeSize() {
	key := h.pick(0)
	if th := h.world.things[key]; key == "" || th.grant || th.host != "" || th.waits {
		return
	}
	after := h.world.things[key].copy()
	after.size++
	_, err := h.Patch(h.t.Context(), h.world.ids[key], tintype.Desired{SizeGB: &after.size})
	h.commit(h.world.ids[key], after, err)
}

func (h *history) changeTag() {
	key := h.pick(0)
	if key == "" {
		return
	}
	after := h.world.things[key].copy()
	after.tag = fmt.Sprint(h.rng.IntN(1000))
	_, err := h.Patch(h.t.Context(), h.world.ids[key], tintype.Desired{Tags: map[string]string{"t": after.tag}})
	h.commit(h.world.ids[key], after, err)
}

func (h *history) remove() {
	key := h.pick(0)
	if key == "" {
		return
	}
	_, _, err := h.Delete(h.t.Context(), h.world.ids[key])
	if th := h.world.things[key]; !h.dead && (th.grant || th.host != "") {
		refused(h.t, err, "OperationNotAllowed")
		return
	}
	h.commit(h.world.ids[key], nil, err)
}

// removeGroup deletes the group with all in it and makes it again.
func (h *history) removeGroup() {
	attached := false
	for _, th := range h.world.things {
		attached = attached || th.host != ""
	}
	a, err := h.DeleteGroup(h.t.Context(), testSub, "g")
	switch {
	case h.dead:
		h.world.going = !attached
		return
	case attached:
		refused(h.t, err, "ResourceGroupDeletionBlocked")
		return
	case err != nil:
		h.t.Fatal(err)
	}
	if err := h.run(a.Operation.ID); err != nil {
		if !h.dead {
			h.t.Fatal(err)
		}
		h.world.going, h.world.gone = true, true
		return
	}
	h.world.things = map[string]*thing{}
	_, _, err = h.PutGroup(h.t.Context(), tintype.Group{Subscription: testSub, Name: "G", Location: "westus2"})
	if err != nil && !h.dead {
		h.t.Fatal(err)
	}
	h.world.going = h.dead
}

func (h *history) access() {
	key := h.pick(0)
	if key == "" || h.world.things[key].host != "" {
		return
	}
	after := h.world.things[key].copy()
	after.grant = !after.grant
	var err error
	if after.grant {
		_, err = h.Grant(h.t.Context(), h.world.ids[key], tintype.AccessRequest{Access: after.access(), Seconds: 100_000})
	} else {
		if after.waits && !h.uploadSome(key, after) {
			return
		}
		_, err = h.Revoke(h.t.Context(), h.world.ids[key])
	}
	h.commit(h.world.ids[key], after, err)
}

func (th *thing) access() string {
	if th.waits {
		return "Write"
	}
	return "Read"
}

func (h *history) createUpload(kind tintype.Kind) {
	id := h.fresh(kind)
	_, err := h.Put(h.t.Context(), id, upload(tintype.GiB+512))
	h.commit(id, &thing{kind: kind, size: 1, content: map[int64]string{}, waits: true}, err)
}

// uploadSome writes to what waits for its upload, and a footer, with which the upload is whole. false: the process died.
func (h *history) uploadSome(key string, after *thing) bool {
	v, err := h.Get(h.t.Context(), h.world.ids[key])
	if err != nil {
		h.t.Fatal(err)
	}
	var g tintype.Grant
	err = h.catalog.View(h.t.Context(), func(tx *catalog.Tx) (err error) {
		g, err = tx.GrantOf(key)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store.put(v.Store, 1, key)
	h.world.things[key].content[1], after.content[1] = key, key
	footer := vhd.FixedFooter(v.Size, vhd.Identity{Unique: v.UniqueID, Created: v.Created})
	if err := h.SaveFooter(h.t.Context(), g.ID, footer[:]); err != nil {
		if !h.dead {
			h.t.Fatal(err)
		}
		return false
	}
	after.waits = false
	return true
}

func (h *history) port() {
	key := h.pick(0)
	if key == "" || h.world.things[key].grant || h.world.things[key].waits {
		return
	}
	after := h.world.things[key].copy()
	var err error
	if after.host == "" {
		after.host = "host1"
		_, err = h.Attach(h.t.Context(), h.world.ids[key], "host1", false)
	} else {
		_, err = h.Attach(h.t.Context(), h.world.ids[key], "host2", false)
		if !h.dead {
			refused(h.t, err, "ConflictingUserInput")
			after.host = ""
			err = h.Detach(h.t.Context(), h.world.ids[key], "host1")
		}
	}
	h.commit(h.world.ids[key], after, err)
}

// writeSome writes to a disk as a guest would, which must be seen in no earlier copy.
func (h *history) writeSome() {
	key := h.pick(tintype.KindDisk)
	if key == "" || h.dead {
		return
	}
	v, err := h.Get(h.t.Context(), h.world.ids[key])
	if err != nil {
		h.t.Fatal(err)
	}
	if v.Provisioning != tintype.StateSucceeded || v.Uploading() {
		return // its bytes may not exist yet
	}
	at, what := h.rng.Int64N(8), fmt.Sprint(h.rng.IntN(1_000_000))
	h.store.put(v.Store, at, what)
	h.world.things[key].content[at] = what
}

// check requires, after a restart, that the world is as accepted and that nothing is half-done.
func (h *history) check() {
	h.t.Helper()
	h.resolve()
	p, err := h.List(h.t.Context(), testSub, "", 0, "")
	if err != nil {
		h.t.Fatal(err)
	}
	var have []string
	served := 0
	for _, v := range p.Volumes {
		have = append(have, v.ID.Key())
		th := h.world.things[v.ID.Key()]
		if th == nil {
			h.t.Fatalf("%s exists and was not accepted", v.ID.Name)
		}
		h.compare(th, v)
		if th.host != "" {
			served++
		}
	}
	if want := slices.Sorted(maps.Keys(h.world.things)); !slices.Equal(want, have) {
		h.t.Fatalf("accepted resources are missing: %s", cmp.Diff(want, have))
	}
	if len(h.door.serves) != served {
		h.t.Fatalf("%d exports serve, %d volumes are attached", len(h.door.serves), served)
	}
	err = h.catalog.View(h.t.Context(), func(tx *catalog.Tx) error {
		open, err := tx.OpenOperations("")
		if len(open) != 0 {
			h.t.Fatalf("operations are still open: %v", open)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.wholeStore()
}

// checkRecorded requires, at the moment of the crash, that the store has no volume that is not on record.
func (h *history) checkRecorded() {
	h.t.Helper()
	known, err := Recorded(h.t.Context(), h.catalog)
	if err != nil {
		h.t.Fatal(err)
	}
	for id := range h.store.volumes {
		if !known[id] {
			h.t.Fatalf("volume %s is in the store and on no record", id)
		}
	}
}

// resolve settles the request that was cut off: it happened or it did not.
func (h *history) resolve() {
	h.t.Helper()
	w := &h.world
	if w.going {
		_, err := h.GetGroup(h.t.Context(), testSub, "g")
		if w.gone && err == nil {
			h.t.Fatal("the group is still there, and its deletion was accepted")
		}
		w.going, w.gone = false, false
		if err != nil {
			refused(h.t, err, "ResourceGroupNotFound")
			w.things = map[string]*thing{}
			h.group()
		}
	}
	h.resolveGroup()
	if w.maybe == "" {
		return
	}
	v, err := h.Get(h.t.Context(), w.ids[w.maybe])
	var refusal *tintype.Error
	exists := err == nil
	if err != nil && (!errors.As(err, &refusal) || refusal.Kind != tintype.KindNotFound) {
		h.t.Fatal(err)
	}
	settle := w.before
	if same := func(th *thing) bool { return (th != nil) == exists && (th == nil || matches(th, v)) }; !same(settle) {
		if settle = w.after; !same(settle) {
			h.t.Fatalf("%s is neither as before %+v nor as after %+v the request that was cut off: %+v", w.maybe, w.before, w.after, v)
		}
	}
	if settle == nil {
		delete(w.things, w.maybe)
	} else {
		w.things[w.maybe] = settle
	}
	w.maybe, w.before, w.after = "", nil, nil
}

// resolveGroup settles what should have been made together.
func (h *history) resolveGroup() {
	h.t.Helper()
	there := 0
	for key := range h.world.group {
		if _, err := h.Get(h.t.Context(), h.world.ids[key]); err == nil {
			there++
		}
	}
	switch there {
	case 0:
	case len(h.world.group):
		maps.Copy(h.world.things, h.world.group)
	default:
		h.t.Fatalf("%d of %d snapshots exist that were to be made together", there, len(h.world.group))
	}
	h.world.group = nil
}

func matches(th *thing, v tintype.Volume) bool {
	state := tintype.Unattached
	switch {
	case th.grant && th.waits:
		state = tintype.ActiveUpload
	case th.waits:
		state = tintype.ReadyToUpload
	case th.grant:
		state = tintype.ActiveSAS
	case th.host != "":
		state = tintype.Attached
	}
	return v.SizeGB() == th.size && v.Tags["t"] == th.tag && v.State == state && v.Provisioning == tintype.StateSucceeded
}

func (h *history) compare(th *thing, v tintype.Volume) {
	h.t.Helper()
	if !matches(th, v) {
		h.t.Fatalf("%s is %+v, accepted was %+v", v.ID.Name, v, th)
	}
	if diff := cmp.Diff(th.content, h.store.content(h.t, v.Store)); diff != "" {
		h.t.Fatalf("%s holds other bytes (-accepted +have):\n%s", v.ID.Name, diff)
	}
	stored := h.store.volumes[v.Store]
	if stored.size != v.Size || stored.snapshot != (v.ID.Kind == tintype.KindSnapshot && !th.waits) {
		h.t.Fatalf("%s: the store holds %d bytes, snapshot %v", v.ID.Name, stored.size, stored.snapshot)
	}
}
