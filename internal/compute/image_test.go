package compute

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype"
)

func imageID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindImage, Name: name}
}

func osOf(source tintype.ImageSource) *tintype.ImageDiskRequest {
	return &tintype.ImageDiskRequest{OSType: "Linux", OSState: "Generalized", Source: source}
}

func dataOf(lun int, source tintype.ImageSource) tintype.ImageDiskRequest {
	return tintype.ImageDiskRequest{LUN: &lun, Source: source}
}

func ofDisk(name string) tintype.ImageSource {
	return tintype.ImageSource{Disk: diskID(name).String()}
}

func (r *rig) image(name string, want tintype.ImageRequest) tintype.Companion {
	r.t.Helper()
	_, created, err := r.PutImage(r.t.Context(), imageID(name), tintype.CompanionRequest{Location: "westus2"}, want)
	if err != nil || !created {
		r.t.Fatalf("created %v, %v", created, err)
	}
	c, err := r.GetCompanion(r.t.Context(), imageID(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func imaged(from tintype.ImageReference) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "FromImage", Image: &from}}
}

// TestFromImageRefusals wants the reason why a disk can't be made of an image.
func TestFromImageRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(2))
	r.image("i", tintype.ImageRequest{OS: osOf(ofDisk("a"))})
	lun, small := int64(0), int64(1)
	marketplace := "/Subscriptions/" + string(testSub) + "/Providers/Microsoft.Compute/Locations/westus2/Publishers/p/ArtifactTypes/VMImage/Offers/o/Skus/s/Versions/v"
	with := func(from tintype.ImageReference, change func(*tintype.Desired)) tintype.Desired {
		want := imaged(from)
		change(&want)
		return want
	}
	known := tintype.ImageReference{ID: imageID("i").String()}
	for i, x := range []struct {
		code string
		want tintype.Desired
	}{
		{"InvalidParameter", with(known, func(d *tintype.Desired) { d.Creation.Image = nil })},
		{"InvalidParameter", imaged(tintype.ImageReference{})},
		{"InvalidParameter", imaged(tintype.ImageReference{ID: "i"})},
		{"InvalidParameter", imaged(tintype.ImageReference{ID: diskID("a").String()})},
		{"InvalidParameter", imaged(tintype.ImageReference{ID: imageID("i").String(), LUN: &lun})},
		{"NotFound", imaged(tintype.ImageReference{ID: imageID("none").String()})},
		{"NotFound", with(known, func(d *tintype.Desired) { d.Location = "eastus" })},
		{"PlatformImageNotFound", imaged(tintype.ImageReference{ID: marketplace})},
		{"GalleryImageNotFound", imaged(tintype.ImageReference{Gallery: "/SharedGalleries/g/Images/i/Versions/1.0.0"})},
		{"InvalidParameter", with(known, func(d *tintype.Desired) { d.SizeGB = &small })},
	} {
		_, err := r.Put(t.Context(), diskID("d"), x.want)
		if e := refused(t, err, x.code); e.Code == "PlatformImageNotFound" && !strings.Contains(e.Message, "'p:o:s:v'") {
			t.Errorf("%d: %s", i, e.Message)
		}
	}
	_, err := r.Put(t.Context(), snapshotID("s"), imaged(known))
	refused(t, err, "InvalidParameter")
	r.wholeStore()
}

