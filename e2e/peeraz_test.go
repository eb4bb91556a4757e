package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestPeerCopyAz has the real az copy a snapshot from another server, by its id there.
func TestPeerCopyAz(t *testing.T) {
	need(t, "az")
	there := start(t, t.TempDir())
	far := newAPI(t, there)
	far.makeGroup("g")
	far.must("PUT", versioned(far.id("g", "disks", "d")), emptyDisk(1))
	source := far.id("g", "snapshots", "s")
	far.must("PUT", versioned(source), incremental(far.id("g", "disks", "d")))
	here := start(t, t.TempDir(), "--peer", there.Client())
	term := openAz(t, here)
	term.must("az group create -g g -l westus2 -o none")
	term.must("az snapshot create -g g -n s --incremental true --copy-start true --source " + source + " -o none")
	show := "az snapshot show -g g -n s -o tsv --query [completionPercent,creationData.createOption,creationData.sourceResourceId]"
	got := ""
	for range 20 {
		if got = strings.Join(strings.Fields(term.must(show)), " "); strings.HasPrefix(got, "100") {
			break
		}
		time.Sleep(time.Second)
	}
	if got != "100.0 CopyStart "+source {
		t.Errorf("%q", got)
	}
	term.must("az disk create -g g -n d --source s -o none")
}
