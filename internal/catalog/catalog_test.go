package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

const sub = tintype.SubscriptionID("11111111-2222-3333-4444-555555555555")

func open(t *testing.T, path string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func update(t *testing.T, c *catalog.Catalog, fn func(*catalog.Tx) error) {
	t.Helper()
	if err := c.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func group(name string) tintype.Group {
	return tintype.Group{
		Subscription: sub, Name: name, Location: "westus2", Tags: map[string]string{"a": "b"},
		State: tintype.StateSucceeded, Created: time.Unix(1_700_000_000, 123_456_700).UTC(),
	}
}

// fill sets every exported field under v to something from the seed, so that a field that is not stored is noticed.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(rng.Int64N(1<<31), rng.Int64N(1e9)).UTC()))
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(randomID(rng)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", rng.IntN(1000)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(1 + rng.Int64N(1<<40))
	case reflect.Float64:
		v.SetFloat(1 + rng.Float64())
	case reflect.Uint8:
		v.SetUint(1 + rng.Uint64N(2))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(rng, v.Index(0))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"k": fmt.Sprint(rng.IntN(1000))}))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
	default:
		panic(v.Kind().String())
	}
}

func randomID(rng *rand.Rand) uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	return id
}

func randomVolume(rng *rand.Rand) tintype.Volume {
	var v tintype.Volume
	fill(rng, reflect.ValueOf(&v).Elem())
	v.At, v.Copy.Percent = time.Time{}, 0 // not kept
	v.ID = tintype.ResourceID{Subscription: sub, Group: "G", Kind: tintype.Kind(1 + rng.IntN(2)), Name: fmt.Sprintf("N%d", rng.IntN(1e9))}
	return v
}

func TestVolumeSurvivesReopen(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		path := filepath.Join(t.TempDir(), "a b?.db")
		c := open(t, path)
		want := randomVolume(rng)
		update(t, c, func(tx *catalog.Tx) error {
			if err := tx.PutGroup(group("g")); err != nil {
				return err
			}
			return tx.PutVolume(want)
		})
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = open(t, path)
		defer c.Close()
		err := c.View(t.Context(), func(tx *catalog.Tx) error {
			got, err := tx.Volume(want.ID.Key())
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seed %d: volume changed (-want +got):\n%s", seed, diff)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperationRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	out := randomVolume(rng)
	var grant tintype.Grant
	fill(rng, reflect.ValueOf(&grant).Elem())
	grant.Resource = out.ID
	want := catalog.Operation{
		Operation: tintype.Operation{
			ID: randomID(rng), Kind: tintype.OpPut, Subscription: sub, Location: "westus2", Resource: out.ID.String(),
			State: tintype.Failed, Started: time.Unix(5, 100).UTC(), Ended: time.Unix(6, 700).UTC(),
			Failure: &tintype.Error{Kind: tintype.KindConflict, Code: "c", Message: "m", Target: "t"},
			Output:  &out, Grant: &grant,
		},
		Key: out.ID.Key(), Plan: []byte(`{"a":1}`),
	}
	update(t, c, func(tx *catalog.Tx) error { return tx.PutOperation(want) })
	update(t, c, func(tx *catalog.Tx) error {
		got, err := tx.Operation(want.ID)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("operation changed (-want +got):\n%s", diff)
		}
		return err
	})
	update(t, c, func(tx *catalog.Tx) error { return tx.ForgetOperations(time.Unix(6, 700)) })
	update(t, c, func(tx *catalog.Tx) error { _, err := tx.Operation(want.ID); return err })
	update(t, c, func(tx *catalog.Tx) error { return tx.ForgetOperations(time.Unix(6, 701)) })
	err := c.View(t.Context(), func(tx *catalog.Tx) error { _, err := tx.Operation(want.ID); return err })
	if !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("forgotten operation: got %v", err)
	}
}

