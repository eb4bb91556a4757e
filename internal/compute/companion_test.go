package compute

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype"
)

// TestAssociated lists what uses an encryption set as clients know it: not guest states, and an image once however many disks it has.
func TestAssociated(t *testing.T) {
	r := newRig(t)
	r.group()
	set := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: "set"}
	_, err := r.PutCompanion(t.Context(), set, tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
		ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	with := &tintype.Encryption{Type: "EncryptionAtRestWithCustomerKey", SetID: set.String()}
	secure := secureUpload(tintype.MinUploadBytes)
	secure.Encryption = with
	r.put(diskID("a"), secure)
	plain := empty(1)
	plain.Encryption = with
	r.put(diskID("b"), plain)
	r.image("i", tintype.ImageRequest{OS: osOf(ofDisk("b")), Data: []tintype.ImageDiskRequest{dataOf(0, ofDisk("b")), dataOf(1, ofDisk("b"))}})
	all := []tintype.ResourceID{diskID("a"), diskID("b"), imageID("i")}
	for _, x := range []struct {
		after string
		want  []tintype.ResourceID
	}{
		{"", all},
		{diskID("a").Key(), all[1:]},
		{imageID("i").ImageDiskID("0").Key(), nil}, // a page may end within an image
	} {
		got, next, err := r.Associated(t.Context(), set, x.after)
		if err != nil || next != "" || cmp.Diff(x.want, got) != "" {
			t.Errorf("after %q: %v %q %s", x.after, err, next, cmp.Diff(x.want, got))
		}
	}
}
