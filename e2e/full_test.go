package e2e

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tintype/internal/rig"
)

// TestFull fills a small file system. Writes are refused with ENOSPC and nothing that was flushed is lost; snapshots and
// deletions go on; and writes go on once something was deleted.
func TestFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a file system of its own takes root")
	}
	data := t.TempDir()
	if out, err := rig.Run(t.Context(), "mount", "-t", "tmpfs", "-o", "size=800m", "tintype-e2e", data); err != nil {
		t.Skipf("no file system can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, 0); err != nil {
			t.Error(err)
		}
	})
	term := open(t, start(t, data))
	term.must("tintype group create -g g -l westus2 -o none")
	for _, name := range []string{"kept", "filler"} {
		term.must("tintype disk create -g g --size-gb 2 -o none -n " + name)
	}
	kept := dial(t, term.must("tintype disk attach -g g -n kept --host h"))
	defer kept.Close()
	block := make([]byte, mib)
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range block {
		block[i] = byte(rng.Uint32())
	}
	if _, err := kept.WriteAt(block, 0); err != nil {
		t.Fatal(err)
	}
	if err := kept.Flush(); err != nil {
		t.Fatal(err)
	}
	filler := dial(t, term.must("tintype disk attach -g g -n filler --host h"))
	defer filler.Close()
	var err error
	full := int64(0)
	for ; err == nil && full < 2<<30; full += mib {
		block[0]++ // blocks that are alike may be kept once, one day
		_, err = filler.WriteAt(block, full)
	}
	if !errors.Is(err, syscall.ENOSPC) || full < 100*mib {
		t.Fatalf("after %d MiB: %v", full/mib, err)
	}
	term.must("tintype snapshot create -g g -n s --source kept -o none")
	term.must("tintype disk create -g g -n restored --source s -o none")
	got := make([]byte, mib)
	restored := dial(t, term.must("tintype disk attach -g g -n restored --host h"))
	defer restored.Close()
	want := bytes.Clone(block)
	want[0] = byte(int(want[0]) - int(full/mib)) // as it was in the beginning
	if _, err := restored.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("restored on a full store: %v", err)
	}
	if out := term.must("tintype store stats -o table"); !strings.Contains(out, "liveBytes") {
		t.Errorf("stats:\n%s", out)
	}
	filler.Close()
	term.must("tintype disk detach -g g -n filler")
	term.must("tintype disk delete -g g -n filler --yes")
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err = kept.WriteAt(block, mib); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the deletion: %v", err)
		}
	}
	if err := kept.Flush(); err != nil {
		t.Error(err)
	}
}
