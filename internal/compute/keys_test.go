package compute

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

// shelf is a vault in memory: keys by URL, which may be taken away. What it wraps it only marks.
type shelf struct {
	mu      sync.Mutex
	gone    map[string]bool
	newest  string
	changed func()
	wrapped func() // when set, is called before a key is wrapped
}

var errGone = errors.New("gone")

func (v *shelf) has(url string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gone[url] {
		return errGone
	}
	return nil
}

func (v *shelf) set(url string, gone bool) {
	v.mu.Lock()
	v.gone[url] = gone
	v.mu.Unlock()
}

func (v *shelf) WrapFor(_, url string, p []byte) ([]byte, error) {
	if v.wrapped != nil {
		v.wrapped()
	}
	return append([]byte(url+" "), p...), v.has(url)
}

func (v *shelf) UnwrapFor(_, url string, p []byte) ([]byte, error) {
	out, ok := bytes.CutPrefix(p, []byte(url+" "))
	if !ok {
		return nil, errors.New("another key")
	}
	return out, v.has(url)
}

func (v *shelf) Usable(url string) (string, error) {
	v.mu.Lock()
	newest := v.newest
	v.mu.Unlock()
	if newest == "" {
		newest = url
	}
	return newest, v.has(url)
}

func (v *shelf) Seal(p []byte) ([]byte, error)   { return append([]byte("sealed "), p...), nil }
func (v *shelf) Unseal(p []byte) ([]byte, error) { return p[len("sealed "):], nil }
func (v *shelf) OnChange(f func())               { v.changed = f }
func (v *shelf) Tidy() error                     { return nil }

func (v *shelf) DeleteGroup(tintype.SubscriptionID, string) error { return nil }

// ringed is which keys the store has, and under which its volumes are.
type ringed struct {
	mu     sync.Mutex
	given  map[string]bool
	under  map[uuid.UUID]string
	refuse error // of SetKey
}

func (k *ringed) GiveKey(secret [32]byte) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := hex.EncodeToString(secret[:8])
	k.given[id] = true
	return id, nil
}

func (k *ringed) TakeKey(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.given, id)
	return nil
}

func (k *ringed) SetKey(id string, volumes ...uuid.UUID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil || id != "" && !k.given[id] {
		return errors.Join(k.refuse, block.ErrLocked)
	}
	for _, v := range volumes {
		if have := k.under[v]; have != "" && !k.given[have] {
			return block.ErrLocked
		}
	}
	for _, v := range volumes {
		k.under[v] = id
	}
	return nil
}

// follow has copies be under the keys of their sources, and what is deleted under none, as in the engine.
func (k *ringed) follow(m *memStore) {
	m.copied = func(id, source uuid.UUID) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.under[id] = k.under[source]
	}
	m.deleted = func(id uuid.UUID) {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.under, id)
	}
}

func (k *ringed) KeyOf(volume uuid.UUID) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.under[volume], nil
}

func (k *ringed) Under(id string) (all []uuid.UUID, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for v, key := range k.under {
		if key == id {
			all = append(all, v)
		}
	}
	return all, nil
}

// turning is keys that something happens to before the next commit behind a change of a volume's key.
type turning struct {
	*ringed
	then func(volume uuid.UUID)

	waiting sync.Mutex // guards next
	next    []uuid.UUID
}

func (k *turning) SetKey(id string, volumes ...uuid.UUID) error {
	k.waiting.Lock()
	k.next = append(k.next, volumes...)
	k.waiting.Unlock()
	return k.ringed.SetKey(id, volumes...)
}

// watch has what is to happen be done.
func (k *turning) watch(r *rig) {
	r.fault = func(point string) error {
		k.waiting.Lock()
		now := k.next
		k.next = nil
		k.waiting.Unlock()
		for _, v := range now {
			k.then(v)
		}
		return nil
	}
}