func TestForeignKeysHold(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	v := randomVolume(rng)
	if err := c.Update(t.Context(), func(tx *catalog.Tx) error { return tx.PutVolume(v) }); err == nil {
		t.Fatal("a volume without a group was taken")
	}
	update(t, c, func(tx *catalog.Tx) error {
		return errors.Join(tx.PutGroup(group("g")), tx.PutVolume(v), tx.AddAttachment(catalog.Attachment{Key: v.ID.Key(), Host: "h"}))
	})
	if err := c.Update(t.Context(), func(tx *catalog.Tx) error { return tx.DeleteGroup(group("g").Key()) }); err == nil {
		t.Fatal("a group with a volume was deleted")
	}
	if err := c.Update(t.Context(), func(tx *catalog.Tx) error { return tx.DeleteVolume(v.ID.Key()) }); err == nil {
		t.Fatal("an attached volume was deleted")
	}
	grant := tintype.Grant{ID: randomID(rng), Resource: v.ID, Expires: time.Unix(10, 0)}
	update(t, c, func(tx *catalog.Tx) error {
		return errors.Join(tx.DeleteAttachment(v.ID.Key()), tx.AddGrant(grant), tx.PutFooter(v.ID.Key(), []byte("f")))
	})
	other := grant
	other.ID = randomID(rng)
	if err := c.Update(t.Context(), func(tx *catalog.Tx) error { return tx.AddGrant(other) }); err == nil {
		t.Fatal("a second grant of one volume was taken")
	}
	update(t, c, func(tx *catalog.Tx) error { return tx.DeleteVolume(v.ID.Key()) })
	err := c.View(t.Context(), func(tx *catalog.Tx) error { _, err := tx.Grant(grant.ID); return err })
	if !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("the grant outlived its volume: %v", err)
	}
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	boom := errors.New("boom")
	err := c.Update(t.Context(), func(tx *catalog.Tx) error {
		if err := tx.PutGroup(group("g")); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	err = c.View(t.Context(), func(tx *catalog.Tx) error { _, err := tx.Group(group("g").Key()); return err })
	if !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("the group stayed: %v", err)
	}
}

// TestWritersAndReaders counts in a tag from many goroutines: a lost update shows as a low count.
func TestWritersAndReaders(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	update(t, c, func(tx *catalog.Tx) error { return tx.PutGroup(group("g")) })
	const writers, rounds = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				err := c.Update(context.Background(), func(tx *catalog.Tx) error {
					g, err := tx.Group(group("g").Key())
					if err != nil {
						return err
					}
					g.Tags[fmt.Sprint(len(g.Tags))] = "x"
					return tx.PutGroup(g)
				})
				if err != nil {
					t.Error(err)
				}
				if err := c.View(context.Background(), func(tx *catalog.Tx) error { _, err := tx.Groups(sub); return err }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.View(t.Context(), func(tx *catalog.Tx) error {
		g, err := tx.Group(group("g").Key())
		if len(g.Tags) != 1+writers*rounds {
			t.Errorf("%d tags, want %d", len(g.Tags), 1+writers*rounds)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestVolumesPages(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	disks := 0
	update(t, c, func(tx *catalog.Tx) error {
		err := tx.PutGroup(group("g"))
		for range 50 {
			v := randomVolume(rng)
			if v.ID.Kind == tintype.KindDisk {
				disks++
			}
			err = errors.Join(err, tx.PutVolume(v))
		}
		return err
	})
	for _, scope := range []catalog.Scope{
		{Subscription: sub, Kind: tintype.KindDisk},
		{Subscription: sub, Group: group("G").Key(), Kind: tintype.KindDisk},
	} {
		after, n := "", 0
		err := c.View(t.Context(), func(tx *catalog.Tx) error {
			for {
				page, err := tx.Volumes(scope, after, 7)
				if err != nil || len(page) == 0 {
					return err
				}
				for _, v := range page {
					if v.ID.Key() <= after {
						t.Fatalf("%q after %q", v.ID.Key(), after)
					}
					after = v.ID.Key()
					n++
				}
			}
		})
		if err != nil || n != disks {
			t.Fatalf("%+v: %d disks, want %d; %v", scope, n, disks, err)
		}
	}
}
