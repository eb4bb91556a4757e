package compute

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
	"tintype/internal/handclock"
)

const testSub = tintype.SubscriptionID("11111111-2222-3333-4444-555555555555")

// rig is a service on a store in memory and a catalog in a folder; restart replaces the service and keeps both.
type rig struct {
	*Service
	t     *testing.T
	path  string
	store *memStore
	door  *memExporter
	clock *handclock.Clock
	cuts  []uuid.UUID // grants that were cut off

	cutting sync.Mutex // guards cuts: copies end grants side by side
	open    func(context.Context, string) (Import, error)

	vaults Vaults
	keys   VolumeKeys
	peers  Peers
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, path: filepath.Join(t.TempDir(), "catalog.db"), store: newMemStore(),
		clock: handclock.New(time.Date(2026, 1, 2, 3, 4, 5, 123_456_700, time.UTC)),
	}
	r.boot()
	t.Cleanup(func() {
		if err := errors.Join(r.Service.Close(), r.catalog.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) boot() {
	r.t.Helper()
	c, err := catalog.Open(r.t.Context(), r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.door = newMemExporter()
	r.store.restart()
	r.Service = New(Options{
		ZoneRedundant: true, OpenImport: r.open,
		Catalog: c, Volumes: r.store, Exporter: r.door, Now: r.clock.Now, Log: slog.New(slog.DiscardHandler),
		CutGrant: func(id uuid.UUID) {
			r.cutting.Lock()
			r.cuts = append(r.cuts, id)
			r.cutting.Unlock()
		},
		Vaults: r.vaults, Keys: r.keys, Peers: r.peers,
	})
	if err := r.resume(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// restart is what kill -9 and a new start leave: the catalog's file and the store. Nothing of the old process works on beside the new one.
func (r *rig) restart() {
	r.t.Helper()
	r.cancel()
	r.done.Wait()
	if err := r.catalog.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.boot()
}

func diskID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindDisk, Name: name}
}

func snapshotID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindSnapshot, Name: name}
}

func ptr[T any](v T) *T { return &v }

func empty(gb int64) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Empty"}, SizeGB: &gb}
}

func copyOf(source tintype.ResourceID) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Copy", SourceResourceID: source.String()}}
}

func upload(size int64) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Upload", UploadBytes: &size}}
}

func (r *rig) group() {
	r.t.Helper()
	if _, _, err := r.PutGroup(r.t.Context(), tintype.Group{Subscription: testSub, Name: "G", Location: "West US 2"}); err != nil {
		r.t.Fatal(err)
	}
}

// finish carries an accepted operation out and gives what it ended as.
func (r *rig) finish(a tintype.Accepted) tintype.Operation {
	r.t.Helper()
	if a.Operation.State != tintype.InProgress {
		r.t.Fatalf("accepted as %s", a.Operation.State)
	}
	if err := r.run(a.Operation.ID); err != nil {
		r.t.Fatal(err)
	}
	op, err := r.Operation(r.t.Context(), testSub, a.Operation.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return op
}

func (r *rig) put(id tintype.ResourceID, want tintype.Desired) tintype.Volume {
	r.t.Helper()
	a, err := r.Put(r.t.Context(), id, want)
	if err != nil {
		r.t.Fatalf("put %s: %v", id.Name, err)
	}
	op := r.finish(a)
	if op.State != tintype.Succeeded {
		r.t.Fatalf("put %s: %s %v", id.Name, op.State, op.Failure)
	}
	return *op.Output
}

func (r *rig) get(id tintype.ResourceID) tintype.Volume {
	r.t.Helper()
	v, err := r.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatalf("get %s: %v", id.Name, err)
	}
	return v
}

// refused requires a refusal of the code.
func refused(t *testing.T, err error, code string) *tintype.Error {
	t.Helper()
	var e *tintype.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want a refusal with code %s", err, code)
	}
	return e
}

func TestSnapshotIsCutBeforeTheAnswer(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	r.store.put(d.Store, 7, "before")
	a, err := r.Put(t.Context(), snapshotID("s"), copyOf(diskID("D")))
	if err != nil {
		t.Fatal(err)
	}
	r.store.put(d.Store, 7, "after")
	if got := r.store.content(t, a.Volume.Store)[7]; got != "before" {
		t.Fatalf("the accepted snapshot holds %q", got)
	}
	if v := r.get(snapshotID("s")); v.Provisioning != tintype.StateUpdating {
		t.Fatalf("accepted resource is %s", v.Provisioning)
	}
	op := r.finish(a)
	if op.Output.Creation.SourceUniqueID != d.UniqueID || op.Output.Size != d.Size || op.Output.Provisioning != tintype.StateSucceeded {
		t.Fatalf("snapshot %+v of disk %+v", op.Output, d)
	}
}

