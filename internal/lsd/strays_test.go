package lsd

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/faultfs"
)

// TestStrays puts files into a store's folder that nobody needs, the segment of a life that is over among them: each is named, and
// nothing else.
func TestStrays(t *testing.T) {
	h := newPunched(t, 500, 200)
	mustDo(t, h.s.Snapshot(block.Cut{Source: h.id, Snapshot: block.ID{1}}), h.s.Tighten())
	if all, err := h.s.Strays(h.fs); len(all) > 0 || err != nil {
		t.Fatalf("of a store in use nothing is needed of %+v, %v", all, err)
	}
	mustDo(t, h.s.Close())
	h.open()
	want := []Stray{
		{"engine/data-keys.new", 7, strayNew},
		{"engine/meta.bad", 7, straySetAside},
		{"engine/meta/000001.sst.bak", 7, strayUnknown},
		{"engine/odd", 0, strayUnknown},
		{"engine/segments/0000999999.seg", 7, strayDead},
		{"engine/segments/0000999999.seg.part", 7, strayNew},
		{"engine/segments/x.seg", 7, strayUnknown},
	}
	mustDo(t, h.fs.MkdirAll("engine/lost+found"), h.fs.MkdirAll("engine/meta.bad"), h.fs.MkdirAll("engine/odd"))
	for _, s := range want {
		name := s.Path
		if base := path.Base(name); base == "meta.bad" || base == "odd" {
			name += "/x"
		}
		mustDo(t, put(h.fs, name, "1234567"))
	}
	faults := faultfs.New(h.fs) // to which some folders are closed
	faults.Inject(faultfs.Fault{Kinds: faultfs.List, Err: fs.ErrPermission, Sticky: true, Name: func(name string) bool {
		return name == "engine/odd" || name == "engine/lost+found"
	}})
	got, err := h.s.Strays(faults)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	mustDo(t, h.s.Close())
}

func put(fsys vfs.FS, name, content string) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(content), 0)
	return errors.Join(err, f.Close())
}