// TestRotationDuringSeal rotates the key of an uploaded snapshot's set when the cut is under the key already and no record names it.
func TestRotationDuringSeal(t *testing.T) {
	r := newRig(t)
	r.group()
	vaults := &shelf{gone: map[string]bool{}}
	keys := &turning{ringed: &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}}, then: func(uuid.UUID) {}}
	r.vaults, r.keys = vaults, keys
	r.restart()
	keys.watch(r)
	id := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: "set"}
	_, err := r.PutCompanion(t.Context(), id, tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
		Type: "EncryptionAtRestWithPlatformAndCustomerKeys", Rotate: ptr(true),
		ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := upload(tintype.GiB + tintype.VHDFooterSize)
	want.Encryption = &tintype.Encryption{Type: "EncryptionAtRestWithPlatformAndCustomerKeys", SetID: id.String()}
	u := r.put(snapshotID("u"), want)
	g := r.grantOf(u.ID, tintype.AccessRequest{Access: "Write", Seconds: 600})
	footer := vhd.FixedFooter(tintype.GiB, vhd.Identity{Unique: uuid.New(), Created: r.now()})
	if err := r.SaveFooter(t.Context(), g.ID, footer[:]); err != nil {
		t.Fatal(err)
	}
	turned := false
	keys.then = func(volume uuid.UUID) {
		if volume == u.Store || turned {
			return
		}
		turned = true
		vaults.mu.Lock()
		vaults.newest = keyTwo
		vaults.mu.Unlock()
		if err := r.settleSets(t.Context()); err != nil {
			t.Error(err)
		}
	}
	a, err := r.Revoke(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.run(a.Operation.ID) // waits for the next look
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := r.get(u.ID)
	under, _ := keys.KeyOf(v.Store)
	if !turned || v.Store == u.Store || !keys.given[under] || len(keys.given) != 1 {
		t.Errorf("turned %t, %s: the snapshot is under %q, and the keys are %v", turned, v.State, under, keys.given)
	}
}

// TestRotationDuringCopy rotates the key of a copy's set when what it will name is under the key already and no record names it.
func TestRotationDuringCopy(t *testing.T) {
	r, p := pair(t)
	vaults := &shelf{gone: map[string]bool{}}
	keys := &turning{ringed: &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}}, then: func(uuid.UUID) {}}
	r.vaults, r.keys = vaults, keys
	r.restart()
	keys.watch(r)
	id := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: "set"}
	_, err := r.PutCompanion(t.Context(), id, tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
		Type: "EncryptionAtRestWithPlatformAndCustomerKeys", Rotate: ptr(true),
		ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	source := p.snap("s", d)
	want := startCopyOf(source)
	want.Encryption = &tintype.Encryption{Type: "EncryptionAtRestWithPlatformAndCustomerKeys", SetID: id.String()}
	disk := r.put(snapshotID("s"), want).Store
	turned := false
	keys.then = func(volume uuid.UUID) {
		if volume == disk || turned {
			return
		}
		turned = true
		vaults.mu.Lock()
		vaults.newest = keyTwo
		vaults.mu.Unlock()
		if err := r.settleSets(t.Context()); err != nil {
			t.Error(err)
		}
	}
	r.settle()
	r.copied(p, snapshotID("s"), source)
	under, _ := keys.KeyOf(r.get(snapshotID("s")).Store)
	if !turned || !keys.given[under] || len(keys.given) != 1 {
		t.Errorf("turned %t: the copy is under %q, and the keys are %v", turned, under, keys.given)
	}
}

const (
	keyOne = "https://v.vault.localhost/keys/k/1"
	keyTwo = "https://v.vault.localhost/keys/k/2"
)

