package nbd_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/lsd"
	"tintype/internal/nbd"
	"tintype/internal/vfs"
)

// past is a disk of a real store with three snapshots, between which it was written to and grew.
type past struct {
	store     *lsd.Store
	disk      block.Device
	snapshots []block.Device
}

func newPast(t *testing.T, seed uint64) past {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := lsd.Open(vfs.OS(), t.TempDir(), lsd.Options{})
	must(err)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	id := uuid.New()
	must(store.Create(id, 16<<20))
	p := past{store: store}
	p.disk, err = store.OpenVolume(id)
	must(err)
	t.Cleanup(func() { p.disk.Close() })
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range 3 {
		for range 20 {
			b := make([]byte, 1+rng.IntN(40000))
			for j := range b {
				b[j] = byte(rng.Uint32())
			}
			_, err := p.disk.WriteAt(b, rng.Int64N(p.disk.Size()-int64(len(b))))
			must(err)
		}
		must(p.disk.WriteZeroes(rng.Int64N(8<<20), 1<<20))
		snap := uuid.New()
		must(store.Snapshot(block.Cut{Source: id, Snapshot: snap}))
		dev, err := store.OpenVolume(snap)
		must(err)
		t.Cleanup(func() { dev.Close() })
		p.snapshots = append(p.snapshots, dev)
		if i == 1 {
			must(store.Resize(id, 20<<20))
		}
	}
	return p
}

