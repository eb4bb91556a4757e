package arm

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// give lets alice do everything with what the paths name in the group.
func (r *computeRig) give(paths ...string) {
	r.t.Helper()
	r.token = firstPrincipal
	for _, path := range paths {
		if a := r.do("PUT", inGroup(path)+assignPath+uuid.NewString()+roleV, assignment(ownerRole, aliceID)); a.status != http.StatusCreated {
			r.t.Fatalf("%d %v", a.status, a.body)
		}
	}
}

// leave makes a disk or snapshot, gives it to alice and deletes it.
func (r *computeRig) leave(path, body string) {
	r.t.Helper()
	r.token = firstPrincipal
	r.put(path, body)
	r.give(path)
	r.poll(r.do("DELETE", version(inGroup(path)), nil))
}

// TestStaleRolesOnDisksOfMachines: who had a role on a disk that is gone has none on the one of its name that is made with a machine, and
// may not make it.
func TestStaleRolesOnDisksOfMachines(t *testing.T) {
	r := newRoleRig(t)
	r.group("g")
	whole := machineBody(`{"id":"` + r.imageOf("i") + `"}`)
	whole = strings.Replace(strings.Replace(whole, `"name":null`, `"name":"sys"`, 1), `"lun":0`, `"lun":0,"name":"data"`, 1)
	r.leave("disks/sys", disk("", ""))
	r.leave("disks/data", disk("", ""))
	if a := r.do("PUT", at("virtualMachines/vm"), whole); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	r.token = aliceID
	for _, path := range []string{"disks/sys", "disks/data"} {
		r.refuses("PATCH", version(inGroup(path)), `{"tags":{"a":"b"}}`, http.StatusForbidden, "AuthorizationFailed")
	}

	r.leave("disks/more", disk("", ""))
	r.give("virtualMachines/vm", "images/i", "disks/sys", "disks/data")
	r.token = aliceID
	more := strings.Replace(whole, `"dataDisks":[`, `"dataDisks":[{"lun":1,"name":"more","createOption":"Empty","diskSizeGB":1},`, 1)
	r.refuses("PUT", at("virtualMachines/vm"), more, http.StatusForbidden, "LinkedAuthorizationFailed")
	if a := r.do("PUT", at("virtualMachines/vm"), whole); a.status != http.StatusOK {
		t.Errorf("what is there is no longer alice's: %d %v", a.status, a.body)
	}
}

// TestStaleRolesOnSnapshotsOfGroups: who had a role on a snapshot that is gone has none on the one of its name that is made with others, and
// may not make it.
func TestStaleRolesOnSnapshotsOfGroups(t *testing.T) {
	r := newRoleRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	r.give("disks/d")
	body := `{"snapshots":[` + copyBody("s", "disks/d") + `]}`
	for _, who := range []string{aliceID, firstPrincipal} {
		r.leave("snapshots/s", copyBody("s", "disks/d"))
		r.token = who
		if who == aliceID {
			r.refuses("POST", groupRoute, body, http.StatusForbidden, "AuthorizationFailed")
		} else if a := r.do("POST", groupRoute, body); a.status != http.StatusCreated {
			t.Fatalf("%d %v", a.status, a.body)
		}
	}
	r.token = aliceID
	r.refuses("PATCH", version(inGroup("snapshots/s")), `{"tags":{"a":"b"}}`, http.StatusForbidden, "AuthorizationFailed")
}