// TestEncryptionSetFollowsItsVault puts a disk under a set, takes the set's key away and brings it back, and rotates it, with a
// failure on the way.
func TestEncryptionSetFollowsItsVault(t *testing.T) {
	vaults, keys := &shelf{gone: map[string]bool{}}, &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}}
	r := newRig(t)
	r.vaults, r.keys = vaults, keys
	r.restart()
	_, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "g", Location: "westus2"})
	id := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: "set"}
	want := tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
		Type: "EncryptionAtRestWithPlatformAndCustomerKeys", Rotate: ptr(true),
		ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
	}}
	if _, failed := r.PutCompanion(t.Context(), id, want); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	sealed := empty(1)
	sealed.Encryption = &tintype.Encryption{Type: "EncryptionAtRestWithPlatformAndCustomerKeys", SetID: id.String()}
	put := func(name string, want tintype.Desired) tintype.Operation {
		t.Helper()
		a, err := r.Put(t.Context(), diskID(name), want)
		if err == nil {
			err = r.run(a.Operation.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		op, err := r.Operation(t.Context(), testSub, a.Operation.ID)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	set := func() tintype.EncryptionSet {
		t.Helper()
		c, err := r.GetCompanion(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return *c.Set
	}
	settle := func() {
		t.Helper()
		if err := r.settleSets(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if op := put("mine", sealed); op.State != tintype.Succeeded {
		t.Fatal(op.Failure)
	}
	var disk tintype.Volume
	if err := r.catalog.View(t.Context(), func(tx *catalog.Tx) (err error) { disk, err = tx.Volume(diskID("mine").Key()); return err }); err != nil {
		t.Fatal(err)
	}
	first := set().Secret
	if first == nil || keys.under[disk.Store] != first.ID || !keys.given[first.ID] || !strings.HasPrefix(string(first.Wrapped), "sealed "+keyOne) {
		t.Fatalf("the disk is under %q, the set's key is %+v", keys.under[disk.Store], first)
	}

	vaults.set(keyOne, true)
	settle()
	if keys.given[first.ID] || set().Fault == nil || set().Fault.Code != "KeyVaultAccessForbidden" {
		t.Errorf("without its key: given %t, %+v", keys.given[first.ID], set().Fault)
	}
	if op := put("late", sealed); op.State != tintype.Failed || op.Failure.Code != "KeyVaultAccessForbidden" {
		t.Errorf("a disk of a set without its key: %s, %v", op.State, op.Failure)
	}
	vaults.set(keyOne, false)
	r.restart()
	if !keys.given[first.ID] || set().Fault != nil {
		t.Errorf("with its key again: given %t, %+v", keys.given[first.ID], set().Fault)
	}

	vaults.mu.Lock()
	vaults.newest = keyTwo
	vaults.mu.Unlock()
	keys.refuse = errors.New("no room")
	if err := r.settleSets(t.Context()); err == nil {
		t.Error("nobody tells that a rotation failed")
	}
	if s := set(); s.ActiveKey.URL != keyTwo || len(s.PreviousKeys) != 1 || s.PreviousKeys[0].URL != keyOne || !keys.given[first.ID] {
		t.Errorf("in the middle of a rotation: %+v", s)
	}
	keys.refuse = nil
	r.restart()
	if s := set(); s.PreviousKeys != nil || s.Old != nil || s.Secret.KeyURL != keyTwo || keys.under[disk.Store] != s.Secret.ID || keys.given[first.ID] {
		t.Errorf("after the rotation: %+v, the disk is under %q", s, keys.under[disk.Store])
	}
	if _, _, err := r.DeleteCompanion(t.Context(), id); err == nil {
		t.Error("a set in use is deleted")
	}
	plain := tintype.Desired{Encryption: &tintype.Encryption{Type: "EncryptionAtRestWithPlatformKey"}}
	if a, err := r.Patch(t.Context(), diskID("mine"), plain); err == nil {
		if err := r.run(a.Operation.ID); err != nil || keys.under[disk.Store] != "" {
			t.Errorf("back under the platform's key: %v, %q", err, keys.under[disk.Store])
		}
	} else {
		t.Log("a disk stays in its set:", err)
	}
}

// TestConfidentialKey keeps a confidential machine's disk, its guest state and its snapshots under the key of their set, and follows the set's rotation.
func TestConfidentialKey(t *testing.T) {
	r := newRig(t)
	r.group()
	vaults := &shelf{gone: map[string]bool{}}
	keys := &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}}
	r.vaults, r.keys = vaults, keys
	r.restart()
	set := func(name, kind string) string {
		t.Helper()
		id := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: name}
		_, err := r.PutCompanion(t.Context(), id, tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
			Type: kind, Rotate: ptr(true), ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return id.String()
	}
	secret, plain := set("secret", "ConfidentialVmEncryptedWithCustomerKey"), set("plain", "EncryptionAtRestWithCustomerKey")
	want := secureUpload(tintype.MinUploadBytes)
	confidential := func(id string) *tintype.SecurityProfile {
		return &tintype.SecurityProfile{Type: "ConfidentialVM_DiskEncryptedWithCustomerKey", EncryptionSetID: id}
	}
	for i, change := range []func(*tintype.Desired){
		func(d *tintype.Desired) { d.SecurityProfile = confidential("") },
		func(d *tintype.Desired) { d.SecurityProfile = confidential("x") },
		func(d *tintype.Desired) { d.SecurityProfile = confidential(plain) },
		func(d *tintype.Desired) { d.Encryption = &tintype.Encryption{SetID: secret} },
		func(d *tintype.Desired) { d.SecurityProfile.EncryptionSetID = secret },
		func(d *tintype.Desired) {
			d.SecurityProfile, d.Encryption = confidential(secret), &tintype.Encryption{SetID: plain}
		},
	} {
		bad := secureUpload(tintype.MinUploadBytes)
		change(&bad)
		_, err := r.Put(t.Context(), diskID(fmt.Sprint("bad", i)), bad)
		if e := refused(t, err, "InvalidParameter"); e.Target == "" {
			t.Errorf("%d: %s", i, e.Message)
		}
	}
	want.SecurityProfile = confidential(secret)
	d := r.put(diskID("d"), want)
	under := func(id tintype.ResourceID) string {
		t.Helper()
		key, err := keys.KeyOf(r.get(id).Store)
		if err != nil || key == "" {
			t.Errorf("%s is under %q, %v", id.Name, key, err)
		}
		return key
	}
	first := under(d.ID)
	if under(d.ID.GuestState()) != first {
		t.Error("the guest state is under another key")
	}
	id, _ := tintype.ParseResourceID(secret)
	_, _, err := r.DeleteCompanion(t.Context(), id)
	refused(t, err, "OperationNotAllowed")
	vaults.mu.Lock()
	vaults.newest = keyTwo
	vaults.mu.Unlock()
	if err := r.settleSets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := under(d.ID); second == first || under(d.ID.GuestState()) != second {
		t.Error("the rotation left something under the old key")
	}
}
