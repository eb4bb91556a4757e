package catalog_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/catalog"
)

// TestUpdatesTogether runs updates at once of which some fail, some panic and some are given up, and looks for exactly the others.
func TestUpdatesTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalog.db")
	c, err := catalog.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	refused := errors.New("refused")
	want := map[uuid.UUID]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			id := uuid.New()
			defer func() {
				if p := recover(); (p != nil) != (i%7 == 3 && i%11 != 4) {
					t.Errorf("update %d: %v", i, p)
				}
			}()
			ctx := t.Context()
			if i%11 == 4 {
				ctx = gone
			}
			err := c.Update(ctx, func(tx *catalog.Tx) error {
				if err := tx.AddIntent(id); err != nil {
					return err
				}
				switch {
				case i%7 == 3:
					panic("on purpose")
				case i%5 == 2:
					return refused
				case i%13 == 5: // a statement that fails by itself
					return tx.AddIntent(id)
				}
				return nil
			})
			if (err == nil) != (i%11 != 4 && i%5 != 2 && i%13 != 5) {
				t.Errorf("update %d: %v", i, err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				want[id] = true
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Update(t.Context(), func(*catalog.Tx) error { return nil }); err == nil {
		t.Error("an update after Close was taken")
	}
	if c, err = catalog.Open(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var found []uuid.UUID
	if err := c.View(t.Context(), func(tx *catalog.Tx) (err error) {
		found, err = tx.Intents()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(want) {
		t.Fatalf("%d intents are there, %d were acknowledged", len(found), len(want))
	}
	for _, id := range found {
		if !want[id] {
			t.Errorf("%v was not acknowledged", id)
		}
	}
}