func TestUpdateKeepsIdentity(t *testing.T) {
	r := newRig(t)
	r.group()
	first := r.put(diskID("d"), empty(1))
	r.store.put(first.Store, 1, "x")
	r.clock.Add(time.Hour)
	want := empty(10)
	want.SKU, want.Tags = "Premium_LRS", map[string]string{"a": "1"}
	second := r.put(diskID("D"), want)
	if second.UniqueID != first.UniqueID || !second.Created.Equal(first.Created) || second.Store != first.Store || second.ID.Name != "d" {
		t.Fatalf("identity changed: %+v → %+v", first, second)
	}
	if second.Size != 10*tintype.GiB || second.SKU != tintype.PremiumLRS || second.Performance().Tier != "P3" {
		t.Fatalf("not updated: %+v", second)
	}
	if sizes, err := r.Sizes(t.Context(), diskID("d")); err != nil || sizes.Used != 4096 || sizes.Provisioned != 10*tintype.GiB {
		t.Fatalf("sizes %+v, %v", sizes, err)
	}
	_, err := r.Put(t.Context(), diskID("d"), empty(9))
	refused(t, err, "InvalidParameter")
	a, err := r.Patch(t.Context(), diskID("d"), tintype.Desired{SizeGB: ptr(int64(11))})
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.Output.Size != 11*tintype.GiB || op.Output.Tags["a"] != "1" {
		t.Fatalf("patched to %+v", op.Output)
	}
	if v := r.put(diskID("d"), empty(11)); len(v.Tags) != 0 {
		t.Fatalf("a PUT without tags kept %v", v.Tags)
	}
}

func TestCopies(t *testing.T) {
	r := newRig(t)
	r.group()
	src := empty(2)
	src.OSType, src.HyperVGeneration = "Linux", "V2"
	d := r.put(diskID("d"), src)
	r.store.put(d.Store, 3, "data")
	s := r.put(snapshotID("s"), copyOf(d.ID))
	ss := r.put(snapshotID("ss"), copyOf(s.ID))
	larger := copyOf(ss.ID)
	larger.SizeGB = ptr(int64(5))
	dd := r.put(diskID("dd"), larger)
	ddd := r.put(diskID("ddd"), copyOf(dd.ID))
	for _, v := range []tintype.Volume{s, ss, dd, ddd} {
		if r.store.content(t, v.Store)[3] != "data" || v.Settings.OSType != "Linux" || v.Settings.HyperVGeneration != "V2" {
			t.Errorf("%s did not take over: %+v", v.ID.Name, v)
		}
	}
	if ddd.Size != 5*tintype.GiB || r.store.volumes[ddd.Store].size != ddd.Size {
		t.Errorf("copy of the larger copy has %d bytes", ddd.Size)
	}
	grown := copyOf(ss.ID)
	grown.Creation.SourceResourceID, grown.SizeGB = s.ID.String(), ptr(int64(3))
	g := r.put(snapshotID("ss"), grown)
	if g.Size != 3*tintype.GiB || r.store.content(t, g.Store)[3] != "data" || r.store.volumes[g.Store].size != g.Size || !r.store.volumes[g.Store].snapshot {
		t.Errorf("grown snapshot: %+v", g)
	}
	e := r.put(snapshotID("e"), empty(1))
	if !r.store.volumes[e.Store].snapshot || r.store.volumes[e.Store].size != tintype.GiB {
		t.Errorf("empty snapshot: %+v", r.store.volumes[e.Store])
	}
	r.wholeStore()
}

// Azure PowerShell names the source of a copy in sourceUri.
func TestSourceURI(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	want := tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Copy", SourceURI: d.ID.String()}}
	s := r.put(snapshotID("s"), want)
	if s.Creation.Source != d.ID.String() || s.Creation.SourceUniqueID != d.UniqueID {
		t.Errorf("creation %+v", s.Creation)
	}
	r.put(snapshotID("s"), want)
	r.put(snapshotID("s"), copyOf(d.ID))
}

func TestIncrementalFamilies(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(diskID("other"), empty(1))
	inc := func(disk string, sku string) tintype.Desired {
		w := copyOf(diskID(disk))
		w.Incremental, w.SKU = ptr(true), sku
		return w
	}
	a := r.put(snapshotID("a"), inc("d", ""))
	if a.SKU != tintype.StandardZRS {
		t.Errorf("first incremental in a region with zones is %s", a.SKU)
	}
	r.clock.Add(time.Second)
	b := r.put(snapshotID("b"), inc("d", "Standard_LRS"))
	r.clock.Add(time.Second)
	c := r.put(snapshotID("c"), inc("d", ""))
	if c.SKU != tintype.StandardLRS {
		t.Errorf("the third took sku %s, not its predecessor's", c.SKU)
	}
	o := r.put(snapshotID("o"), inc("other", ""))
	if a.Family == uuid.Nil || a.Family != b.Family || b.Family != c.Family || o.Family == a.Family {
		t.Errorf("families %s %s %s, of another disk %s", a.Family, b.Family, c.Family, o.Family)
	}
	if f := r.put(snapshotID("full"), copyOf(diskID("d"))); f.Family != uuid.Nil || f.Incremental {
		t.Errorf("a full snapshot has family %s", f.Family)
	}
}

func TestFailedWorkLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	boom := errors.New("disk on fire")
	r.store.refuse = boom

	a, err := r.Put(t.Context(), diskID("new"), empty(1))
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.State != tintype.Failed || op.Failure.Code != "InternalServerError" {
		t.Fatalf("ended as %s %v", op.State, op.Failure)
	}
	_, err = r.Get(t.Context(), diskID("new"))
	refused(t, err, "ResourceNotFound")

	_, err = r.Put(t.Context(), snapshotID("s"), copyOf(d.ID))
	if e := refused(t, err, "InternalServerError"); errors.Is(e, boom) != true {
		t.Fatalf("the cause is lost: %v", err)
	}
	_, err = r.Get(t.Context(), snapshotID("s"))
	refused(t, err, "ResourceNotFound")

	a, err = r.Patch(t.Context(), d.ID, tintype.Desired{SizeGB: ptr(int64(2)), Tags: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.State != tintype.Failed {
		t.Fatalf("ended as %s", op.State)
	}
	if v := r.get(d.ID); v.Size != d.Size || len(v.Tags) != 0 || v.Provisioning != tintype.StateSucceeded {
		t.Fatalf("half an update stayed: %+v", v)
	}
	r.wholeStore()
}

func TestDeleteGroupTakesAll(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	s := r.put(snapshotID("s"), copyOf(d.ID))
	g, err := r.Grant(t.Context(), s.ID, tintype.AccessRequest{Access: "Read", Seconds: 600})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Attach(t.Context(), d.ID, "h", false); err != nil {
		t.Fatal(err)
	}
	_, err = r.DeleteGroup(t.Context(), testSub, "g")
	refused(t, err, "ResourceGroupDeletionBlocked")
	if err := r.Detach(t.Context(), d.ID, ""); err != nil {
		t.Fatal(err)
	}
	a, err := r.DeleteGroup(t.Context(), testSub, "g")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Put(t.Context(), diskID("late"), empty(1))
	refused(t, err, "ResourceGroupBeingDeleted")
	again, err := r.DeleteGroup(t.Context(), testSub, "G")
	if err != nil || again.Operation.ID != a.Operation.ID {
		t.Fatalf("a repeated deletion is %v, %v", again.Operation, err)
	}
	if op := r.finish(a); op.State != tintype.Succeeded {
		t.Fatalf("ended as %s", op.State)
	}
	_, err = r.GetGroup(t.Context(), testSub, "g")
	refused(t, err, "ResourceGroupNotFound")
	_, _, err = r.OpenGrant(t.Context(), g.Operation.Grant.ID, PublicDoor)
	refused(t, err, "AuthenticationFailed")
	if len(r.cuts) != 1 {
		t.Errorf("%d grants cut, want 1", len(r.cuts))
	}
	if err := r.dropAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := r.store.ids(); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// wholeStore requires that the store holds the catalog's volumes and no other, once all drops are done.
func (r *rig) wholeStore() {
	r.t.Helper()
	if err := r.dropAll(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	var want []string
	err := r.catalog.View(r.t.Context(), func(tx *catalog.Tx) error {
		stores, err1 := tx.Stores()
		for _, id := range stores {
			want = append(want, id.String())
		}
		mirrors, err := tx.Mirrors()
		for _, id := range mirrors {
			want = append(want, id.String())
		}
		slices.Sort(want)
		intents, err2 := tx.Intents()
		drops, err3 := tx.Drops()
		if len(intents) != 0 || len(drops) != 0 {
			r.t.Errorf("intents %v and drops %v are left", intents, drops)
		}
		return errors.Join(err, err1, err2, err3)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if got := r.store.ids(); len(got) != len(want) {
		r.t.Fatalf("the store holds %d volumes, the catalog %d:\n%v\n%v", len(got), len(want), got, want)
	} else {
		for i := range got {
			if got[i] != want[i] {
				r.t.Fatalf("the store holds %v, the catalog %v", got, want)
			}
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	r.done.Go(r.work)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ctx := context.Background()
			name := string(rune('a' + i))
			for range 6 {
				_, err := r.Put(ctx, snapshotID(name), copyOf(d.ID))
				_, err2 := r.Patch(ctx, d.ID, tintype.Desired{Tags: map[string]string{"by": name}})
				_, err3 := r.Put(ctx, diskID("copy"+name), copyOf(snapshotID(name)))
				_, _, err4 := r.Delete(ctx, snapshotID(name))
				_, _, err5 := r.Delete(ctx, diskID("copy"+name))
				if err := errors.Join(err, err2, err3, err4, err5); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := r.runAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := r.List(t.Context(), testSub, "", 0, "")
	if err != nil || len(p.Volumes) != 1 {
		t.Fatalf("%d volumes left, %v", len(p.Volumes), err)
	}
	// Waits for a drop that the worker is in the middle of.
	r.cancel()
	r.done.Wait()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wholeStore()
}
