package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/records"
)

// lost is the error of a data folder without a file that its other contents need. A server that made the file anew
// would start, be empty, and leave everything out of sight.
func lost(name, why string) error {
	return fmt.Errorf("%s is missing, and %s: put it back from a copy of the data folder", name, why)
}

// has tells whether the data folder holds a file of this name.
func (s *server) has(name string) (bool, error) {
	_, err := os.Stat(filepath.Join(s.opt.data, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// identityIsWhole is asked before the identity is opened, which a first start does before it makes the catalog.
func (s *server) identityIsWhole() error {
	if err := s.isNew(); err != nil {
		return err
	}
	listed, err := s.has("catalog.db")
	if err != nil || !listed {
		return err
	}
	if known, err := s.has("identity.json"); err != nil || known {
		return err
	}
	return lost("identity.json", "catalog.db lists what belongs to its subscriptions")
}

// isNew refuses a first start where there are copies of a server's records: whoever gives them has lost the data folder.
func (s *server) isNew() error {
	if known, err := s.has("identity.json"); err != nil || known {
		return err
	}
	for _, dir := range s.opt.recordsCopies {
		who, err := records.Owner(dir)
		if err != nil {
			return err
		}
		if who != "" {
			return fmt.Errorf("%s is a new data folder, and %s has copies of a server's records: put them back, or give another folder for copies", s.opt.data, dir)
		}
	}
	return nil
}

// vaultsAreWhole is asked before anything is done with the keys of encryption sets: without the vaults all under them is lost.
func (s *server) vaultsAreWhole(ctx context.Context) error {
	if there, err := s.has("vaults"); err != nil || there {
		return err
	}
	var sets []tintype.Companion
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		sets, err = tx.EncryptionSets("", 10_000)
		return err
	})
	for _, c := range sets {
		if c.Set.Secret != nil {
			return lost("vaults", "disks are under the key of "+c.ID.String())
		}
	}
	return err
}

// catalogIsWhole is asked before the catalog is opened; volumes are made only after it.
func (s *server) catalogIsWhole() error {
	if listed, err := s.has("catalog.db"); err != nil || listed {
		return err
	}
	if volumes := len(s.engine.List()); volumes > 0 {
		return lost("catalog.db", fmt.Sprintf("the engine holds %d volumes that it named", volumes))
	}
	for _, dir := range s.opt.recordsCopies {
		if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err == nil {
			return lost("catalog.db", "a copy of it is in "+dir)
		}
	}
	return nil
}

// catalogIsKnown is asked before anything follows from what the catalog says: one that is empty, or another store's, would be
// copied over the last good one. A volume is on record before it is made.
func (s *server) catalogIsKnown(ctx context.Context) error {
	volumes := s.engine.List()
	if len(volumes) == 0 {
		return nil
	}
	recorded, err := compute.Recorded(ctx, s.catalog)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(volumes, func(v block.Info) bool { return recorded[v.ID] }) {
		return fmt.Errorf("catalog.db knows none of the %d volumes that the engine holds: put it back from a copy of the data folder", len(volumes))
	}
	return nil
}