// TestImage makes an image of a snapshot and a disk, deletes both, and finds the image whole, before and after a restart.
func TestImage(t *testing.T) {
	r := newRig(t)
	r.group()
	a, b := r.put(diskID("a"), empty(1)), r.put(diskID("b"), empty(2))
	r.store.put(a.Store, 0, "system")
	r.store.put(b.Store, 0, "data")
	r.put(snapshotID("s"), copyOf(diskID("a")))
	want := tintype.ImageRequest{
		Generation: "V2", OS: osOf(tintype.ImageSource{Snapshot: snapshotID("s").String()}),
		Data: []tintype.ImageDiskRequest{dataOf(3, ofDisk("b"))},
	}
	made := r.image("i", want)
	r.store.put(b.Store, 0, "later")
	if i := made.Image; i.OS.SizeGB != 1 || i.Data[0].SizeGB != 2 || i.Data[0].LUN != 3 || i.Generation != "V2" || i.Creating {
		t.Errorf("the image is %+v", i)
	}
	for _, id := range []tintype.ResourceID{diskID("a"), diskID("b"), snapshotID("s")} {
		a, _, err := r.Delete(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.finish(a)
	}
	r.restart()
	again, err := r.GetCompanion(t.Context(), imageID("I"))
	if err != nil || cmp.Diff(made, again) != "" {
		t.Errorf("after a restart: %v %s", err, cmp.Diff(made, again))
	}
	for disk, text := range map[tintype.ResourceID]string{made.Image.OS.Volume: "system", made.Image.Data[0].Volume: "data"} {
		v := r.get(disk)
		if got := r.store.content(t, v.Store)[0]; got != text {
			t.Errorf("%s holds %q, not %q", disk.Name, got, text)
		}
	}
	if v := r.get(made.Image.OS.Volume); v.Settings.OSType != "Linux" || v.Settings.HyperVGeneration != "V2" {
		t.Errorf("the system's disk: %+v", v.Settings)
	}

	lun := int64(3)
	for name, text := range map[string]string{"first": "system", "second": "data"} {
		from := tintype.ImageReference{ID: imageID("I").String()}
		if name == "second" {
			from.LUN = &lun
		}
		d := r.put(diskID(name), imaged(from))
		if got := r.store.content(t, d.Store)[0]; got != text || d.Creation.Source != from.ID {
			t.Errorf("%s holds %q and was made of %q", name, got, d.Creation.Source)
		}
		if name == "first" && d.Settings.OSType != "Linux" || d.SizeGB() != 1 && name == "first" || d.SizeGB() != 2 && name == "second" {
			t.Errorf("%s is %+v", name, d)
		}
		if _, err := r.Put(t.Context(), diskID(name), imaged(from)); err != nil {
			t.Errorf("the same again: %v", err)
		}
	}
	_, err = r.Put(t.Context(), diskID("second"), imaged(tintype.ImageReference{ID: imageID("I").String()}))
	refused(t, err, "PropertyChangeNotAllowed")
	if _, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2", Tags: map[string]string{"a": "b"}}, want); err != nil {
		t.Errorf("the same again: %v", err)
	}
	tagged := map[string]string{"a": "c"}
	if _, err := r.PatchImage(t.Context(), imageID("i"), tintype.CompanionRequest{Tags: tagged}, tintype.ImageRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range made.Image.Disks() {
		if got := r.get(d.Volume).Tags; !maps.Equal(got, tagged) { // usage is told by them
			t.Errorf("%s has the tags %v", d.Volume.Name, got)
		}
	}
	want.OS.Source.Snapshot = snapshotID("other").String()
	_, _, err = r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, want)
	refused(t, err, "PropertyChangeNotAllowed")
	_, err = r.PatchImage(t.Context(), imageID("i"), tintype.CompanionRequest{}, tintype.ImageRequest{Generation: "V1"})
	refused(t, err, "PropertyChangeNotAllowed")
	if _, ok, err := r.DeleteImage(t.Context(), imageID("i")); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	if _, ok, err := r.DeleteImage(t.Context(), imageID("i")); ok || err != nil {
		t.Errorf("deleted again: %v %v", ok, err)
	}
	if got := r.store.content(t, r.get(diskID("second")).Store)[0]; got != "data" {
		t.Errorf("without its image a disk holds %q", got)
	}
	r.wholeStore()
}

// TestImageOfMachine makes an image of a machine's disks, once it is generalized, and deletes its group.
func TestImageOfMachine(t *testing.T) {
	r := newRig(t)
	r.group()
	for _, name := range []string{"os", "a"} {
		r.put(diskID(name), empty(1))
	}
	os := dataDisk(0, "os")
	os.LUN = nil
	r.machine("vm", tintype.MachineRequest{OS: &os, Data: []tintype.MachineDiskRequest{dataDisk(5, "a")}})
	want := tintype.ImageRequest{Machine: machineID("vm").String()}
	_, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, want)
	refused(t, err, "OperationNotAllowed")
	if err := r.Generalize(t.Context(), machineID("vm")); err != nil {
		t.Fatal(err)
	}
	i := r.image("i", want).Image
	if i.OS.Caching != "ReadWrite" || i.OS.OSType != "Linux" || len(i.Data) != 1 || i.Data[0].LUN != 5 || i.Generation != "V1" {
		t.Errorf("the image is %+v", i)
	}
	a, err := r.DeleteGroup(t.Context(), testSub, "g")
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	r.wholeStore()
}

