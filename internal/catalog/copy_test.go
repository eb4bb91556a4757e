package catalog_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		return err
	})
}
