package compute

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

const doubleKeys = "EncryptionAtRestWithPlatformAndCustomerKeys"

func setID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindEncryptionSet, Name: name}
}

// keyRig is a rig whose store has keys, and a vault.
type keyRig struct {
	*rig
	shelf *shelf
	ring  *ringed
	turns int
}

func newKeyRig(t *testing.T) *keyRig {
	k := &keyRig{
		rig: newRig(t), shelf: &shelf{gone: map[string]bool{}},
		ring: &ringed{given: map[string]bool{}, under: map[uuid.UUID]string{}},
	}
	k.group()
	k.ring.follow(k.store)
	k.vaults, k.keys = k.shelf, k.ring
	k.restart()
	return k
}

func (k *keyRig) putSet(name string) {
	k.t.Helper()
	_, err := k.PutCompanion(k.t.Context(), setID(name), tintype.CompanionRequest{Location: "westus2", Set: &tintype.EncryptionSetRequest{
		Type: doubleKeys, Rotate: ptr(true), ActiveKey: &tintype.KeyReference{URL: keyOne}, Identity: &tintype.Identity{Type: "SystemAssigned"},
	}})
	if err != nil {
		k.t.Fatal(err)
	}
}

// newVersion has the vault's key have a version that no set has used.
func (k *keyRig) newVersion() {
	k.turns++
	k.shelf.mu.Lock()
	k.shelf.newest = fmt.Sprintf("https://v.vault.localhost/keys/k/v%d", k.turns)
	k.shelf.mu.Unlock()
}

