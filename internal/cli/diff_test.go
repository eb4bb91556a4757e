package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/nbd/nbdclient"
	"tintype/internal/rig"
)

// TestSnapshotDiff lists a difference that is known by heart on the real server, and leaves no access behind.
func TestSnapshotDiff(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	r.must(t, "disk", "create", "-g", "g", "-n", "other", "--size-gb", "1")
	guest, err := nbdclient.Dial(t.Context(), r.must(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "h"))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	write := func(off int64, n int) {
		t.Helper()
		if _, err := guest.WriteAt([]byte(strings.Repeat("x", n)), off); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := func(name, source string) {
		r.must(t, "snapshot", "create", "-g", "g", "-n", name, "--source", source, "--incremental", "true")
	}
	write(0, 1<<20)
	write(64<<20, 8192)
	snapshot("a", "d")
	write(8192+100, 4096)
	write(1<<30-10, 10)
	if err := guest.WriteZeroes(64<<20, 4096); err != nil {
		t.Fatal(err)
	}
	snapshot("b", "d")
	snapshot("c", "d")
	snapshot("stranger", "other")
	diff := []string{"snapshot", "diff", "-g", "g", "-n"}
	for _, x := range []struct {
		newer, since, format, want string
	}{
		{"b", "a", "tsv", "True\t8192\t8192\nFalse\t4096\t67108864\nTrue\t4096\t1073737728"},
		{"c", "/subscriptions/" + r.subscription(t) + "/resourceGroups/g/providers/Microsoft.Compute/snapshots/b", "json", "[]"},
		{"c", "a", "table", "Start       Length    Data\n----------  --------  ------\n8192        8192      True\n" +
			"67108864    4096      False\n1073737728  4096      True"},
	} {
		line := append(diff, x.newer, "--since", x.since, "-o", x.format)
		if got := r.must(t, line...); got != x.want {
			t.Errorf("%s since %s: got\n%s\nwant\n%s", x.newer, x.since, got, x.want)
		}
	}
	r.fails(t, 1, "PreviousSnapshotCannotBeNewer", append(diff, "a", "--since", "b")...)
	r.fails(t, 1, "BlobOverwritten", append(diff, "b", "--since", "stranger")...)
	r.fails(t, 3, "ResourceNotFound", append(diff, "b", "--since", "none")...)
	r.fails(t, 2, "from itself", append(diff, "b", "--since", "B")...)
	if got := r.must(t, "snapshot", "list", "-g", "g", "--query", "[?diskState!='Unattached'].name", "-o", "json"); got != "[]" {
		t.Errorf("access was left to %s", got)
	}
}

// TestIncrementalBackup does what the manual says: an image of one snapshot becomes one of the next by what stock tools are
// told of the difference, also after a restart; and the older one stays as long as it is compared with.
func TestIncrementalBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	for _, name := range []string{"nbdinfo", "nbdcopy", "qemu-img"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed (libnbd-bin, qemu-utils)", name)
		}
	}
	t.Parallel()
	r := startReal(t)
	stock := func(name string, args ...string) string {
		t.Helper()
		out, err := rig.Run(t.Context(), name, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	r.must(t, "disk", "create", "-g", "g", "-n", "other", "--size-gb", "1")
	guest, err := nbdclient.Dial(t.Context(), r.must(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "h"))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"monday", "tuesday"} {
		for range 30 {
			if _, err := guest.WriteAt([]byte(strings.Repeat(name, 2000)), rng.Int64N(1<<30-20000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := guest.WriteZeroes(rng.Int64N(1<<29), 1<<28); err != nil {
			t.Fatal(err)
		}
		r.must(t, "snapshot", "create", "-g", "g", "-n", name, "--source", "d", "--incremental", "true")
	}
	r.must(t, "snapshot", "create", "-g", "g", "-n", "stranger", "--source", "other")
	dir := t.TempDir()
	image, whole := filepath.Join(dir, "image"), filepath.Join(dir, "whole")
	stock("nbdcopy", r.must(t, "snapshot", "attach", "-g", "g", "-n", "monday"), image)
	r.must(t, "snapshot", "detach", "-g", "g", "-n", "monday")

	attach := []string{"snapshot", "attach", "-g", "g", "-n", "tuesday", "--since"}
	r.fails(t, 1, "no history in common", append(attach, "monday", "stranger")...)
	uri := r.must(t, append(attach, "monday")...)
	r.fails(t, 1, "Snapshot monday is compared with /subscriptions/", "snapshot", "delete", "-g", "g", "-n", "monday")
	r.again(t)
	if got := r.must(t, append(attach, "monday")...); got != uri {
		t.Errorf("after the restart the URI is %s, was %s", got, uri)
	}
	var changes []struct{ Offset, Length, Type int64 }
	if err := json.Unmarshal([]byte(stock("nbdinfo", "--json", "--map=qemu:dirty-bitmap:monday", uri)), &changes); err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	export, socket := strings.TrimPrefix(parsed.Path, "/"), parsed.Query().Get("socket")
	copied := int64(0)
	for _, e := range changes {
		if e.Type&1 == 0 {
			continue
		}
		part := fmt.Sprintf("driver=raw,offset=%d,size=%d,", e.Offset, e.Length)
		stock("qemu-img", "convert", "-n", "--image-opts", "--target-image-opts",
			part+"file.driver=nbd,file.export="+export+",file.server.type=unix,file.server.path="+socket,
			part+"file.driver=file,file.filename="+image)
		copied += e.Length
	}
	if copied == 0 || copied > 1<<29 {
		t.Errorf("%d bytes were copied", copied)
	}
	stock("nbdcopy", uri, whole)
	stock("cmp", image, whole)
	r.must(t, "snapshot", "detach", "-g", "g", "-n", "tuesday")
	r.must(t, "snapshot", "delete", "-g", "g", "-n", "monday")
}

// again restarts the server.
func (r *real) again(t *testing.T) {
	t.Helper()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	server, err := rig.Start(t.Context(), rig.Options{Binary: r.binary, Data: r.Data, Log: log})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	r.Server = server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

func (r *real) subscription(t *testing.T) string {
	t.Helper()
	return strings.Split(r.must(t, "snapshot", "show", "-g", "g", "-n", "a", "--query", "id", "-o", "tsv"), "/")[2]
}
