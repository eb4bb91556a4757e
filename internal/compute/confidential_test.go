package compute

import (
	"testing"

	"github.com/google/uuid"

	"tintype"
)

// keyedRig is a server with a vault, and with sets of the kinds: one here and one far away of each.
func keyedRig(t *testing.T) (*rig, *shelf, *turning, func(name, kind, location string) string) {
	r := newRig(t)
	r.group()
	vaults := &shelf{gone: map[string]bool{}}
	keys := &turning{ringed: &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}}, then: func(uuid.UUID) {}}
	r.vaults, r.keys = vaults, keys
	r.restart()
	keys.watch(r)
	return r, vaults, keys, func(name, kind, location string) string {
		t.Helper()
		id := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: name}
		_, err := r.PutCompanion(t.Context(), id, tintype.CompanionRequest{Location: location, Set: &tintype.EncryptionSetRequest{
			Type: kind, Rotate: ptr(true), ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return id.String()
	}
}

// confidentialDisk imports a disk under a set for confidential machines, with its guest state.
func (r *rig) confidentialDisk(name, set string) tintype.Volume {
	r.t.Helper()
	return r.secureDiskOf(name, tintype.SecurityProfile{Type: "ConfidentialVM_DiskEncryptedWithCustomerKey", EncryptionSetID: set})
}

// TestConfidentialCopiesFarAway copies what is of a confidential disk to a region that its set is not in: under the set that the request names
// there, or else under the platform's key.
func TestConfidentialCopiesFarAway(t *testing.T) {
	r, _, keys, set := keyedRig(t)
	const secret, customer = "ConfidentialVmEncryptedWithCustomerKey", "EncryptionAtRestWithCustomerKey"
	here, other, far, plain := set("here", secret, "westus2"), set("other", secret, "westus2"), set("far", secret, "eastus"), set("plain", customer, "eastus")
	d := r.confidentialDisk("d", here)
	r.collect("c", "westus2", d.ID.String())
	r.collect("copies", "eastus", collectionID("c").String())
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{})
	check := func(id tintype.ResourceID, want string) {
		t.Helper()
		v := r.get(id)
		under, err := keys.KeyOf(v.Store)
		g, failed := keys.KeyOf(r.get(v.ID.GuestState()).Store)
		if v.Settings.KeySet() != want || err != nil || failed != nil || (under == "") != (want == "") || g != under {
			t.Errorf("%s is of set %q, under %q, its guest state under %q", id.Name, v.Settings.KeySet(), under, g)
		}
	}
	check(p.Disks[0].Point, here)
	for name, want := range map[string]string{"none": "", "far": far, "plain": plain} {
		ask := tintype.RestorePointRequest{Source: p.ID.String(), Encryption: map[string]tintype.Encryption{}}
		if want != "" {
			ask.Encryption[p.Disks[0].Point.Key()] = tintype.Encryption{SetID: want}
		}
		check(r.point(pointID("copies", name), ask).Disks[0].Point, want)
	}
	moved := r.point(pointID("c", "moved"), tintype.RestorePointRequest{Encryption: map[string]tintype.Encryption{d.ID.Key(): {SetID: other}}})
	check(moved.Disks[0].Point, other)

	snap := copyOf(d.ID)
	snap.Incremental = ptr(true)
	s := r.put(snapshotID("s"), snap)
	check(s.ID, here)
	start := tintype.Desired{
		Location: "eastus", Incremental: ptr(true), Creation: &tintype.CreationRequest{Option: "CopyStart", SourceResourceID: s.ID.String()},
	}
	check(r.put(snapshotID("there"), start).ID, "")
	start.SecurityProfile = &tintype.SecurityProfile{Type: "ConfidentialVM_DiskEncryptedWithCustomerKey", EncryptionSetID: far}
	check(r.put(snapshotID("sealed"), start).ID, far)
}

// TestRotationDuringAccept rotates the key of a set when a restore point, an image, and their guest states are under the old one already and no
// record names them: they come under the new key, too.
func TestRotationDuringAccept(t *testing.T) {
	r, vaults, keys, set := keyedRig(t)
	d := r.confidentialDisk("d", set("secret", "ConfidentialVmEncryptedWithCustomerKey", "westus2"))
	plain := empty(1)
	plain.OSType, plain.Encryption = "Linux", &tintype.Encryption{SetID: set("plain", "EncryptionAtRestWithCustomerKey", "westus2")}
	r.put(diskID("os"), plain)
	r.collect("c", "westus2", d.ID.String())
	for at, make := range []func() error{
		func() error {
			_, _, err := r.PutPoint(t.Context(), pointID("c", "p"), tintype.RestorePointRequest{})
			return err
		},
		func() error {
			_, _, err := r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, tintype.ImageRequest{OS: osOf(ofDisk("os"))})
			return err
		},
	} {
		turned := false
		keys.then = func(uuid.UUID) {
			if turned {
				return
			}
			turned = true
			vaults.mu.Lock()
			vaults.newest = []string{keyTwo, keyOne}[at]
			vaults.mu.Unlock()
			if err := r.settleSets(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := make(); err != nil || !turned {
			t.Error(at, turned, err)
		}
	}
	for _, id := range r.store.ids() {
		if under, err := keys.KeyOf(uuid.MustParse(id)); err != nil || !keys.given[under] {
			t.Errorf("%s is under %q: %v", id, under, err)
		}
	}
}

// TestMissingSource names the source that is gone, and not an empty disk, which has none.
func TestMissingSource(t *testing.T) {
	r := newRig(t)
	r.group()
	v := r.put(diskID("there"), empty(1))
	cuts := []cut{{name: "empty"}, {name: "there", source: v.Store}, {name: "gone", source: uuid.New()}}
	if got := r.missing(cuts); got != "gone" {
		t.Errorf("%q is missing", got)
	}
}
