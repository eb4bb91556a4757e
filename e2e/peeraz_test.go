package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
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
	reader := snapshotReader(t, there, far)
	here := start(t, t.TempDir(), "--peer", peerFolder(t, there, reader))
	term := openAz(t, here)
	term.must("az group create -g g -l westus2 -o none")
	term.must("az snapshot create -g g -n s --incremental true --copy-start true --source " + source + " -o none")
	show := "az snapshot show -g g -n s -o tsv --query [completionPercent,creationData.createOption,creationData.sourceResourceId]"
	got := ""
	for range 120 {
		if got = strings.Join(strings.Fields(term.must(show)), " "); strings.HasPrefix(got, "100") {
			break
		}
		time.Sleep(time.Second)
	}
	if got != "100.0 CopyStart "+source {
		t.Errorf("%q", got)
	}
	term.must("az disk create -g g -n d --source s -o none")
	far.until(source, func(p progress) bool { return p.Properties.DiskState == "Unattached" })
	as := far.with(far.login(reader.AppID, reader.Password))
	for _, line := range [][2]string{{"DELETE", source}, {"PUT", source}, {"GET", far.id("g", "disks", "d")}} {
		if r := as.send(line[0], versioned(line[1]), incremental(far.id("g", "disks", "d"))); r.status != http.StatusForbidden {
			t.Errorf("who reads snapshots may %s %s: %d %s", line[0], line[1], r.status, r.body)
		}
	}
}

// snapshotReader makes the principal that docs/operate.md tells operators to make.
func snapshotReader(t *testing.T, s *rig.Server, a *api) rig.Principal {
	t.Helper()
	owner, err := s.Principal()
	if err != nil {
		t.Fatal(err)
	}
	role := filepath.Join(t.TempDir(), "role.json")
	text := `{"Name": "SnapshotReader", "Description": "reads snapshots and their bytes", "AssignableScopes": ["` + a.subscription() + `"],
		"Actions": ["Microsoft.Compute/snapshots/read", "Microsoft.Compute/snapshots/beginGetAccess/action",
			"Microsoft.Compute/snapshots/endGetAccess/action"]}`
	if err := os.WriteFile(role, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	term := openAz(t, s)
	term.must(azRoles + "role definition create --role-definition " + role + " -o none")
	p := newPrincipal(t, term, "-n copies --role SnapshotReader --scopes "+a.subscription()+"/resourceGroups/g")
	owner.AppID, owner.Password, owner.Tenant = p.AppID, p.Password, p.Tenant
	return owner
}