func content(t *testing.T, dev block.Device) []byte {
	t.Helper()
	b := make([]byte, dev.Size())
	if _, err := dev.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// extent is a line of nbdinfo --map.
type extent struct{ Offset, Length, Type int64 }

// dirtyMap is what a map of the difference must be.
func dirtyMap(t *testing.T, newer, older block.Device) []extent {
	t.Helper()
	var all []extent
	at := int64(0)
	add := func(to, kind int64) {
		if n := len(all); n > 0 && all[n-1].Type == kind {
			all[n-1].Length += to - at
		} else if to > at {
			all = append(all, extent{at, to - at, kind})
		}
		at = to
	}
	err := newer.(block.Comparer).Compare(older, 0, newer.Size(), func(e block.Extent) bool {
		add(e.Off, 0)
		add(e.Off+e.Len, 1)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	add(newer.Size(), 0)
	return all
}

func (p past) export() nbd.Export {
	return nbd.Export{Name: "s3", Device: p.snapshots[2], ReadOnly: true, Bitmaps: []nbd.Bitmap{
		{Name: "s1", Older: p.snapshots[0]}, {Name: "s2", Older: p.snapshots[1]},
	}}
}

// TestDirtyBitmaps has nbdinfo list and map the bitmaps of an export.
func TestDirtyBitmaps(t *testing.T) {
	p := newPast(t, 1)
	_, socket := serveExports(t, p.export(), nbd.Export{Name: "plain", Device: blocktest.NewMem(1 << 20)})
	var info struct {
		Exports []struct {
			Name     string `json:"export-name"`
			Contexts []string
		}
	}
	if err := json.Unmarshal([]byte(tool(t, "nbdinfo", "--json", uri(socket, "s3"))), &info); err != nil {
		t.Fatal(err)
	}
	want := []string{"base:allocation", "qemu:dirty-bitmap:s1", "qemu:dirty-bitmap:s2"}
	if len(info.Exports) != 1 || !cmp.Equal(info.Exports[0].Contexts, want) {
		t.Errorf("contexts %+v", info.Exports)
	}
	for i, name := range []string{"s1", "s2"} {
		var got []extent
		out := tool(t, "nbdinfo", "--map=qemu:dirty-bitmap:"+name, "--json", uri(socket, "s3"))
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if want := dirtyMap(t, p.snapshots[2], p.snapshots[i]); !cmp.Equal(got, want) || len(got) < 10 {
			t.Errorf("%s: %s", name, cmp.Diff(want, got))
		}
	}
}

// TestIncrementalCopy brings an image of an older snapshot up to date with stock tools alone: nbdinfo says where, qemu-img
// copies.
func TestIncrementalCopy(t *testing.T) {
	p := newPast(t, 2)
	_, socket := serveExports(t, p.export(), nbd.Export{Name: "s1", Device: p.snapshots[0], ReadOnly: true})
	image := filepath.Join(t.TempDir(), "image")
	tool(t, "nbdcopy", uri(socket, "s1"), image)
	if err := os.Truncate(image, p.snapshots[2].Size()); err != nil {
		t.Fatal(err)
	}
	var changes []extent
	out := tool(t, "nbdinfo", "--map=qemu:dirty-bitmap:s1", "--json", uri(socket, "s3"))
	if err := json.Unmarshal([]byte(out), &changes); err != nil {
		t.Fatal(err)
	}
	copied := int64(0)
	for _, e := range changes {
		if e.Type&1 == 0 {
			continue
		}
		part := fmt.Sprintf("driver=raw,offset=%d,size=%d,", e.Offset, e.Length)
		tool(t, "qemu-img", "convert", "-n", "--image-opts", "--target-image-opts",
			part+"file.driver=nbd,file.export=s3,file.server.type=unix,file.server.path="+socket,
			part+"file.driver=file,file.filename="+image)
		copied += e.Length
	}
	got, err := os.ReadFile(image)
	if err != nil || !bytes.Equal(got, content(t, p.snapshots[2])) {
		t.Fatalf("the image is not the newer snapshot (%v)", err)
	}
	if copied == 0 || copied > p.snapshots[2].Size()/2 {
		t.Errorf("%d bytes were copied", copied)
	}
	// The same through QEMU's own reading of the bitmap: what is dirty it shows as without data.
	var pieces []struct {
		Start, Length int64
		Data          bool
	}
	out = tool(t, "qemu-img", "map", "--output=json", "--image-opts",
		"driver=nbd,export=s3,server.type=unix,server.path="+socket+",x-dirty-bitmap=qemu:dirty-bitmap:s1")
	if err := json.Unmarshal([]byte(out), &pieces); err != nil {
		t.Fatal(err)
	}
	var seen []extent
	for _, x := range pieces {
		kind := int64(1)
		if x.Data {
			kind = 0
		}
		seen = append(seen, extent{x.Start, x.Length, kind})
	}
	if diff := cmp.Diff(changes, seen); diff != "" {
		t.Error(diff)
	}
}

// TestNbdcopyOfChanges has one nbdcopy turn an image of an older snapshot into one of the newer: with requests that are
// shorter than the space between two changes and longer, over one connection and several.
func TestNbdcopyOfChanges(t *testing.T) {
	p := newPast(t, 4)
	_, socket := serveExports(t, nbd.Export{Name: "s1", Device: p.snapshots[0], ReadOnly: true},
		nbd.Export{Name: "changes", Device: p.snapshots[2], ReadOnly: true, Changes: p.snapshots[0]},
		nbd.Export{Name: "none", Device: p.snapshots[2], ReadOnly: true, Changes: p.snapshots[2]})
	want := content(t, p.snapshots[2])
	for _, options := range [][]string{nil, {"--request-size=4096"}, {"--request-size=8388608", "--connections=1"}} {
		image := filepath.Join(t.TempDir(), "image")
		tool(t, "nbdcopy", uri(socket, "s1"), image)
		if err := os.Truncate(image, int64(len(want))); err != nil {
			t.Fatal(err)
		}
		for _, export := range []string{"changes", "none"} {
			// A regular file nbdcopy would empty first, so the image is served.
			tool(t, "nbdcopy", slices.Concat(options, []string{
				"--destination-is-zero", "-S", "0", "--", uri(socket, export), "[", "qemu-nbd", "-f", "raw", image, "]",
			})...)
		}
		if got, err := os.ReadFile(image); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: the image is not the newer snapshot (%v)", options, err)
		}
	}
	var got []extent
	if err := json.Unmarshal([]byte(tool(t, "nbdinfo", "--map", "--json", uri(socket, "changes"))), &got); err != nil {
		t.Fatal(err)
	}
	changed := dirtyMap(t, p.snapshots[2], p.snapshots[0])
	for i := range changed {
		changed[i].Type = 3 * (1 - changed[i].Type) // what did not change is a hole of zeroes
	}
	if diff := cmp.Diff(changed, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []nbd.Export{
		{Name: "x", Device: p.snapshots[2], Changes: blocktest.NewMem(1 << 20)}, {Name: "x", Device: blocktest.NewMem(1 << 20), Changes: p.disk},
	} {
		if err := nbd.NewServer(nbd.Options{}).Add(bad); err == nil {
			t.Error("an export of what cannot be compared was taken")
		}
	}
}

// TestContextsTogether selects all contexts at once and reads their answers to one request.
func TestContextsTogether(t *testing.T) {
	p := newPast(t, 3)
	_, socket := serveExports(t, p.export())
	w := greetRaw(t, socket, 3)
	w.option(8, nil)
	w.wantReply(8, 1)
	listed := func(opt uint32, queries ...string) (names []string) {
		w.option(opt, contextData("s3", queries...))
		for {
			kind, data := w.optionReply(opt)
			if kind == 1 {
				return names
			}
			names = append(names, string(data[4:]))
		}
	}
	const base, s1, s2 = "base:allocation", "qemu:dirty-bitmap:s1", "qemu:dirty-bitmap:s2"
	for _, c := range []struct {
		queries, want []string
	}{
		{nil, []string{base, s1, s2}},
		{[]string{"base:"}, []string{base}},
		{[]string{"qemu:"}, []string{s1, s2}},
		{[]string{"qemu:dirty-bitmap:"}, []string{s1, s2}},
		{[]string{s2, s2}, []string{s2}},
		{[]string{"qemu:dirty-bitmap:s3", "qemu:allocation-depth", "qemu"}, nil},
	} {
		if got := listed(9, c.queries...); !cmp.Equal(got, c.want) {
			t.Errorf("list %q: %q", c.queries, got)
		}
	}
	if got := listed(10, "qemu:", "qemu:dirty-bitmap:"); got != nil {
		t.Errorf("set took a wildcard for %q", got)
	}
	if got := listed(10, s2, base, s1); !cmp.Equal(got, []string{base, s1, s2}) {
		t.Errorf("set: %q", got)
	}
	w.option(7, infoData("s3"))
	w.wantReply(7, 3)
	w.wantReply(7, 1)
	size := p.snapshots[2].Size()
	for _, one := range []bool{false, true} {
		flags := uint16(0)
		if one {
			flags = 1 << 3
		}
		w.request(flags, 7, 1, 0, uint32(size))
		got := map[uint32][]extent{}
		for done := false; !done; {
			head := w.read(20)
			if kind := binary.BigEndian.Uint16(head[6:]); kind != 5 {
				t.Fatalf("chunk of type %#x", kind)
			}
			done = binary.BigEndian.Uint16(head[4:])&1 != 0
			data := w.read(int(binary.BigEndian.Uint32(head[16:])))
			at := int64(0)
			id := binary.BigEndian.Uint32(data)
			for d := data[4:]; len(d) > 0; d = d[8:] {
				n := int64(binary.BigEndian.Uint32(d))
				got[id] = append(got[id], extent{at, n, int64(binary.BigEndian.Uint32(d[4:]))})
				at += n
			}
		}
		for id, older := range map[uint32]block.Device{2: p.snapshots[0], 3: p.snapshots[1]} {
			want := dirtyMap(t, p.snapshots[2], older)
			if one {
				want = want[:1]
			}
			if diff := cmp.Diff(want, got[id]); diff != "" {
				t.Error(diff)
			}
		}
		if len(got) != 3 || len(got[1]) == 0 || one && len(got[1]) != 1 {
			t.Errorf("contexts %v", got)
		}
	}
}

// TestBadBitmaps: an export is refused when its bitmaps cannot be served.
func TestBadBitmaps(t *testing.T) {
	p, other := newPast(t, 4), newPast(t, 5)
	s := nbd.NewServer(nbd.Options{})
	good := nbd.Bitmap{Name: "s1", Older: p.snapshots[0]}
	for name, bitmaps := range map[string][]nbd.Bitmap{
		"no name":      {{Older: p.snapshots[0]}},
		"long name":    {{Name: strings.Repeat("x", 4090), Older: p.snapshots[0]}},
		"twice":        {good, good},
		"other store":  {good, {Name: "s2", Older: other.snapshots[0]}},
		"other device": {{Name: "s1", Older: blocktest.NewMem(1 << 20)}},
		"too many":     make([]nbd.Bitmap, 1025),
	} {
		if err := s.Add(nbd.Export{Name: "x", Device: p.snapshots[2], Bitmaps: bitmaps}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	err := s.Add(nbd.Export{Name: "x", Device: p.snapshots[2], Bitmaps: []nbd.Bitmap{{Name: "o", Older: other.snapshots[0]}}})
	if !errors.Is(err, block.ErrUnrelated) {
		t.Errorf("a bitmap without a common past: %v", err)
	}
	if err := s.Add(nbd.Export{Name: "x", Device: blocktest.NewMem(1 << 20), Bitmaps: []nbd.Bitmap{good}}); err == nil {
		t.Error("a device that cannot be compared was accepted with a bitmap")
	}
}