func (k *keyRig) rotate() {
	k.t.Helper()
	k.newVersion()
	if err := k.settleSets(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// inSet asks for a set, "" is none.
func inSet(want tintype.Desired, name string) tintype.Desired {
	want.Encryption = &tintype.Encryption{Type: "EncryptionAtRestWithPlatformKey"}
	if name != "" {
		want.Encryption = &tintype.Encryption{Type: doubleKeys, SetID: setID(name).String()}
	}
	return want
}

// legible requires that the key is there under which the store has each volume that is on record, and, of what nothing is in progress on, that
// it is that of the set which the volume names.
func (k *keyRig) legible() {
	k.t.Helper()
	err := k.catalog.View(k.t.Context(), func(tx *catalog.Tx) error {
		volumes, err := tx.Volumes(catalog.Scope{Subscription: testSub, Inner: true}, "", 1000)
		for _, v := range volumes {
			under, _ := k.ring.KeyOf(v.Store)
			if under != "" && !k.ring.given[under] {
				k.t.Fatalf("%s is under %s, a key that is gone for good", v.ID.Name, under)
			}
			want := ""
			if id, ok := tintype.ParseResourceID(v.Settings.KeySet()); ok {
				c, err := tx.Companion(id.Key())
				if err != nil {
					k.t.Fatalf("%s names a set that is gone: %v", v.ID.Name, err)
				}
				if c.Set.Secret != nil {
					want = c.Set.Secret.ID
				}
			}
			if v.Provisioning == tintype.StateSucceeded && under != want {
				k.t.Fatalf("%s is under %q, its set's key is %q", v.ID.Name, under, want)
			}
		}
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

// TestSetStaysForItsVolumes deletes a set right after the requests that take its volumes out of it, or copy them, whose workers have not run
// yet: everything is under the set's key until then.
func TestSetStaysForItsVolumes(t *testing.T) {
	k := newKeyRig(t)
	k.putSet("a")
	k.putSet("b")
	k.put(diskID("d"), inSet(empty(1), "a"))
	k.put(diskID("e"), inSet(empty(1), "a"))
	for name, set := range map[string]string{"d": "b", "e": ""} {
		if _, err := k.Patch(t.Context(), diskID(name), inSet(tintype.Desired{}, set)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := k.DeleteCompanion(t.Context(), setID("a")); err != nil {
		t.Fatal(err)
	}
	k.legible()
	if _, err := k.Put(t.Context(), diskID("c"), inSet(copyOf(diskID("d")), "")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Delete(t.Context(), diskID("d")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.runDeletes(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := k.DeleteCompanion(t.Context(), setID("b")); err != nil {
		t.Fatal(err)
	}
	k.legible()
	if err := k.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.legible()
	k.get(diskID("c"))
}

// runDeletes finishes deletions and nothing else.
func (k *keyRig) runDeletes() error {
	var open []catalog.Operation
	err := k.catalog.View(k.t.Context(), func(tx *catalog.Tx) (err error) {
		open, err = tx.OpenOperations("")
		return err
	})
	for _, op := range open {
		if op.Kind == tintype.OpDelete {
			err = errors.Join(err, k.run(op.ID))
		}
	}
	return err
}

// TestRotationOnTheWay rotates a set's key while a disk that leaves the set is still under it.
func TestRotationOnTheWay(t *testing.T) {
	k := newKeyRig(t)
	k.putSet("a")
	d := k.put(diskID("d"), inSet(empty(1), "a"))
	a, err := k.Patch(t.Context(), d.ID, inSet(tintype.Desired{}, ""))
	if err != nil {
		t.Fatal(err)
	}
	k.rotate()
	k.legible()
	if op := k.finish(a); op.State != tintype.Succeeded {
		t.Fatal(op.Failure)
	}
	k.legible()
}

// lookedAt is keys that something happens to between a look at a volume's key and its change.
type lookedAt struct {
	*ringed
	then func()
}

func (k *lookedAt) KeyOf(volume uuid.UUID) (string, error) {
	key, err := k.ringed.KeyOf(volume)
	k.then()
	return key, err
}

// TestRotationBetween has a rotation begin while a new disk is about to be put under the set's key.
func TestRotationBetween(t *testing.T) {
	k := newKeyRig(t)
	k.putSet("a")
	k.put(diskID("d"), inSet(empty(1), "a"))
	turned := make(chan error, 1)
	began := false
	k.keys = &lookedAt{k.ring, func() {
		if began {
			return
		}
		began = true
		k.newVersion()
		go func() { turned <- k.settleSets(t.Context()) }()
		select { // it ends before, or waits for what is being done
		case err := <-turned:
			turned <- err
		case <-time.After(50 * time.Millisecond):
		}
	}}
	k.restart()
	a, err := k.Put(t.Context(), diskID("e"), inSet(empty(1), "a"))
	if err != nil {
		t.Fatal(err)
	}
	if op := k.finish(a); op.State != tintype.Succeeded {
		t.Fatal(op.Failure)
	}
	if err := <-turned; err != nil {
		t.Fatal(err)
	}
	k.legible()
	if len(k.ring.given) != 1 {
		t.Errorf("the keys are %v", k.ring.given)
	}
}

// TestKeyHistories plays seeded histories of disks that come, go, are copied and change their sets, of sets that go and come and whose keys are
// replaced, with workers that come late and processes that die: nothing may ever be under a key that is gone.
func TestKeyHistories(t *testing.T) {
	for seed := *seedFlag; seed < *seedFlag+*seedsFlag/6; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			k := newKeyRig(t)
			rng := rand.New(rand.NewPCG(seed, 0x6b657973))
			k.putSet("a")
			k.putSet("b")
			for range 40 {
				k.clock.Add(time.Minute)
				k.step(rng)
				k.legible()
			}
			for range 2 {
				if err := k.sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			k.legible()
			k.wholeStore()
		})
		if !ok {
			t.Fatalf("repeat with: go test ./internal/compute -run TestKeyHistories -seed %d -seeds 6", seed)
		}
	}
}

// step does one thing. What is refused is refused: only the bytes matter here.
func (k *keyRig) step(rng *rand.Rand) {
	k.t.Helper()
	ctx := k.t.Context()
	disk := diskID(fmt.Sprint("d", rng.IntN(5)))
	set := []string{"", "a", "b"}[rng.IntN(3)]
	var err error
	switch rng.IntN(12) {
	case 0, 1:
		_, err = k.Put(ctx, disk, inSet(empty(1), set))
	case 2, 3:
		_, err = k.Put(ctx, diskID(fmt.Sprint("d", rng.IntN(5))), inSet(copyOf(disk), set))
	case 4, 5, 6:
		_, err = k.Patch(ctx, disk, inSet(tintype.Desired{}, set))
	case 7:
		_, _, err = k.Delete(ctx, disk)
	case 8:
		if set != "" {
			_, _, err = k.DeleteCompanion(ctx, setID(set))
		}
	case 9:
		k.rotate()
	case 10:
		_ = k.runDeletes()
		err = k.sweepSome(rng)
	case 11:
		if left := rng.IntN(8); rng.IntN(3) == 0 {
			dies := func(string) error {
				if left--; left < 0 {
					return errCrash
				}
				return nil
			}
			k.fault, k.store.fault = dies, dies
			_ = k.sweep(ctx)
			k.restart()
		}
	}
	var refusal *tintype.Error
	if err != nil && !errors.As(err, &refusal) {
		k.t.Fatal(err)
	}
	if errors.Is(err, block.ErrLocked) {
		k.t.Fatalf("locked: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := k.GetCompanion(ctx, setID(name)); err != nil {
			k.putSet(name)
		}
	}
}

// sweepSome finishes some of what is in progress.
func (k *keyRig) sweepSome(rng *rand.Rand) error {
	var open []catalog.Operation
	err := k.catalog.View(k.t.Context(), func(tx *catalog.Tx) (err error) {
		open, err = tx.OpenOperations("")
		return err
	})
	for _, op := range open {
		if rng.IntN(2) == 0 {
			err = errors.Join(err, k.run(op.ID))
		}
	}
	return err
}

// TestSizeStaysWithTheRecord has an update fail that grows a disk and moves it into a set whose key is not to be had: the disk must be no larger in
// the store than on record, or nothing could be made of it.
func TestSizeStaysWithTheRecord(t *testing.T) {
	k := newKeyRig(t)
	k.putSet("a")
	d := k.put(diskID("d"), empty(1))
	k.shelf.set(keyOne, true)
	a, err := k.Patch(t.Context(), d.ID, inSet(tintype.Desired{SizeGB: ptr(int64(2))}, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if op := k.finish(a); op.State != tintype.Failed {
		t.Fatalf("ended as %s", op.State)
	}
	if v, stored := k.get(d.ID), k.store.volumes[d.Store].size; v.Size != d.Size || stored != v.Size {
		t.Errorf("%d bytes on record, %d in the store", v.Size, stored)
	}
	k.put(diskID("c"), copyOf(d.ID))
}

// TestKeyAskedForMeanwhile asks for another key of a set while a rotation begins: the set must come to that.
func TestKeyAskedForMeanwhile(t *testing.T) {
	k := newKeyRig(t)
	k.putSet("a")
	k.put(diskID("d"), inSet(empty(1), "a"))
	const third = "https://v.vault.localhost/keys/k/three"
	asked := make(chan error, 1)
	k.shelf.wrapped = func() {
		k.shelf.wrapped = nil
		k.shelf.mu.Lock()
		k.shelf.newest = ""
		k.shelf.mu.Unlock()
		go func() {
			_, err := k.PatchCompanion(t.Context(), setID("a"), tintype.CompanionRequest{
				Set: &tintype.EncryptionSetRequest{ActiveKey: &tintype.KeyReference{URL: third}},
			})
			asked <- err
		}()
		for {
			if c, err := k.GetCompanion(t.Context(), setID("a")); err != nil || c.Set.ActiveKey.URL == third {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	k.rotate()
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	c, err := k.GetCompanion(t.Context(), setID("a"))
	if err != nil || c.Set.ActiveKey.URL != third || c.Set.Secret.KeyURL != third || c.Set.Old != nil {
		t.Errorf("the set has %+v, %v", c.Set, err)
	}
	k.legible()
}
