package lsd

import (
	"errors"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/block"
	"tintype/internal/vfs"
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
		{"engine/lost+found", 7, strayUnknown},
		{"engine/meta/000001.sst.bak", 7, strayUnknown},
		{"engine/segments/0000999999.seg", 7, strayDead},
		{"engine/segments/0000999999.seg.part", 7, strayNew},
		{"engine/segments/x.seg", 7, strayUnknown},
	}
	mustDo(t, h.fs.MkdirAll("engine/lost+found"))
	for _, s := range want {
		name := s.Path
		if path.Base(name) == "lost+found" {
			name += "/x"
		}
		mustDo(t, put(h.fs, name, "1234567"))
	}
	got, err := h.s.Strays(h.fs)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	mustDo(t, h.s.Close())
}

func put(fs vfs.FS, name, content string) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(content), 0)
	return errors.Join(err, f.Close())
}
