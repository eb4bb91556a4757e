package blob

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/vhd"
)

// TestVHDXImage reads an image in ranges of any size and place, and has its extents cover it.
func TestVHDXImage(t *testing.T) {
	const size = 5 << 20
	disk := blocktest.NewMem(size + 4096) // larger than the grant
	if _, err := disk.WriteAt(bytes.Repeat([]byte("tintype."), 4096), 1<<20+512); err != nil {
		t.Fatal(err)
	}
	id := vhd.Identity{Unique: uuid.New()}
	image := NewVHDX(disk, size, 512, id)
	layout := vhd.NewLayout(size, 512, id)
	want := make([]byte, layout.Size())
	layout.ReadHead(want[:layout.Data()], 0)
	if _, err := disk.ReadAt(want[layout.Data():][:size], 0); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		off := random.Int64N(layout.Size())
		p := bytes.Repeat([]byte{0xff}, int(1+random.Int64N(min(1<<20, layout.Size()-off))))
		if _, err := image.ReadAt(p, off); err != nil || !bytes.Equal(p, want[off:off+int64(len(p))]) {
			t.Fatalf("%d bytes at %d: %v", len(p), off, err)
		}
		at := off
		err := image.Extents(off, int64(len(p)), func(e block.Extent) bool {
			if e.Off != at || !e.Data && !allZero(want[e.Off:e.Off+e.Len]) {
				t.Errorf("extent %+v where %d follows", e, at)
			}
			at = e.Off + e.Len
			return true
		})
		if err != nil || at != off+int64(len(p)) {
			t.Fatalf("extents of %d bytes at %d end at %d: %v", len(p), off, at, err)
		}
	}
	if _, err := image.WriteAt([]byte{1}, 0); err == nil || !image.ReadOnly() {
		t.Error("the image takes writes")
	}
}
