package compute

import (
	"sync/atomic"
	"testing"

	"tintype"
	"tintype/internal/catalog"
)

// crashes fails at every step of what do does, restarts, and wants nothing left in the store that no resource has.
func crashes(t *testing.T, prepare func(*rig), do func(*rig) error, check func(r *rig, acknowledged bool)) {
	t.Helper()
	for step := int64(0); ; step++ {
		r := newRig(t)
		r.group()
		prepare(r)
		var left atomic.Int64
		left.Store(step)
		r.fault = func(string) error {
			if left.Add(-1) < 0 {
				return errCrash
			}
			return nil
		}
		r.store.fault = r.fault
		err := do(r)
		r.restart()
		done := left.Load() >= 0
		r.settleImports()
		if e := r.runAll(t.Context()); e != nil {
			t.Fatal(e)
		}
		check(r, err == nil)
		r.wholeStore()
		if done {
			return
		}
	}
}

// settleImports waits for the imports that a restart has begun again.
func (r *rig) settleImports() {
	r.t.Helper()
	var open []catalog.Operation
	err := r.catalog.View(r.t.Context(), func(tx *catalog.Tx) (err error) {
		open, err = tx.OpenOperations("")
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, op := range open {
		r.ended(tintype.Accepted{Operation: op.Operation})
	}
}

// TestImageCrash fails at every step of making an image of a disk and a blob.
func TestImageCrash(t *testing.T) {
	want := tintype.ImageRequest{
		OS: osOf(ofDisk("a")), Data: []tintype.ImageDiskRequest{dataOf(0, tintype.ImageSource{BlobURI: "https://h/data"})},
	}
	crashes(t, func(r *rig) {
		r.put(diskID("a"), empty(1))
		r.images(map[string]*memImage{"https://h/data": newImage(map[int64]string{0: "data"}, 4<<20)})
	}, func(r *rig) error {
		op, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, want)
		if err != nil {
			return err
		}
		return r.run(op.ID)
	}, func(r *rig, acknowledged bool) {
		c, err := r.GetCompanion(t.Context(), imageID("i"))
		if acknowledged && err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
		if err != nil {
			return
		}
		for _, d := range c.Image.Disks() {
			r.get(d.Volume)
		}
		if c.Image.Creating {
			t.Error("the image is still being made")
		}
		if _, ok, err := r.DeleteImage(t.Context(), imageID("i")); !ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
	})
}

// TestGuestStateCrash fails at every step of making, cutting and deleting a disk that has a guest state.
func TestGuestStateCrash(t *testing.T) {
	secure := func(r *rig) {
		r.images(map[string]*memImage{"https://h/os": newImage(nil, 4<<20), "https://h/state": newImage(map[int64]string{0: "state"}, 4<<20)})
		want := imported("https://h/os")
		want.Creation.Option, want.Creation.SecurityDataURI = "ImportSecure", "https://h/state"
		want.SecurityProfile = &tintype.SecurityProfile{Type: "TrustedLaunch"}
		a, err := r.Put(t.Context(), diskID("d"), want)
		if err != nil {
			t.Fatal(err)
		}
		r.ended(a)
	}
	whole := func(id tintype.ResourceID) func(*rig, bool) {
		return func(r *rig, acknowledged bool) {
			_, err := r.Get(t.Context(), id)
			_, state := r.Get(t.Context(), id.GuestState())
			if (err == nil) != (state == nil) {
				t.Errorf("%s: %v, its guest state: %v", id.Name, err, state)
			}
			if acknowledged && err != nil {
				t.Errorf("acknowledged and lost: %v", err)
			}
		}
	}
	put := func(id tintype.ResourceID, want tintype.Desired) func(*rig) error {
		return func(r *rig) error {
			a, err := r.Put(t.Context(), id, want)
			if err != nil {
				return err
			}
			return r.run(a.Operation.ID)
		}
	}
	crashes(t, func(*rig) {}, put(diskID("u"), secureUpload(tintype.MinUploadBytes)), whole(diskID("u")))
	crashes(t, secure, put(snapshotID("s"), copyOf(diskID("d"))), whole(snapshotID("s")))
	crashes(t, secure, put(diskID("c"), copyOf(diskID("d"))), whole(diskID("c")))
	crashes(t, secure, func(r *rig) error {
		a, _, err := r.Delete(t.Context(), diskID("d"))
		if err != nil {
			return err
		}
		return r.run(a.Operation.ID)
	}, func(r *rig, _ bool) { whole(diskID("d"))(r, false) })
}
