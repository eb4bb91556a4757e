package vhd

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
)

// TestVHDXIsWhatQEMUReads writes images and has qemu-img check them, and qemu-io find the disk's bytes. QEMU knows logical
// sectors of 512 alone.
func TestVHDXIsWhatQEMUReads(t *testing.T) {
	for _, tool := range []string{"qemu-img", "qemu-io"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	for _, size := range []int64{512, 33<<20 + 512, 5 << 30} { // a sector bitmap's entry stands behind 128 blocks, 4 GiB
		image := filepath.Join(t.TempDir(), "disk.vhdx")
		x := NewLayout(size, 512, Identity{Unique: uuid.New()})
		head := make([]byte, x.Data())
		x.ReadHead(head, 0)
		f, err := os.Create(image)
		if err != nil {
			t.Fatal(err)
		}
		runs := [][]string{{"qemu-img", "check", "-f", "vhdx", image}}
		marks := map[int64]byte{0: 'a', size / 1024 * 512: 'm', size - 512: 'z'}
		_, err = f.WriteAt(head, 0)
		for at, mark := range marks {
			if _, e := f.WriteAt(bytes.Repeat([]byte{mark}, 512), x.Data()+at); e != nil {
				t.Fatal(e)
			}
		}
		if err := errors.Join(err, f.Truncate(x.Size()), f.Close()); err != nil {
			t.Fatal(err)
		}
		if size > 512 {
			for at, mark := range marks {
				runs = append(runs, []string{"qemu-io", "-r", "-f", "vhdx", "-c", fmt.Sprintf("read -P %d %d 512", mark, at), image})
			}
		}
		for _, run := range runs {
			out, err := exec.Command(run[0], run[1:]...).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("verification failed")) {
				t.Errorf("%d bytes: %v: %v\n%s", size, run, err, out)
			}
		}
	}
}

// TestVHDXHeadInPieces reads the head in pieces of any size and place.
func TestVHDXHeadInPieces(t *testing.T) {
	x := NewLayout(20<<30, 512, Identity{Unique: uuid.New()})
	whole := make([]byte, x.Data())
	x.ReadHead(whole, 0)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		off := random.Int64N(x.Data())
		p := make([]byte, 1+random.Int64N(min(9000, x.Data()-off)))
		x.ReadHead(p, off)
		if !bytes.Equal(p, whole[off:off+int64(len(p))]) {
			t.Fatalf("%d bytes at %d differ", len(p), off)
		}
	}
}
