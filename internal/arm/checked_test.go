package arm

import (
	"context"
	"net/http"
	"testing"

	"tintype"
)

// earlier shows machines as they were before their data disks came.
type earlier struct{ Companions }

func (e earlier) GetCompanion(ctx context.Context, id tintype.ResourceID) (tintype.Companion, error) {
	found, err := e.Companions.GetCompanion(ctx, id)
	if found.Machine != nil {
		found = found.Clone()
		found.Machine.Data = nil
	}
	return found, err
}

// TestDiskAddedAfterTheCheck: what the caller's rights were not looked at for gets into no image and no restore point.
func TestDiskAddedAfterTheCheck(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/os", disk(`,"osType":"Linux"`, ""))
	r.put("disks/d", disk("", ""))
	vm := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/os") + `"},"osType":"Linux"},` +
		`"dataDisks":[{"lun":3,"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/d") + `"}}]}}}`
	if a := r.do("PUT", at("virtualMachines/vm"), vm); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	if a := r.do("POST", at("virtualMachines/vm/generalize"), nil); a.status != http.StatusOK {
		t.Fatalf("%d %v", a.status, a.body)
	}
	of := `{"location":"westus","properties":{"source":{"id":"` + inGroup("virtualMachines/vm") + `"}}}`
	if a := r.do("PUT", at("restorePointCollections/c"), of); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	image := `{"location":"westus","properties":{"sourceVirtualMachine":{"id":"` + inGroup("virtualMachines/vm") + `"}}}`
	now := r.seen.Companions
	r.seen.Companions = earlier{now}
	r.refuses("PUT", at("images/i"), image, http.StatusConflict, "OperationNotAllowed")
	r.refuses("PUT", at("restorePointCollections/c/restorePoints/p"), `{}`, http.StatusConflict, "OperationNotAllowed")
	r.seen.Companions = now
	for path, body := range map[string]string{at("images/i"): image, at("restorePointCollections/c/restorePoints/p"): `{}`} {
		if a := r.do("PUT", path, body); a.status != http.StatusCreated {
			t.Errorf("%s: %d %v", path, a.status, a.body)
		}
	}
}