// TestImageRefusals wants the reason of every request that can't be had, and nothing left of it.
func TestImageRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(2))
	r.put(diskID("upload"), upload(tintype.MinUploadBytes))
	east := empty(1)
	east.Location = "eastus"
	r.put(diskID("east"), east)
	good := osOf(ofDisk("a"))
	with := func(change func(*tintype.ImageDiskRequest)) tintype.ImageRequest {
		d := *good
		change(&d)
		return tintype.ImageRequest{OS: &d}
	}
	yes, small := true, int64(1)
	for _, x := range []struct {
		code string
		want tintype.ImageRequest
	}{
		{"InvalidParameter", tintype.ImageRequest{}},
		{"InvalidParameter", tintype.ImageRequest{OS: good, Generation: "V3"}},
		{"InvalidParameter", tintype.ImageRequest{OS: good, Machine: machineID("vm").String()}},
		{"InvalidParameter", tintype.ImageRequest{Machine: diskID("a").String()}},
		{"NotFound", tintype.ImageRequest{Machine: machineID("none").String()}},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.OSType = "" })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.OSState = "Half" })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.Source = tintype.ImageSource{} })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.Source.Snapshot = snapshotID("s").String() })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.Source.Disk = snapshotID("s").String() })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.Caching = "Some" })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.Storage = "UltraSSD_LRS" })},
		{"InvalidParameter", with(func(d *tintype.ImageDiskRequest) { d.SizeGB = &small })},
		{"NotFound", with(func(d *tintype.ImageDiskRequest) { d.Source = ofDisk("none") })},
		{"NotFound", with(func(d *tintype.ImageDiskRequest) { d.Source = ofDisk("east") })},
		{"OperationNotAllowed", with(func(d *tintype.ImageDiskRequest) { d.Source = ofDisk("upload") })},
		{"InvalidParameter", tintype.ImageRequest{OS: good, Data: []tintype.ImageDiskRequest{{Source: ofDisk("a")}}}},
		{"InvalidParameter", tintype.ImageRequest{OS: good, Data: []tintype.ImageDiskRequest{dataOf(64, ofDisk("a"))}}},
		{"OperationNotAllowed", tintype.ImageRequest{OS: good, Data: []tintype.ImageDiskRequest{dataOf(1, ofDisk("a")), dataOf(1, ofDisk("a"))}}},
	} {
		_, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, x.want)
		refused(t, err, x.code)
	}
	_, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus"}, tintype.ImageRequest{OS: good, Zoned: &yes})
	refused(t, err, "InvalidParameter")
	_, err = r.GetCompanion(t.Context(), imageID("i"))
	refused(t, err, "ResourceNotFound")
	r.wholeStore()
	// The same disk may be in an image twice.
	r.image("twice", tintype.ImageRequest{OS: good, Data: []tintype.ImageDiskRequest{dataOf(0, ofDisk("a"))}})
}

// TestImageOfBlobs copies the blobs of an image behind its operation, goes on after a restart, and takes all back when one is gone.
func TestImageOfBlobs(t *testing.T) {
	r := newRig(t)
	r.group()
	const size = 12 << 20
	held := newImage(map[int64]string{0: "data"}, size)
	held.hold = make(chan struct{})
	all := map[string]*memImage{"https://h/os": newImage(map[int64]string{0: "system"}, size), "https://h/data": held}
	r.images(all)
	want := tintype.ImageRequest{
		OS:   osOf(tintype.ImageSource{BlobURI: "https://h/os?sig=secret"}),
		Data: []tintype.ImageDiskRequest{dataOf(0, tintype.ImageSource{BlobURI: "https://h/data?sig=secret"})},
	}
	op, created, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, want)
	if err != nil || !created || op.State != tintype.InProgress {
		t.Fatalf("%v %v %v", op.State, created, err)
	}
	_, _, err = r.DeleteImage(t.Context(), imageID("i"))
	refused(t, err, "OperationNotAllowed")
	r.restart()
	close(held.hold)
	if op := r.ended(tintype.Accepted{Operation: op}); op.State != tintype.Succeeded {
		t.Fatalf("%s %v", op.State, op.Failure)
	}
	c, err := r.GetCompanion(t.Context(), imageID("i"))
	if err != nil || c.Image.Creating || c.Image.OS.Source.BlobURI != "https://h/os" || c.Image.Generation != "V1" {
		t.Errorf("%+v %v", c.Image, err)
	}
	if got := r.store.content(t, r.get(c.Image.Data[0].Volume).Store)[0]; !strings.HasPrefix(got, "data") {
		t.Errorf("the data disk holds %q", got)
	}

	all["https://h/data"].fail = errors.New("gone")
	op, _, err = r.PutImage(t.Context(), imageID("j"), tintype.CompanionRequest{Location: "westus2"}, want)
	if err != nil {
		t.Fatal(err)
	}
	if op := r.ended(tintype.Accepted{Operation: op}); op.State != tintype.Failed || op.Failure.Code != "DiskBlobNotFound" {
		t.Errorf("%s %v", op.State, op.Failure)
	}
	_, err = r.GetCompanion(t.Context(), imageID("j"))
	refused(t, err, "ResourceNotFound")
	r.wholeStore()
}
