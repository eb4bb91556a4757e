package catalog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tintype"
	"tintype/internal/catalog"
)

// TestCopyRoundTrip keeps every field of a copy, and a family's only mirror until it is taken or dropped.
func TestCopyRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	var want catalog.Copy
	fill(rng, reflect.ValueOf(&want).Elem())
	v := randomVolume(rng)
	want.Source = v.ID
	family, mirror := randomID(rng), randomID(rng)
	update(t, c, func(tx *catalog.Tx) error {
		return errors.Join(tx.PutGroup(group("g")), tx.PutVolume(v), tx.PutCopy(want), tx.PutMirror(family, mirror, v.Store))
	})
	update(t, c, func(tx *catalog.Tx) error {
		got, err := tx.Copy(want.Volume)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("copy changed (-want +got):\n%s", diff)
		}
		if store, err := tx.TakeMirror(family, randomID(rng)); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("the mirror with another cut was taken: %s %v", store, err)
		}
		all, err2 := tx.Copies()
		if len(all) != 1 || !cmp.Equal(all[0], want) {
			t.Errorf("copies: %+v", all)
		}
		store, cut, err3 := tx.Mirror(family)
		of, err4 := tx.MirrorOf(v.Store)
		stale, err5 := tx.StaleMirrors()
		if store != mirror || of != mirror || cut != v.Store || len(stale) != 0 {
			t.Errorf("mirror %s, of %s, cut %s, stale %v", store, of, cut, stale)
		}
		return errors.Join(err, err2, err3, err4, err5, tx.DeleteCopy(want.Volume), tx.DeleteVolume(v.ID.Key()))
	})
	update(t, c, func(tx *catalog.Tx) error {
		stale, err := tx.StaleMirrors()
		if len(stale) != 1 || stale[0] != family {
			t.Errorf("stale: %v", stale)
		}
		if _, err := tx.Copy(want.Volume); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("a deleted copy: %v", err)
		}
		return errors.Join(err, tx.DropMirror(family), tx.DropMirror(family))
	})
	update(t, c, func(tx *catalog.Tx) error {
		drops, err := tx.Drops()
		if len(drops) != 1 || drops[0] != mirror {
			t.Errorf("drops: %v", drops)
		}
		return errors.Join(err, tx.PutMirror(family, mirror, v.Store))
	})
	update(t, c, func(tx *catalog.Tx) error {
		store, err := tx.TakeMirror(family, v.Store)
		if store != mirror {
			t.Errorf("took %s", store)
		}
		if _, err := tx.TakeMirror(family, v.Store); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("a mirror was taken twice: %v", err)
		}
		return err
	})
}

// TestBefore lists what is whole and finds what is still being copied among the older snapshots of a family alone.
func TestBefore(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	c := open(t, filepath.Join(t.TempDir(), "c.db"))
	defer c.Close()
	update(t, c, func(tx *catalog.Tx) error { return tx.PutGroup(group("g")) })
	family, start := randomID(rng), time.Unix(1_700_000_000, 0).UTC()
	var made []tintype.Volume
	for i, state := range []*tintype.BackgroundCopy{nil, {Code: "x"}, nil, {}, nil, {Code: "y", Message: "z"}} {
		v := randomVolume(rng)
		v.ID.Kind, v.ID.Name = tintype.KindSnapshot, fmt.Sprintf("s%d", i)
		v.Family, v.Copy, v.Created = family, state, start.Add(time.Duration(i/2)*time.Hour)
		made = append(made, v)
		update(t, c, func(tx *catalog.Tx) error { return tx.PutVolume(v) })
	}
	for i, want := range []struct {
		whole  []int
		copies bool
	}{{}, {whole: []int{0}}, {whole: []int{0}}, {whole: []int{2, 0}}, {whole: []int{2, 0}, copies: true}, {whole: []int{4, 2}, copies: true}} {
		update(t, c, func(tx *catalog.Tx) error {
			whole, err := tx.WholeBefore(made[i], 2)
			copies, err2 := tx.CopyingBefore(made[i])
			var names, have []string
			for _, at := range want.whole {
				names = append(names, made[at].ID.Name)
			}
			for _, v := range whole {
				have = append(have, v.ID.Name)
			}
			if !cmp.Equal(names, have) || copies != want.copies {
				t.Errorf("before %d: %v and copies %t, not %v and %t", i, have, copies, names, want.copies)
			}
			return errors.Join(err, err2)
		})
	}
}
