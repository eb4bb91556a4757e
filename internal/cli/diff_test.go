package cli

import (
	"strings"
	"testing"

	"tintype/internal/nbd/nbdclient"
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

func (r *real) subscription(t *testing.T) string {
	t.Helper()
	return strings.Split(r.must(t, "snapshot", "show", "-g", "g", "-n", "a", "--query", "id", "-o", "tsv"), "/")[2]
}
