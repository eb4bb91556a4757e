package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestSizes follows what two snapshots of a disk hold alone and together, and what deleting them frees, to the byte; az deletes
// one in the middle, and the rest is what it was.
func TestSizes(t *testing.T) {
	need(t, "az")
	term := openAz(t, start(t, t.TempDir()))
	term.must("tintype group create -g g -l westus2")
	term.must("tintype disk create -g g -n d --size-gb 1")
	guest := dial(t, term.must("tintype disk attach -g g -n d --host h"))
	defer guest.Close()
	write := func(block, n int, what string) {
		t.Helper()
		if _, err := guest.WriteAt([]byte(strings.Repeat(what, n*4096)), int64(block)*4096); err != nil {
			t.Fatal(err)
		}
	}
	shot := func(client, name string) {
		t.Helper()
		term.must(client + " snapshot create -g g --source d --incremental true -o none -n " + name)
	}
	write(0, 100, "a")
	shot("tintype", "s1")
	write(0, 10, "b")
	shot("az", "s2")
	write(5, 10, "c")
	shot("tintype", "s3")
	sizes := func(what string, used, incremental, exclusive int) {
		t.Helper()
		var got struct{ UsedBytes, IncrementalBytes, ExclusiveBytes, ProvisionedBytes int }
		if err := json.Unmarshal([]byte(term.must("tintype "+strings.Replace(what, " ", " sizes -g g -n ", 1))), &got); err != nil {
			t.Fatal(err)
		}
		if got.UsedBytes != used*4096 || got.IncrementalBytes != incremental*4096 || got.ExclusiveBytes != exclusive*4096 || got.ProvisionedBytes != 1<<30 {
			t.Errorf("%s: %+v, want %d, %d and %d blocks", what, got, used, incremental, exclusive)
		}
	}
	frees := func(what string, blocks int) {
		t.Helper()
		if got := term.must("tintype " + what + " --dry-run -g g --query freedBytes -o tsv"); got != fmt.Sprint(blocks*4096) {
			t.Errorf("%s would free %s bytes, want %d blocks", what, got, blocks)
		}
	}
	sizes("snapshot s1", 100, 100, 10)
	sizes("snapshot s2", 100, 10, 5)
	sizes("snapshot s3", 100, 10, 0)
	sizes("disk d", 100, 0, 0)
	frees("snapshot delete -n s1", 10)
	frees("snapshot delete -n s2", 5)
	frees("snapshot delete -n s1 -n s2", 20) // what both have of blocks 10 to 14 as well
	frees("snapshot delete -n s1 -n s2 -n s3", 20)
	term.mustFail("tintype disk delete -n d -g g --dry-run", "is attached to")
	live := func() int {
		var n int
		if _, err := fmt.Sscan(term.must("tintype store stats --query liveBytes -o tsv"), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := live(); n < 120*4096 {
		t.Errorf("the store says that %d bytes live", n)
	}
	if out := term.must("tintype store stats -o table"); !strings.Contains(out, "liveBytes") {
		t.Errorf("the table:\n%s", out)
	}
	term.must("az snapshot delete -g g -n s2")
	sizes("snapshot s3", 100, 15, 0)
	sizes("snapshot s1", 100, 100, 15)
	frees("snapshot delete -n s1 -n s3", 15)
	term.must("tintype snapshot delete -g g -n s1 -n s3")
	if left := term.must("tintype snapshot list -g g --query [].name -o tsv"); left != "" {
		t.Errorf("left: %s", left)
	}
	sizes("disk d", 100, 100, 100)
	for i := range 4 {
		shot("tintype", fmt.Sprint("f", i))
	}
	term.mustFail("az snapshot create -g g --source d --incremental true -n f4", "SnapshotsLimitReached", "within 5 minutes")
	if got := term.must("tintype snapshot show -g g -n f0 --query completionPercent -o tsv"); got != "100" {
		t.Errorf("completionPercent is %s", got)
	}
}
